/* What a worker gives up before it reads a byte of a stranger's model file. From then on a hostile file that took
 * over the process could compute, and write to the one socket that it was given, and nothing else:
 *
 *   - no descriptors but the ones it was told to keep, and no way to get others but copies of memory
 *   - no files (empty root directory) and no network (own network namespace with nothing in it), where the system
 *     lets an unprivileged process have namespaces
 *   - a filter of system calls that allows memory, threads, time, reading and writing; asking for a program, a socket,
 *     a file to write or another process ends the process, anything else fails with EPERM
 *   - one file may be written, where there is one, and no further than it was told
 *   - no new privileges, no core file, a limit on address space where one is asked for
 *
 * The filter alone keeps files and network away; the namespaces are the second wall behind it.
 */
#ifndef KITH_INFERENCE_SANDBOX_H
#define KITH_INFERENCE_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox_options {
    int fd_last;            /* descriptors above it are closed */
    int fd_written;         /* a file that may be given room on the disk and written anywhere in it, or -1 */
    uint64_t written_bytes; /* most that it may have */
    uint64_t memory_bytes;  /* address space; 0: no limit */
    bool has_devices;       /* this process has started GPUs, behind sandbox_before_devices */
};

struct sandbox_state {
    bool is_filtered;  /* false: built or run where there is no filter */
    bool has_own_root; /* an empty directory */
    bool has_own_net;
};

/* Enters for good, before any other thread was started. A wall that the system does not offer is left
 * out and shows in the state; one that it offers but that cannot be built is an error. The state is zero before, or as
 * sandbox_before_devices left it. */
enum err sandbox_enter(const struct sandbox_options *o, struct sandbox_state *state, struct note *note) MUST_USE;

/* For a process that is to start devices: what can be done before. What their drivers open then stays open, and may be
 * spoken to (ioctl); their threads and terabytes of addresses keep sandbox_enter from the empty root and from a limit
 * of address space. All else holds for such a process too. */
void sandbox_before_devices(const struct sandbox_options *o, struct sandbox_state *state);

#endif

/* A node's files: what is in them, what of it is safe, and what a crash leaves.
 *
 * A write is pending until the file is synced. A power cut leaves the first few of the pending ones, the last of them
 * torn at any byte or, where it made the file longer, as zeros. A sync that fails has lost what was pending, as
 * Linux does: it stays readable until the crash, and no later sync makes it safe. Names are safe at once, because the
 * real host syncs directories.
 */
#ifndef KITH_TESTS_SIM_DISK_H
#define KITH_TESTS_SIM_DISK_H

#include "base/bytes.h"
#include "node/host/host.h"
#include "tests/sim/random.h"

struct sim_disk;
struct sim_file;

struct sim_disk *disk_new(void);
void disk_free(struct sim_disk *d);
/* Nothing more fits: a write puts what it can (nothing, or a torn beginning) and fails. */
void disk_fill(struct sim_disk *d, bool is_full);
bool disk_is_full(const struct sim_disk *d);
/* The next n syncs fail. */
void disk_fail_syncs(struct sim_disk *d, unsigned n);
/* A power cut. */
void disk_crash(struct sim_disk *d, struct random *r);

/* NULL if there is none. */
struct sim_file *disk_find(struct sim_disk *d, const char *path);
struct sim_file *disk_open(struct sim_disk *d, const char *path);
void disk_remove(struct sim_disk *d, const char *path);
void disk_rename(struct sim_disk *d, const char *from, const char *to);
/* Whole and safe at once. */
enum err disk_write(struct sim_disk *d, const char *path, struct bytes content) MUST_USE;
void disk_list(struct sim_disk *d, const char *dir, host_name_fn fn, void *arg);

struct bytes file_content(const struct sim_file *f);
enum err file_put(struct sim_file *f, uint64_t at, const void *p, size_t n, struct random *r) MUST_USE;
enum err file_cut(struct sim_file *f, uint64_t size) MUST_USE;
enum err file_sync(struct sim_file *f) MUST_USE;

#endif

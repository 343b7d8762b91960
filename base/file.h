/* Small files as a whole. For the command, the tests and the daemon's start; what the running node
 * writes goes through its host, but for file_write_at, which is what the host has to write at a place. */
#ifndef KITH_BASE_FILE_H
#define KITH_BASE_FILE_H

#include "base/bytes.h"

#include <stdint.h>

/* For a call on a path that just failed: the code of errno, and a note that says what was tried, why it failed and, of
 * a full disk, what to do. */
enum err file_failed(struct note *note, const char *what, const char *path);
/* Reads all of it, at most `max` bytes, behind what `out` holds. */
enum err file_read(const char *path, size_t max, struct buf *out, struct note *note) MUST_USE;
/* New content or the old, never a mixture: written beside, synced, renamed, the directory synced. ERR_EXISTS for a path
 * that is no regular file, which would be replaced by one. */
enum err file_write(const char *path, unsigned mode, struct bytes content, struct note *note) MUST_USE;
/* Makes the name of a file or directory survive a power cut: syncs the directory that it is in. */
enum err file_sync_parent(const char *path, struct note *note) MUST_USE;
/* Makes the directory and those above it, mode 0700; an existing one is fine. */
enum err file_make_dir(const char *path, struct note *note) MUST_USE;
/* For reading, and a regular file: ERR_FORMAT for directories, pipes, devices, without waiting for anybody. */
enum err file_open_regular(const char *path, int *fd, uint64_t *size, struct note *note) MUST_USE;
/* All n bytes from `at` on; ERR_IO where there are fewer. */
enum err file_read_at(int fd, const char *path, void *p, size_t n, uint64_t at, struct note *note) MUST_USE;
/* All n bytes from `at` on, into an open file. 0, or what errno would be. */
int file_write_at(int fd, const void *p, size_t n, uint64_t at) MUST_USE;
#endif

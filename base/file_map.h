/* Files as memory, that others may change or shorten meanwhile.
 *
 * Whoever touches what is no longer there of a mapped file gets SIGBUS, and so does who reads where the disk fails.
 * Here such a mapping reads as zeros from there on, and says so: look with file_map_is_whole before believing what was
 * read. */
#ifndef KITH_BASE_FILE_MAP_H
#define KITH_BASE_FILE_MAP_H

#include "base/bytes.h"

/* A read-only mapping of the whole regular file; unmap with file_unmap. An empty file gives n = 0. ERR_FULL: more than
 * FILE_MAPS_MAX at once. */
enum err file_map(const char *path, struct bytes *out, struct note *note) MUST_USE;
/* False once a part was not there when it was read. */
bool file_map_is_whole(struct bytes mapped) MUST_USE;
void file_unmap(struct bytes mapped);

#endif

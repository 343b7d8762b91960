/* What a process does to the disk, written down call by call, below every library that does it.
 *
 * The program that links this file has its own open, write, fdatasync, rename and so on, which LevelDB, libuv and our
 * own code then call instead of the C library's. Calls on files under one directory, the root, are carried out and
 * noted in a trace, in the order in which they happened, whatever thread made them. Syncs are noted and not carried
 * out: who reads the trace decides what a power cut leaves. All other calls pass.
 *
 * Not seen: what goes through stdio's own calls (LevelDB's LOG, which nobody reads) and mappings (LevelDB maps tables
 * for reading only). */
#ifndef KITH_TESTS_CRASH_DISK_H
#define KITH_TESTS_CRASH_DISK_H

#include "base/bytes.h"

enum disk_kind {
    DISK_MAKE,     /* path is a new, empty file: inode */
    DISK_MAKE_DIR, /* path */
    DISK_WRITE,    /* inode, at, bytes */
    DISK_CUT,      /* inode, at: the new size */
    DISK_SYNC,     /* inode */
    DISK_SYNC_DIR, /* path */
    DISK_RENAME,   /* path, to */
    DISK_REMOVE,   /* path */
    DISK_MARK      /* no call: `inode` and `bytes` as the program said */
};

struct disk_op {
    enum disk_kind kind;
    uint32_t inode;
    uint64_t at;
    char *path, *to; /* relative to the root; "" is the root */
    struct buf bytes;
};

struct disk_trace {
    struct disk_op *ops;
    uint32_t n, room;
};
void disk_trace_clear(struct disk_trace *t);
void disk_trace_save(const struct disk_trace *t, const char *path);
void disk_trace_load(struct disk_trace *t, const char *path);

/* Inodes of files that have lost their names: numbers that disk_record gives to no file. */
#define DISK_RESERVED 256

/* Begins to note into `t`. The files that are there already have the inodes 0 to n - 1, new ones those from n +
 * DISK_RESERVED on. */
void disk_record(const char *root, struct disk_trace *t, char *const *paths, uint32_t n);
/* Ends it: later calls, from whatever thread, are not noted. */
void disk_stop(void);
/* The program's own word in the trace, between the calls before and after. */
void disk_mark(uint32_t what, struct bytes said);

/* From now on the k-th call that takes room (1 is the next) and all after it fail with `e`; a write leaves half of its
 * bytes. 0 ends that. Needs no trace, but disk_record's root. */
void disk_fail(uint64_t k, int e);
/* Calls that took room or would have since disk_fail. */
uint64_t disk_taken(void);

#endif

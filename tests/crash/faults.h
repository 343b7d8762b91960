/* A disk that fills at each call that takes room, and one that changes what was written to it. */
#ifndef KITH_TESTS_CRASH_FAULTS_H
#define KITH_TESTS_CRASH_FAULTS_H

#include "tests/crash/image.h"
#include "tests/crash/scene.h"

struct faults {
    const char *dir, *home; /* the disk, and the node's home on it */
    uint64_t tried, failed; /* counted on */
    uint32_t every;         /* of the points */
};

/* For each k: the disk takes no more from the k-th call on. Nothing may be announced, everything told before be
 * readable, and when there is room again the node goes on, now and after a start. */
void faults_full(struct faults *f);
/* Each file of this image in turn, changed in many places, under a start. It is refused with a line that says what to
 * do, or found when it is read, or harmless: never another block, another balance or a second vote. */
void faults_flips(struct faults *f, const struct image *image, const struct disk_trace *trace);
/* The same node on a real file system of a few megabytes, if this machine lets us mount one; says so if not. */
void faults_small_disk(struct faults *f);

/* The wallet's file, replaced again and again: every crash (tests/crash/files.c). */
void faults_files(struct faults *f);

#endif

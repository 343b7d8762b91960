/* A disk of which some is safe and some is not, and the disks that a power cut may make of it.
 *
 * What is safe: a file's bytes as they were at its last sync; a directory's names as they were at its last sync. A name
 * that was not synced is lost with the file behind it, however well that was synced. What came since may be there,
 * not be there, or be there in part. Names of one directory change in the order of the calls, and a name that is lost
 * takes with it what was written into files of that directory afterwards and not synced: so do file systems with a
 * journal. (One that keeps unsynced bytes of a manifest and loses the name of a table that was synced before would be
 * more than LevelDB survives.) */
#ifndef KITH_TESTS_CRASH_IMAGE_H
#define KITH_TESTS_CRASH_IMAGE_H

#include "base/hash.h"
#include "tests/crash/disk.h"

/* Ways to crash. */
enum image_cut {
    IMAGE_KILL,   /* the process is killed: everything stays */
    IMAGE_BOTH,   /* power cut: what was not synced is gone, bytes and names */
    IMAGE_DATA,   /* unsynced bytes are gone, names stay */
    IMAGE_NAMES,  /* unsynced names are gone, bytes from before them stay */
    IMAGE_TORN,   /* everything stays but half of each file's last unsynced write */
    IMAGE_HOLES,  /* sizes stay; of unsynced writes each sector reached the disk, or not and is zero */
    IMAGE_RANDOM, /* of each directory the first few names stay, of files what was written until then, torn or with
                     holes */
    IMAGE_CUTS
};
const char *image_cut_name(enum image_cut cut);

struct disk;
struct disk *disk_new(void);
/* A disk that has this image, all safe. */
struct image;
struct disk *disk_of(const struct image *image);
/* The disk `d` after a kill, of which `image` is the image: everything is there, and no safer than before. The inodes
 * are those of disk_record with the image's paths. */
struct disk *disk_after_kill(const struct disk *d, const struct image *image);
void disk_free(struct disk *d);
void disk_step(struct disk *d, const struct disk_op *op);

struct image_file {
    char *path; /* relative; directories come before what is in them */
    bool is_dir;
    struct buf bytes;
};
struct image {
    struct image_file *files;
    uint32_t n;
};
void image_make(struct image *image, const struct disk *d, enum image_cut cut, uint64_t seed);
void image_clear(struct image *image);
struct hash image_hash(const struct image *image);
/* Makes `dir` hold exactly this. */
void image_write(const struct image *image, const char *dir);
/* Paths of its files, in the order of disk_of's inodes; how many. Borrowed; the array is the caller's. */
uint32_t image_paths(const struct image *image, char ***paths);

#endif

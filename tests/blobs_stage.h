/* Nodes with stores of blobs on a real disk, and a file to be given and pulled. */
#ifndef KITH_TESTS_BLOBS_STAGE_H
#define KITH_TESTS_BLOBS_STAGE_H

#include "node/blobs/blobs.h"
#include "tests/net.h"

#define BLOBS_SIZE (300u * LEAF_SIZE + 5u)

struct blobs_done {
    bool called;
    enum err e;
    struct hash root;
    struct note note;
};

struct blobs_stage {
    struct net net;
    char *dir[4];
    struct blobs *blobs[4];
    char *file;
    uint8_t *content;
    struct hash root;
};

/* Of an import or a pull, whose argument is the struct blobs_done; and the condition that it was called. */
void blobs_stage_done(void *arg, enum err e, const struct hash *root, const struct note *note);
bool blobs_stage_is_done(void *arg);
struct hash blobs_stage_chain(uint8_t b);
void blobs_stage_open(struct blobs_stage *f, unsigned n);
void blobs_stage_close(struct blobs_stage *f);
void blobs_stage_start(struct blobs_stage *f, unsigned i);
void blobs_stage_stop(struct blobs_stage *f, unsigned i);
/* The file, into the store of node i. */
void blobs_stage_import(struct blobs_stage *f, unsigned i);

#endif

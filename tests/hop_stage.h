/* Three nodes over loopback with real workers: one that lends layers, one that may borrow them, one that may not yet.
 */
#ifndef KITH_TESTS_HOP_STAGE_H
#define KITH_TESTS_HOP_STAGE_H

#include "node/hops/hop_lend.h"
#include "tests/net.h"

#define HOP_MODEL "models/kith-guide.gguf" /* of four layers: 1 and 2 can be elsewhere */

enum hop_node { LENDER, HEAD, OTHER };

struct hop_side {
    char *dir;
    struct streams *streams;
    struct blobs *blobs;
    struct workers *workers;
};

struct hop_stage {
    struct net net;
    struct hop_side side[3];
    struct hop_lender *lender;
    struct hash root;
    bool imported, allow[3], may;
    uint64_t more; /* that was asked for last */
};

extern const struct hash hop_stage_chain;

/* `head_memory`: the bound of the head's workers, 0 for none. The head is allowed, the other one is not. */
void hop_stage_open(struct hop_stage *s, uint64_t head_memory);
void hop_stage_close(struct hop_stage *s);
/* The model into that node's store. */
void hop_stage_import(struct hop_stage *s, enum hop_node i);

#endif

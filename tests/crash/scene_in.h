/* What a scene is made of, for its nodes (scene.c) and its network (scene_peers.c). */
#ifndef KITH_TESTS_CRASH_SCENE_IN_H
#define KITH_TESTS_CRASH_SCENE_IN_H

#include "node/consensus/consensus.h"
#include "tests/crash/scene.h"

/* In place of node/net/peers.c. */
struct peers {
    struct scene *scene;
    unsigned self;
    struct {
        peers_message_fn fn;
        void *arg;
    } on[256];
};

struct member {
    struct peers peers;
    struct seckey key;
    struct pubkey id;
    struct kv *kv;
    struct ledger *ledger;
    struct consensus *consensus;
    char dir[1024];
};

struct message {
    struct timer timer;
    struct message *next, **link;
    struct scene *scene;
    unsigned from, to;
    uint8_t type;
    struct buf body;
};

/* Done on a thread, as far as a node can see. */
struct work {
    struct timer timer;
    struct work *next, **link;
    struct scene *scene;
    host_fn work, done;
    void *arg;
};

struct scene {
    struct host host; /* first */
    struct host *real;
    struct scene_options o;
    struct timer_heap timers;
    uint64_t now_ms, random;
    struct genesis genesis;
    struct buf genesis_room;
    struct hash chain_id;
    struct seckey rich;
    struct pubkey rich_id;
    struct member m[SCENE_NODES_MAX];
    struct message *messages;
    struct work *works;
    const struct disk_trace *chain;
    uint64_t chain_height;
};

uint64_t scene_random(struct scene *s);
/* Of the network: what is under way goes with its scene. */
void scene_message_free(struct message *m);

#endif

/* Validators in one process, on virtual time, with a network that is a queue: whole production consensus, ledger and
 * stores. The first one's home is a directory that a test watches; the others keep theirs in memory and elsewhere.
 *
 * What the watched one lets out, takes in and commits is said to the trace (disk_mark), so that it stands
 * between the calls that change its disk. */
#ifndef KITH_TESTS_CRASH_SCENE_H
#define KITH_TESTS_CRASH_SCENE_H

#include "chain/ledger.h"
#include "tests/crash/disk.h"

#define SCENE_NODES_MAX 4

enum scene_mark {
    MARK_OUT,   /* u8 message type | body: left the watched node */
    MARK_IN,    /* u64 height in the making | u64 time | u8 from | u8 type | body: reached it */
    MARK_BLOCK, /* u64 height | id | state root after it: committed, and told to everybody */
    MARK_NOTHING,
    MARK_CHAIN /* u32 size | block | commit: what everybody has at the end, height by height */
};

struct scene_options {
    unsigned nodes;        /* 1 or 4 */
    uint64_t seed;         /* of the network */
    unsigned loss_percent; /* of messages */
    const char *home;      /* of the watched node; its parent is there */
    const char *elsewhere; /* a directory for the others */
};

struct scene;
/* The keys, the genesis and the clock's start are the same in every scene of so many nodes. */
struct scene *scene_new(const struct scene_options *o);
void scene_free(struct scene *s);
/* Starts a node over what its home holds. The watched one is node 0. */
enum err scene_start(struct scene *s, unsigned node, struct note *note);
/* As a kill does it, but the files are closed. */
void scene_stop(struct scene *s, unsigned node);
/* Lets time pass until node 0 has this height; false after so much virtual time. */
bool scene_run(struct scene *s, uint64_t height, uint64_t limit_ms);
/* Lets time pass until then. */
void scene_wait(struct scene *s, uint64_t until_ms);
/* The clock, before anything is started. */
void scene_set_now(struct scene *s, uint64_t now_ms);
/* A payment of the rich account, through a node. */
void scene_pay(struct scene *s, unsigned node, uint64_t mote);
/* Something from a peer that is not in this scene, to node 0. */
void scene_deliver(struct scene *s, unsigned from, uint8_t type, struct bytes body);
/* Answers node 0's questions for blocks out of this chain, and tells it that everybody has it. */
void scene_offer_chain(struct scene *s, const struct disk_trace *chain);
void scene_tell_height(struct scene *s);

struct ledger *scene_ledger(const struct scene *s, unsigned node);
struct kv *scene_kv(const struct scene *s, unsigned node);
enum err scene_block(const struct scene *s, unsigned node, uint64_t height, struct buf *block, struct buf *commit);
bool scene_is_stuck(const struct scene *s);
uint64_t scene_now(const struct scene *s);
/* Of a scene of so many nodes. */
struct hash scene_chain(unsigned nodes);
/* The watched node's key. */
struct pubkey scene_self(void);
/* Marks MARK_CHAIN for every height of a node. */
void scene_mark_chain(const struct scene *s, unsigned node);

#endif

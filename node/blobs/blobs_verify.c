/* A whole blob, read again at once because its owner asks: leaf by leaf in turns of the loop, so that nothing waits for
 * it. What differs is treated as by the check that goes on all the time (blobs_check.c). */
#include "node/blobs/blobs_in.h"

#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define TURN_LEAVES 32 /* a few milliseconds of reading and hashing */

struct verify {
    struct blobs *owner;
    struct verify *next;
    struct hash root;
    uint64_t leaf;
    blobs_verify_fn fn;
    void *arg;
    struct timer timer;
};

static void verify_free(struct verify *v)
{
    struct verify **at = &v->owner->verifies;
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    host_timer_cancel(v->owner->host, &v->timer);
    free(v);
}

static void end(struct verify *v, enum err e, uint64_t done, uint64_t total, const struct note *note)
{
    blobs_verify_fn fn = v->fn;
    void *arg = v->arg;
    verify_free(v);
    fn(arg, true, e, done, total, note);
}

static void turn(void *arg)
{
    struct verify *v = arg;
    struct note note = {{0}};
    struct item *it = blobs_item(v->owner, &v->root);
    if (!it || !it->whole) {
        enum err e = note_set(&note, ERR_STATE, "it was changed or found damaged while it was read: kith models");
        end(v, e, 0, 0, &note);
        return;
    }
    const uint64_t leaves = merkle_leaves(it->size), total = it->size;
    for (unsigned i = 0; i < TURN_LEAVES && v->leaf < leaves; i++, v->leaf++)
        if (!blobs_leaf_is_right(it, v->leaf)) {
            enum err e = note_set(&note, ERR_CORRUPT,
                                  "leaf %" PRIu64 " of %" PRIu64 " (bytes from %" PRIu64
                                  ") is not what the root says: the disk or its memory changed it. It is not used any "
                                  "more and being fetched again; if that comes back, the disk is failing",
                                  v->leaf, leaves, v->leaf * LEAF_SIZE);
            uint64_t leaf = v->leaf;
            blobs_found_damaged(it, leaf);
            end(v, e, leaf * LEAF_SIZE, total, &note);
            return;
        }
    uint64_t done = v->leaf * LEAF_SIZE < total ? v->leaf * LEAF_SIZE : total;
    if (v->leaf == leaves) {
        end(v, ERR_OK, total, total, &note);
        return;
    }
    v->fn(v->arg, false, ERR_OK, done, total, &note);
    host_timer_set(v->owner->host, &v->timer, 1, turn, v);
}

enum err blobs_verify(struct blobs *b, const struct hash *root, blobs_verify_fn fn, void *arg, struct note *note)
{
    const struct item *it = blobs_item(b, root);
    if (!it || !it->whole)
        return note_set(note, it ? ERR_STATE : ERR_NOT_FOUND,
                        it ? "only a part of it is here: kith model pull fetches "
                             "the rest, and checks each leaf"
                           : "it is not on this machine: kith model pull");
    struct verify *v = mem_new(sizeof *v);
    *v = (struct verify){.owner = b, .next = b->verifies, .root = *root, .fn = fn, .arg = arg};
    b->verifies = v;
    host_timer_set(b->host, &v->timer, 0, turn, v);
    return ERR_OK;
}

void blobs_verify_stop(struct blobs *b)
{
    while (b->verifies)
        verify_free(b->verifies);
}

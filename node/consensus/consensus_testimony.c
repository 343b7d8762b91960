/* What this node can testify of the heights that it helped to decide (chain/blame.h), kept in the store until no stake
 * answers for them any more. Key: KV_BLOCK 'q' height -> testimony, written in the block's own batch.
 */
#include "node/consensus/consensus_in.h"

#include "chain/blame.h"

#include <string.h>

#define KEY_SIZE 10

static struct bytes store_key(uint8_t key[KEY_SIZE], uint64_t height)
{
    key[0] = KV_BLOCK;
    key[1] = 'q';
    for (int i = 0; i < 8; i++)
        key[2 + i] = (uint8_t)(height >> (56 - 8 * i));
    return bytes_of(key, KEY_SIZE);
}

/* Keys are in the order of heights: the first is the oldest. */
static bool take_first(void *arg, struct bytes key, struct bytes value)
{
    uint64_t *height = arg;
    (void)value;
    *height = 0;
    for (size_t i = 2; i < key.n; i++)
        *height = *height << 8 | key.p[i];
    return false;
}

enum err testimony_load(struct consensus *c, struct note *note)
{
    static const uint8_t prefix[2] = {KV_BLOCK, 'q'};
    c->testimony_from = c->height;
    return kv_scan(c->o.kv, bytes_of(prefix, sizeof prefix), take_first, &c->testimony_from, note);
}

static void forget_old(struct consensus *c)
{
    uint8_t key[KEY_SIZE];
    uint64_t from = ledger_answers_from(c->o.ledger);
    for (int i = 0; i < CONSENSUS_FORGET_MAX && c->testimony_from < from; i++)
        kv_batch_delete(&c->batch, store_key(key, c->testimony_from++));
}

/* The machine still stands at the height, whoever brought the commit. Nothing to say without a quorum of prevotes: the
 * commit alone is kept with the block. */
void testimony_store(struct consensus *c, struct bytes raw_commit)
{
    struct commit m;
    struct buf raw = {0};
    struct testimony t;
    uint8_t key[KEY_SIZE];
    forget_old(c);
    if (bft_view(c->bft).height != c->height || commit_decode(raw_commit, &m) != ERR_OK)
        return;
    blame_put_testimony(&raw, &c->chain, c->validators, &m, c->bft);
    if (blame_get_testimony(bytes_of_buf(&raw), &t, NULL) == ERR_OK && t.quorums.n)
        kv_batch_put(&c->batch, store_key(key, c->height), bytes_of_buf(&raw));
    buf_clear(&raw);
}

enum err consensus_testimony(const struct consensus *c, uint64_t height, struct buf *out, struct note *note)
{
    uint8_t key[KEY_SIZE];
    enum err e = kv_get(c->o.kv, store_key(key, height), out, NULL);
    return e == ERR_NOT_FOUND
               ? note_set(note, e, "this node has no prevotes of height %llu: it did not vote, or they are forgotten",
                          (unsigned long long)height)
               : e;
}

/* What is kept of blocks, and for how long: light blocks are made from it, old ones are dropped, and a node that joins
 * by a snapshot begins with none.
 *
 * In the store, beside blocks and commits: KV_BLOCK 'v' and the hash of a set of validators -> the height from
 * which it was last in office, the set; KV_BLOCK 'p' -> the first height whose block is here.
 *
 * A block goes when it is older than the window and than the unbonding period (evidence, and light clients that
 * trust an old header, need it until then), and no snapshot that is served needs it to go on from. */
#include "node/consensus/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"
#include "chain/light.h"
#include "chain/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t first_key[2] = {KV_BLOCK, 'p'};

/* -- sets of validators -- */

#define KEPT_SET_FIELDS(F) F(u64, from) F(blob, validators)
RECORD_DECLARE(kept_set, KEPT_SET_FIELDS)
RECORD_DEFINE(kept_set, KEPT_SET_FIELDS)

static struct bytes set_key(uint8_t key[2 + HASH_SIZE], const struct hash *set)
{
    key[0] = KV_BLOCK;
    key[1] = 'v';
    memcpy(key + 2, set->b, HASH_SIZE);
    return bytes_of(key, 2 + HASH_SIZE);
}

/* Beside each block whose set was not the last one's. */
void kept_put_set(struct consensus *c, const struct header *h)
{
    uint8_t key[2 + HASH_SIZE];
    struct buf list = {0}, raw = {0};
    if (hash_equal(&c->kept_set, &h->validators))
        return;
    light_put_validators(&list, c->validators);
    kept_set_put(&raw, &(struct kept_set){h->height, bytes_of_buf(&list)});
    kv_batch_put(&c->batch, set_key(key, &h->validators), bytes_of_buf(&raw));
    c->kept_set = h->validators;
    buf_clear(&list);
    buf_clear(&raw);
}

static enum err set_get(const struct consensus *c, const struct hash *set, struct buf *room, struct kept_set *out)
{
    uint8_t key[2 + HASH_SIZE];
    enum err e = kv_get(c->o.kv, set_key(key, set), room, NULL);
    struct cursor r = cursor_of(bytes_of_buf(room));
    if (e != ERR_OK)
        return e;
    kept_set_get(&r, out);
    return cursor_end(&r) ? ERR_OK : ERR_CORRUPT;
}

enum err consensus_light_block(const struct consensus *c, uint64_t height, struct buf *out, struct note *note)
{
    struct buf block = {0}, commit = {0}, set = {0};
    struct light_block b;
    struct kept_set kept;
    enum err e = consensus_block_get(c, height, &block, &commit, note);
    struct cursor r = cursor_of(bytes_of_buf(&block));
    if (e == ERR_OK) {
        header_get(&r, &b.header);
        e = cursor_ok(&r) ? set_get(c, &b.header.validators, &set, &kept) : ERR_CORRUPT;
        if (e != ERR_OK)
            e = note_set(note, e, "the validators of height %" PRIu64 " are not kept here", height);
    }
    if (e == ERR_OK) {
        b.commit = bytes_of_buf(&commit);
        b.validators = kept.validators;
        light_block_put(out, &b);
    }
    buf_clear(&block);
    buf_clear(&commit);
    buf_clear(&set);
    return e;
}

/* -- pruning -- */

void kept_open(struct consensus *c)
{
    struct buf raw = {0};
    c->first = 1;
    if (kv_get(c->o.kv, bytes_of(first_key, sizeof first_key), &raw, NULL) == ERR_OK && raw.n == 8)
        c->first = load_le64(raw.p);
    buf_clear(&raw);
}

static void first_put(struct kv_batch *batch, uint64_t first)
{
    uint8_t raw[8];
    store_le64(raw, first);
    kv_batch_put(batch, bytes_of(first_key, sizeof first_key), bytes_of(raw, sizeof raw));
}

/* Its set goes with the last block that it decided, unless it came back since. */
static void drop_set(struct consensus *c, const struct header *h, struct kv_batch *batch)
{
    uint8_t key[2 + HASH_SIZE];
    struct buf raw = {0};
    struct kept_set kept;
    struct header next;
    struct cursor r;
    if (consensus_block_get(c, h->height + 1, &raw, NULL, NULL) == ERR_OK) {
        r = cursor_of(bytes_of_buf(&raw));
        header_get(&r, &next);
        bool is_last = cursor_ok(&r) && !hash_equal(&next.validators, &h->validators);
        buf_reset(&raw);
        if (is_last && set_get(c, &h->validators, &raw, &kept) == ERR_OK && kept.from <= h->height)
            kv_batch_delete(batch, set_key(key, &h->validators));
    }
    buf_clear(&raw);
}

static bool is_old(const struct consensus *c, const struct header *h, const struct ledger_info *info)
{
    return h->height + c->o.keep_blocks <= info->height &&
           h->time_ms + ledger_params(c->o.ledger).unbonding_ms + info->stood_ms < info->time_ms;
}

/* True if the first block went. *txs counts its transactions. */
static bool drop_first(struct consensus *c, const struct ledger_info *info, uint32_t *txs_n, struct bytes *txs)
{
    struct kv_batch batch = {0};
    struct buf raw = {0};
    struct block b;
    bool is_dropped = false;
    enum err e = consensus_block_get(c, c->first, &raw, NULL, NULL);
    if (e == ERR_OK)
        e = block_decode(bytes_of_buf(&raw), &b, txs, NULL);
    if (e == ERR_OK && is_old(c, &b.header, info)) {
        for (uint32_t i = 0; i < b.header.txs_n; i++) {
            struct tx t;
            if (tx_decode(txs[i], &t, NULL) == ERR_OK) {
                struct hash id = tx_id(&t);
                ledger_drop_result(&batch, &id);
            }
        }
        block_drop(&batch, c->first);
        drop_set(c, &b.header, &batch);
        first_put(&batch, c->first + 1);
        is_dropped = kv_write(c->o.kv, &batch, false, NULL) == ERR_OK;
        c->first += is_dropped;
        *txs_n += b.header.txs_n;
    }
    kv_batch_clear(&batch);
    buf_clear(&raw);
    return is_dropped;
}

/* A few blocks, or a few thousand transactions: more than come in, and no pause that anybody would notice. */
void kept_prune(struct consensus *c)
{
    struct ledger_info info = ledger_info(c->o.ledger);
    if (c->o.keep_blocks == 0 || c->first + c->o.keep_blocks > info.height)
        return;
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    uint32_t n = 0, txs_n = 0;
    while (n < PRUNE_BLOCKS && txs_n < PRUNE_TXS && c->first < info.height &&
           (c->keep_from == 0 || c->first < c->keep_from) && drop_first(c, &info, &txs_n, txs))
        n++;
    if (n > 0 && c->first % 1024 < n)
        log_event(LOG_INFO, "consensus", "pruned", "first=%" PRIu64, c->first);
    free(txs);
}

void consensus_keep_from(struct consensus *c, uint64_t height)
{
    c->keep_from = height;
}

uint64_t consensus_first(const struct consensus *c)
{
    return c->first;
}

/* -- joining by a snapshot -- */

void consensus_hold(struct consensus *c, bool is_held)
{
    if (c->sync)
        sync_hold(c->sync, is_held);
}

bool consensus_is_pruned(const struct consensus *c)
{
    return c->sync && sync_is_pruned(c->sync);
}

void consensus_anchor_put(const struct consensus *c, struct buf *out)
{
    snapshot_anchor_put(out, c->validators, c->next_validators);
}

enum err consensus_join_end(struct consensus *c, const struct consensus_join *j, struct note *note)
{
    const struct ledger_base *base = ledger_snapshot_now(c->o.ledger);
    struct kv_batch batch = {0};
    CHECK(base && !c->is_committing);
    uint64_t height = base->height + 1;
    block_state_put(&batch, height, &j->beacon, j->validators, j->next_validators);
    first_put(&batch, height);
    enum err e = ledger_snapshot_end(c->o.ledger, &batch, note);
    kv_batch_clear(&batch);
    if (e != ERR_OK)
        return e;
    *c->validators = *j->validators;
    *c->next_validators = *j->next_validators;
    c->beacon = j->beacon;
    c->height = c->first = height;
    c->kept_set = (struct hash){{0}};
    c->is_stuck = c->is_stuck_said = false;
    mempool_step(c->pool);
    consensus_start_height(c);
    if (c->o.peers) {
        peers_set_height(c->o.peers, height - 1);
        wire_send_status(c);
        sync_height(c->sync, height - 1);
    }
    return ERR_OK;
}

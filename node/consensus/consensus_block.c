/* Blocks in the node's hands: made from the pool, judged, decided, applied, stored.
 *
 * Keys in the store: KV_BLOCK 'b' height -> block, KV_BLOCK 'c' height -> commit, KV_CONSENSUS 'h' -> what the next
 * height needs (beacon, validators of it and of the one behind). They are written in the ledger's own batch, so state,
 * block and this never disagree.
 */
#include "node/consensus/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct bytes block_key(uint8_t key[10], uint8_t what, uint64_t height)
{
    key[0] = KV_BLOCK;
    key[1] = what;
    for (int i = 0; i < 8; i++)
        key[2 + i] = (uint8_t)(height >> (56 - 8 * i));
    return bytes_of(key, 10);
}

static const uint8_t state_key[2] = {KV_CONSENSUS, 'h'};

/* -- what the next height needs -- */

static enum err state_begin(struct consensus *c, struct note *note)
{
    struct ledger_validator *list = mem_array(VALIDATORS_MAX, sizeof *list);
    struct valset_entry *entries = mem_array(VALIDATORS_MAX, sizeof *entries);
    uint32_t n = ledger_validators(c->o.ledger, list);
    for (uint32_t i = 0; i < n; i++)
        entries[i] = (struct valset_entry){list[i].key, list[i].power};
    enum err e = valset_init(c->validators, entries, n, note);
    if (e == ERR_OK) {
        *c->next_validators = *c->validators;
        valset_step(c->next_validators);
        c->beacon = block_beacon_first(&c->chain);
    }
    free(list);
    free(entries);
    return e;
}

enum err block_state_load(struct consensus *c, struct note *note)
{
    struct buf raw = {0};
    uint64_t height;
    enum err e = kv_get(c->o.kv, bytes_of(state_key, sizeof state_key), &raw, note);
    if ((e == ERR_NOT_FOUND || ledger_snapshot_now(c->o.ledger)) && c->height == 1) {
        e = state_begin(c, note);
    } else if (e == ERR_OK) {
        struct cursor r = cursor_of(bytes_of_buf(&raw));
        codec_get_u64(&r, &height);
        codec_get_hash(&r, &c->beacon);
        valset_get(&r, c->validators);
        valset_get(&r, c->next_validators);
        if (!cursor_end(&r) || height != c->height)
            e = note_set(note, ERR_CORRUPT,
                         "the store's validators are not those of height %" PRIu64 ": remove the chain's directory and "
                         "start again, it is fetched from peers",
                         c->height);
    }
    buf_clear(&raw);
    return e;
}

void block_state_put(struct kv_batch *batch, uint64_t height, const struct hash *beacon, const struct valset *now,
                     const struct valset *next)
{
    struct buf raw = {0};
    codec_put_u64(&raw, &height);
    codec_put_hash(&raw, beacon);
    valset_put(&raw, now);
    valset_put(&raw, next);
    kv_batch_put(batch, bytes_of(state_key, sizeof state_key), bytes_of_buf(&raw));
    buf_clear(&raw);
}

void block_drop(struct kv_batch *batch, uint64_t height)
{
    uint8_t key[10];
    kv_batch_delete(batch, block_key(key, 'b', height));
    kv_batch_delete(batch, block_key(key, 'c', height));
}

enum err consensus_block_get(const struct consensus *c, uint64_t height, struct buf *block, struct buf *commit,
                             struct note *note)
{
    uint8_t key[10];
    enum err e = ERR_OK;
    if (height < c->first)
        return note_set(note, ERR_EXPIRED, "block %" PRIu64 " is not kept here: the first is %" PRIu64, height,
                        c->first);
    if (block)
        e = kv_get(c->o.kv, block_key(key, 'b', height), block, note);
    if (e == ERR_OK && commit)
        e = kv_get(c->o.kv, block_key(key, 'c', height), commit, note);
    if (e == ERR_NOT_FOUND)
        (void)note_set(note, e, "no block %" PRIu64 " is here: the last is %" PRIu64, height,
                       ledger_info(c->o.ledger).height);
    return e;
}

/* -- blocks of the height in the making -- */

struct buf *value_find(struct consensus *c, const struct hash *id)
{
    for (int i = 0; i < BFT_VALUES_MAX; i++)
        if (c->values[i].raw.n && hash_equal(&c->values[i].id, id)) {
            c->values[i].used = ++c->value_clock;
            return &c->values[i].raw;
        }
    return NULL;
}

/* In the place of the one that was used longest ago; the locked and the valid one stay. */
void value_add(struct consensus *c, const struct hash *id, struct bytes raw)
{
    if (value_find(c, id))
        return;
    struct bft_view view = bft_view(c->bft);
    struct value *v = NULL;
    for (int i = 0; i < BFT_VALUES_MAX; i++) {
        struct value *old = &c->values[i];
        bool pinned = old->raw.n && ((view.locked_round != VOTE_NO_ROUND && hash_equal(&old->id, &view.locked_value)) ||
                                     (view.valid_round != VOTE_NO_ROUND && hash_equal(&old->id, &view.valid_value)));
        if (!pinned && (!v || old->used < v->used))
            v = old;
    }
    buf_reset(&v->raw);
    buf_add(&v->raw, raw.p, raw.n);
    v->id = *id;
    v->used = ++c->value_clock;
}

void values_clear(struct consensus *c)
{
    for (int i = 0; i < BFT_VALUES_MAX; i++) {
        buf_clear(&c->values[i].raw);
        c->values[i] = (struct value){0};
    }
}

static struct block_context context(const struct consensus *c)
{
    struct ledger_info info = ledger_info(c->o.ledger);
    return (struct block_context){.chain = c->chain,
                                  .height = c->height,
                                  .prev_time_ms = info.time_ms,
                                  .prev = info.block,
                                  .state = info.state_root,
                                  .beacon = c->beacon,
                                  .validators = c->validators,
                                  .next_validators = c->next_validators};
}

/* Our value for the beacon. False: a key of ours holds that is not this node's, so no block of ours would be taken. */
static bool proof_make(struct consensus *c, struct header *h)
{
    uint8_t input[BLOCK_BEACON_INPUT_SIZE];
    struct vrf_public holds, own = vrf_public_of(&c->vrf);
    if (!ledger_beacon_key(c->o.ledger, &c->self, h->height, &holds))
        return true;
    if (!codec_equal_vrf_public(&holds, &own)) {
        log_event(LOG_ODD, "consensus", "no_block", "height=%" PRIu64 " why=\"the ledger has another beacon key\"",
                  h->height);
        return false;
    }
    block_beacon_input(h, input);
    vrf_prove(&c->vrf, input, sizeof input, &h->proof);
    return true;
}

bool block_make(struct consensus *c, uint32_t round, struct hash *id)
{
    struct block_context x = context(c);
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    struct buf list = {0}, raw = {0};
    uint64_t wall = host_wall_ms(c->o.host);
    uint32_t n = mempool_prepare(c->pool, BLOCK_SIZE_MAX, txs);
    block_put_txs(&list, txs, n);
    struct block b = {.header = {.version = BLOCK_VERSION,
                                 .chain = x.chain,
                                 .height = x.height,
                                 .time_ms = wall > x.prev_time_ms ? wall : x.prev_time_ms + 1,
                                 .round = round,
                                 .proposer = c->self,
                                 .prev = x.prev,
                                 .txs = block_txs_root(txs, n),
                                 .txs_n = n,
                                 .state = x.state,
                                 .validators = valset_hash(x.validators),
                                 .next_validators = valset_hash(x.next_validators),
                                 .rotation = valset_rotation_hash(x.validators),
                                 .beacon = x.beacon},
                      .txs = bytes_of_buf(&list)};
    bool is_made = proof_make(c, &b.header);
    if (is_made) {
        block_put(&raw, &b);
        *id = block_id(&b.header);
        value_add(c, id, bytes_of_buf(&raw));
    }
    buf_clear(&list);
    buf_clear(&raw);
    free(txs);
    return is_made;
}

static enum err proof_check(const struct consensus *c, const struct header *h, struct note *note)
{
    struct vrf_public key;
    bool holds = ledger_beacon_key(c->o.ledger, &h->proposer, h->height, &key);
    return block_check_proof(h, holds ? &key : NULL, note);
}

/* A block that comes with a proposal of `round`. BFT_UNKNOWN for what is no block at all, or one of a round to come:
 * the verdict on a block must not depend on who showed it first. */
struct judged block_judge(struct consensus *c, struct bytes raw, uint32_t round)
{
    struct block b;
    struct note note = {{0}};
    struct block_context x = context(c);
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    struct judged j = {.verdict = BFT_UNKNOWN};
    if (block_decode(raw, &b, txs, &note) == ERR_OK && b.header.round <= round) {
        j.id = block_id(&b.header);
        j.time_ms = b.header.time_ms;
        j.round = b.header.round;
        j.verdict = bft_verdict(c->bft, &j.id);
        if (j.verdict == BFT_UNKNOWN)
            j.verdict = block_check(&b.header, &x, &note) == ERR_OK && proof_check(c, &b.header, &note) == ERR_OK &&
                                ledger_process(c->o.ledger, txs, b.header.txs_n, &note) == ERR_OK
                            ? BFT_VALID
                            : BFT_INVALID;
    }
    if (note.text[0])
        log_event(LOG_ODD, "consensus", "bad_block", "height=%" PRIu64 " why=\"%s\"", c->height, note.text);
    free(txs);
    return j;
}

bool block_is_timely(const struct consensus *c, uint64_t time_ms, uint32_t round)
{
    uint64_t wall = host_wall_ms(c->o.host);
    uint64_t off = time_ms > wall ? time_ms - wall : wall - time_ms;
    return off <= BFT_CLOCK_DRIFT_MS + (uint64_t)round * BFT_CLOCK_STEP_MS;
}

/* -- decided -- */

/* The validators of two heights on, as the block left them. A set that cannot be one (nobody has stake left)
 * leaves the old one in office: a chain without validators could never change that again. */
static void validators_follow(const struct ledger_result *r, struct valset *set)
{
    struct note note = {{0}};
    struct valset_entry *entries = mem_array(VALIDATORS_MAX, sizeof *entries);
    for (uint32_t i = 0; i < r->validators_n; i++)
        entries[i] = (struct valset_entry){r->validators[i].key, r->validators[i].power};
    if (r->validators_changed && valset_update(set, entries, r->validators_n, &note) != ERR_OK)
        log_event(LOG_ODD, "consensus", "validators_kept", "why=\"%s\"", note.text);
    free(entries);
    valset_step(set);
}

/* Everything that must be on disk, in one batch beside the ledger's; then the new height begins. */
static void commit_done(struct consensus *c)
{
    struct block b;
    struct note note = {{0}};
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    CHECK(block_decode(bytes_of_buf(&c->decided), &b, txs, &note) == ERR_OK);
    struct consensus_block block = {block_id(&b.header), &b.header, txs, c->result};
    struct valset *next = mem_new(sizeof *next);
    *next = *c->next_validators;
    validators_follow(c->result, next);
    *c->validators = *c->next_validators;
    *c->next_validators = *next;
    free(next);
    c->beacon = block_beacon_next(&b.header);
    c->is_committing = c->is_stuck = c->is_stuck_said = false;
    c->height = b.header.height + 1;
    kv_batch_clear(&c->batch);
    if (log_is_on(LOG_DEBUG)) {
        char hex[65];
        hex_put(hex, block.id.b, sizeof block.id.b);
        log_event(LOG_DEBUG, "consensus", "committed", "height=%" PRIu64 " txs=%u id=%s", b.header.height,
                  b.header.txs_n, hex);
    }
    mempool_step(c->pool);
    consensus_start_height(c);
    if (c->o.peers) {
        peers_set_height(c->o.peers, b.header.height);
        wire_send_status(c);
        sync_height(c->sync, b.header.height);
    }
    txs_committed(c, &block);
    duty_step(c);
    kept_prune(c);
    free(txs);
}

void block_commit_retry(struct consensus *c)
{
    struct note note = {{0}};
    enum err e = ledger_commit(c->o.ledger, &c->batch, &note);
    if (e == ERR_OK) {
        commit_done(c);
        return;
    }
    consensus_stuck(c, note.text);
}

/* Applies a decided block that was judged or whose commit was verified. */
static enum err apply(struct consensus *c, struct bytes raw, struct bytes commit, struct note *note)
{
    struct block b;
    uint8_t key[10];
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    buf_reset(&c->decided);
    buf_add(&c->decided, raw.p, raw.n);
    enum err e = block_decode(bytes_of_buf(&c->decided), &b, txs, note);
    if (e == ERR_OK) {
        struct ledger_block l = {.height = b.header.height,
                                 .time_ms = b.header.time_ms,
                                 .id = block_id(&b.header),
                                 .beacon = b.header.beacon,
                                 .proposer = b.header.proposer,
                                 .txs = txs,
                                 .n = b.header.txs_n};
        e = ledger_finalize(c->o.ledger, &l, &c->result, note);
    }
    if (e == ERR_OK) {
        struct hash beacon = block_beacon_next(&b.header);
        struct valset *after = mem_new(sizeof *after);
        *after = *c->next_validators;
        validators_follow(c->result, after);
        kv_batch_clear(&c->batch);
        kv_batch_put(&c->batch, block_key(key, 'b', c->height), raw);
        kv_batch_put(&c->batch, block_key(key, 'c', c->height), commit);
        testimony_store(c, commit);
        kept_put_set(c, &b.header);
        block_state_put(&c->batch, c->height + 1, &beacon, c->next_validators, after);
        free(after);
        if (c->o.store) {
            struct consensus_block block = {block_id(&b.header), &b.header, txs, c->result};
            c->o.store(c->o.store_arg, &block, &c->batch);
        }
        c->is_committing = true;
    }
    free(txs);
    if (e == ERR_OK)
        block_commit_retry(c);
    return e;
}

void block_decide(struct consensus *c, uint32_t round, const struct hash *id)
{
    struct note note = {{0}};
    struct buf raw = {0}, sigs = {0}, commit = {0};
    const struct buf *kept = value_find(c, id);
    if (c->is_committing)
        return; /* a peer's copy of this block came first, and the store has not taken it yet */
    if (!kept) {
        log_event(LOG_ODD, "consensus", "no_block", "height=%" PRIu64 " why=\"it comes from a peer\"", c->height);
        return;
    }
    buf_add(&raw, kept->p, kept->n);
    bft_commit(c->bft, round, id, &sigs);
    struct commit m = {.height = c->height, .round = round, .value = *id, .sigs = bytes_of_buf(&sigs)};
    commit_put(&commit, &m);
    enum err e = apply(c, bytes_of_buf(&raw), bytes_of_buf(&commit), &note);
    if (e != ERR_OK)
        log_event(LOG_BROKEN, "consensus", "unapplied", "height=%" PRIu64 " why=\"%s\"", c->height, note.text);
    buf_clear(&raw);
    buf_clear(&sigs);
    buf_clear(&commit);
}

/* The block behind the one that is applied now, if it waits already: its signatures are verified beside. */
static void expect_synced(struct consensus *c)
{
    struct block b;
    struct bytes raw = sync_find(c->sync, c->height + 1);
    struct bytes *txs = raw.n ? mem_array(BLOCK_TXS_MAX, sizeof *txs) : NULL;
    if (raw.n && block_decode(raw, &b, txs, NULL) == ERR_OK)
        ledger_expect(c->o.ledger, txs, b.header.txs_n);
    free(txs);
}

enum err block_apply_synced(struct consensus *c, struct bytes raw, struct bytes commit, struct note *note)
{
    struct block b;
    struct commit m;
    if (c->is_committing || ledger_snapshot_now(c->o.ledger))
        return ERR_BUSY;
    struct block_context x = context(c);
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    enum err e = block_decode(raw, &b, txs, note);
    if (e == ERR_OK && commit_decode(commit, &m) != ERR_OK)
        e = note_set(note, ERR_FORMAT, "its commit does not decode");
    if (e == ERR_OK) {
        struct hash id = block_id(&b.header);
        e = commit_verify(&m, &c->chain, c->height, &id, c->validators, note);
    }
    if (e == ERR_OK && b.header.round > m.round)
        e = note_set(note, ERR_PROTOCOL, "block %" PRIu64 " was decided before it was made", c->height);
    if (e == ERR_OK)
        e = block_check(&b.header, &x, note);
    if (e == ERR_OK)
        e = proof_check(c, &b.header, note);
    if (e == ERR_OK)
        e = ledger_process(c->o.ledger, txs, b.header.txs_n, note);
    free(txs);
    if (e != ERR_OK)
        return e;
    expect_synced(c);
    return apply(c, raw, commit, note);
}

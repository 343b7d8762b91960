/* The ledger's life: open, finalize, commit.
 *
 *     committed --finalize--> finalized --commit--> committed
 *                                 `---- commit fails: still finalized, commit may be tried again
 *
 * Invariants: the tree's journal is empty when committed, and holds exactly the block's changes when finalized;
 * the store always holds one whole height: state, head and results change in one batch. */
#include "chain/ledger_core.h"

#include "base/mem.h"
#include "base/secret.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(rec_head, REC_HEAD_FIELDS)

static const char key_head[] = {KV_META, 'h', 'e', 'a', 'd'};
static const char key_genesis[] = {KV_META, 'g', 'e', 'n', 'e', 's', 'i', 's'};
#define BYTES_OF_ARRAY(a) bytes_of((a), sizeof(a))

/* -- open -- */

static enum err read_genesis(struct ledger *l, const struct genesis *given, struct note *note)
{
    enum err e = kv_get(l->kv, BYTES_OF_ARRAY(key_genesis), &l->genesis_room, note);
    if (e)
        return e;
    struct cursor c = cursor_of(bytes_of_buf(&l->genesis_room));
    genesis_get(&c, &l->genesis);
    /* The version stands first, so it is known of records that are not. */
    if (l->genesis_room.n >= 2 && load_le16(l->genesis_room.p) != GENESIS_VERSION)
        return note_set(
            note, ERR_UNSUPPORTED,
            "the store's chain has rules of version %u, this program knows version %d: use the kithd that made "
            "it, or begin in another home",
            load_le16(l->genesis_room.p), GENESIS_VERSION);
    if (!cursor_end(&c))
        return note_set(note, ERR_CORRUPT, "the store's genesis is damaged: let the node fetch the chain again");
    struct note why = {{0}};
    if (genesis_check(&l->genesis, &why) != ERR_OK)
        return note_set(
            note, ERR_UNSUPPORTED,
            "the store's chain has rules that this program refuses (%s): use the kithd that made it, or begin in "
            "another home",
            why.text);
    l->chain = genesis_chain_id(&l->genesis);
    struct hash other = given ? genesis_chain_id(given) : l->chain;
    if (!hash_equal(&other, &l->chain))
        return note_set(
            note, ERR_CHAIN,
            "the store holds chain %s..., the genesis file is of chain %s...: use another home, or its genesis",
            apply_text_id(l->chain.b).s, apply_text_id(other.b).s);
    return ERR_OK;
}

struct loading {
    struct state *state;
    bool is_bad; /* a key twice, or too long */
};

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    struct loading *load = arg;
    load->is_bad = key.n > UINT8_MAX || !tree_load(load->state->tree, bytes_of(key.p + 1, key.n - 1), value);
    return !load->is_bad;
}

enum err ledger_load_state(struct kv *kv, struct state *s, const struct hash *root, uint64_t height, struct note *note)
{
    const char prefix[] = {KV_STATE};
    struct loading load = {.state = s};
    enum err e = kv_scan(kv, BYTES_OF_ARRAY(prefix), load_one, &load, note);
    if (e)
        return e;
    load.is_bad |= !tree_load_end(s->tree);
    struct hash found = tree_root(s->tree);
    if (load.is_bad || !hash_equal(&found, root) || !state_load(s))
        return note_set(note, ERR_CORRUPT,
                        "the stored state does not have the root of height %" PRIu64
                        ": the disk may be failing; let the node fetch the chain again",
                        height);
    return ERR_OK;
}

static enum err read_state(struct ledger *l, struct note *note)
{
    struct buf head = {0};
    enum err e = kv_get(l->kv, BYTES_OF_ARRAY(key_head), &head, note);
    struct cursor c = cursor_of(bytes_of_buf(&head));
    rec_head_get(&c, &l->head);
    bool whole = cursor_end(&c);
    buf_clear(&head);
    if (e)
        return e;
    if (!whole)
        return note_set(note, ERR_CORRUPT, "the store's head is damaged: let the node fetch the chain again");
    return ledger_load_state(l->kv, &l->state, &l->head.state_root, l->head.height, note);
}

/* A change of the state as an operation on the store. */
static void put_change(void *arg, struct bytes key, struct bytes value)
{
    struct kv_batch *batch = arg;
    uint8_t stored[128];
    CHECK(key.n < sizeof stored);
    stored[0] = KV_STATE;
    memcpy(stored + 1, key.p, key.n);
    if (value.p)
        kv_batch_put(batch, bytes_of(stored, key.n + 1), value);
    else
        kv_batch_delete(batch, bytes_of(stored, key.n + 1));
}

void ledger_put_head(struct kv_batch *batch, const struct rec_head *head)
{
    struct buf b = {0};
    rec_head_put(&b, head);
    kv_batch_put(batch, BYTES_OF_ARRAY(key_head), bytes_of_buf(&b));
    buf_clear(&b);
}

static void begin_state(struct ledger *l)
{
    state_begin(&l->state, &l->genesis);
    l->head = (struct rec_head){.time_ms = l->genesis.time_ms};
    l->head.state_root = l->head.previous_root = tree_root(l->state.tree);
}

/* The chain that is here; while a snapshot is being fetched, only its beginning, in memory. */
static enum err resume(struct ledger *l, struct note *note)
{
    enum err e = ledger_fetch_load(l, note);
    if (e || !l->fetch.is_on)
        return e ? e : read_state(l, note);
    begin_state(l);
    tree_settle(l->state.tree);
    return ERR_OK;
}

static enum err begin(struct ledger *l, const struct genesis *g, struct note *note)
{
    struct kv_batch batch = {0};
    if (!g)
        return note_set(note, ERR_NOT_FOUND, "no chain here yet: give a genesis file");
    enum err e = genesis_check(g, note);
    if (e)
        return e;
    genesis_put(&l->genesis_room, g);
    struct cursor c = cursor_of(bytes_of_buf(&l->genesis_room));
    genesis_get(&c, &l->genesis);
    CHECK(cursor_end(&c));
    l->chain = genesis_chain_id(g);
    begin_state(l);
    tree_changes(l->state.tree, put_change, &batch);
    kv_batch_put(&batch, BYTES_OF_ARRAY(key_genesis), bytes_of_buf(&l->genesis_room));
    ledger_put_head(&batch, &l->head);
    e = kv_write(l->kv, &batch, true, note);
    kv_batch_clear(&batch);
    tree_settle(l->state.tree);
    return e;
}

void ledger_set_parallel(struct ledger *l, const struct parallel *p)
{
    l->parallel = *p;
    tree_set_parallel(l->state.tree, p);
}

enum err ledger_open(struct kv *kv, const struct genesis *genesis, struct ledger **out, struct note *note)
{
    static const struct parallel alone = {0};
    return ledger_open_parallel(kv, genesis, &alone, out, note);
}

enum err ledger_open_parallel(struct kv *kv, const struct genesis *genesis, const struct parallel *p,
                              struct ledger **out, struct note *note)
{
    struct ledger *l = mem_new(sizeof *l);
    l->kv = kv;
    l->verified = mem_array(VERIFIED_SLOTS, sizeof *l->verified);
    secret_random(l->salt, sizeof l->salt); /* of nothing that can be seen */
    state_init(&l->state);
    ledger_set_parallel(l, p);
    enum err e = read_genesis(l, genesis, note);
    e = e == ERR_NOT_FOUND ? begin(l, genesis, note) : e ? e : resume(l, note);
    if (e) {
        ledger_close(l);
        return e;
    }
    l->validators_n = ledger_validators(l, l->validators);
    l->office_moves = true; /* not known; the first block looks */
    *out = l;
    return ERR_OK;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    state_clear(&l->state);
    buf_clear(&l->genesis_room);
    kv_batch_clear(&l->results);
    buf_clear(&l->scratch);
    free(l->fetch.has);
    free(l->verified);
    ledger_lists_clear(l);
    free(l->events.at);
    free(l->codes);
    free(l->notes);
    free(l);
}

/* -- finalize -- */

static enum err block_check(const struct ledger *l, const struct ledger_block *block, struct note *note)
{
    if (l->fetch.is_on)
        return note_set(note, ERR_STATE, "the state of height %" PRIu64 " is being fetched", l->fetch.snapshot.height);
    if (l->finalized)
        return note_set(note, ERR_STATE, "block %" PRIu64 " is finalized and not committed", l->next_head.height);
    if (block->height != l->head.height + 1)
        return note_set(note, ERR_STATE, "block %" PRIu64 " cannot follow %" PRIu64, block->height, l->head.height);
    if (block->time_ms < l->head.time_ms)
        return note_set(note, ERR_STATE, "block %" PRIu64 " is dated before the one it follows", block->height);
    if (block->n > BLOCK_TXS_MAX)
        return note_set(note, ERR_LIMIT, "block of %u transactions: at most %u", block->n, BLOCK_TXS_MAX);
    return ERR_OK;
}

static void results_room(struct ledger *l, uint32_t n)
{
    if (n > l->codes_room) {
        l->codes = mem_resize(l->codes, n, sizeof *l->codes);
        l->notes = mem_resize(l->notes, n, sizeof *l->notes);
        l->codes_room = n;
    }
}

static void put_result(struct ledger *l, const struct hash *id, const struct rec_result *r)
{
    uint8_t key[1 + HASH_SIZE] = {KV_TX};
    memcpy(key + 1, id->b, HASH_SIZE);
    buf_reset(&l->scratch);
    rec_result_put(&l->scratch, r);
    kv_batch_put(&l->results, BYTES_OF_ARRAY(key), bytes_of_buf(&l->scratch));
}

/* A transaction that does not decode, verify or follow in sequence has no effect at all, not even a fee, and no result
 * of its own: `process` lets none into a block that we vote for. */
static enum err run_one(struct ledger *l, struct apply *a, struct bytes raw, const struct checked *c)
{
    bool charged;
    if (c->e)
        return ledger_why(l, raw, c->e, a->note);
    a->size += raw.n;
    a->work += tx_work(&c->tx);
    ledger_prime(l, c);
    enum err e = apply_tx(a, &c->tx, &c->id, &charged);
    if (charged)
        put_result(l, &c->id, &(struct rec_result){a->height, a->tx, (uint8_t)e, c->tx.fee});
    return e;
}

struct apply ledger_apply(struct ledger *l, uint64_t height, uint64_t time_ms, struct apply_events *events)
{
    return (struct apply){
        .s = &l->state,
        .chain = l->chain,
        .params = l->genesis.params,
        .height = height,
        .time_ms = time_ms,
        .before_ms = l->head.time_ms,
        .clock_ms = time_ms - state_get_stood(&l->state).stood_ms,
        .tx = LEDGER_NO_TX,
        .events = events,
    };
}

/* Did the set of validators change? Only a block with transactions marks its time: an idle chain stays as it is. */
static bool office_step(struct ledger *l, struct apply *a, bool busy)
{
    bool changed = false, arrived = !l->office_moves;
    if (busy)
        apply_office_mark(a);
    if (l->state.validators_changed || l->office_moves)
        changed = apply_office_step(a, &arrived);
    l->office_moves = !arrived;
    l->state.validators_changed = false;
    return changed;
}

struct applying {
    struct ledger *l;
    const struct ledger_block *block;
    const struct checked *all;
    bool changed; /* the set of validators */
};

#define FETCH_AHEAD 6u /* transactions: their memory comes while so many are applied */

static void fetch_ahead(const struct ledger *l, const struct checked *all, uint32_t i, uint32_t n)
{
    if (i + FETCH_AHEAD >= n || all[i + FETCH_AHEAD].e)
        return;
    tree_fetch(l->state.tree, &all[i + FETCH_AHEAD].signer_at);
    tree_fetch(l->state.tree, &all[i + FETCH_AHEAD].to_at);
}

static void apply_block(void *arg)
{
    struct applying *x = arg;
    struct ledger *l = x->l;
    const struct ledger_block *block = x->block;
    struct apply a = ledger_apply(l, block->height, block->time_ms, &l->events);
    a.beacon = block->beacon;
    a.proposer = block->proposer;
    apply_clock(&a);
    apply_due(&a);
    for (uint32_t i = 0; i < block->n; i++) {
        l->notes[i].text[0] = 0;
        a.tx = i;
        a.note = &l->notes[i];
        fetch_ahead(l, x->all, i, block->n);
        l->codes[i] = run_one(l, &a, block->txs[i], &x->all[i]);
    }
    a.tx = LEDGER_NO_TX;
    a.note = NULL;
    apply_reward(&a, block->n > 0);
    x->changed = office_step(l, &a, block->n > 0);
    apply_fees(&a);
    state_seal(&l->state);
}

enum err ledger_finalize(struct ledger *l, const struct ledger_block *block, const struct ledger_result **out,
                         struct note *note)
{
    enum err e = block_check(l, block, note);
    if (e)
        return e;
    results_room(l, block->n);
    l->events.n = 0;
    kv_batch_clear(&l->results);
    struct applying x = {l, block, ledger_verify_all(l, block->txs, block->n, NULL, NULL), false};
    ledger_do_beside(l, apply_block, &x, false);
    l->next_head =
        (struct rec_head){block->height, block->time_ms, block->id, tree_root(l->state.tree), l->head.state_root};
    l->finalized = true;
    if (x.changed)
        l->validators_n = ledger_validators(l, l->validators);
    l->result = (struct ledger_result){
        .state_root = l->next_head.state_root,
        .codes = l->codes,
        .notes = l->notes,
        .n = block->n,
        .events = l->events.at,
        .events_n = l->events.n,
        .validators_changed = x.changed,
        .validators = l->validators,
        .validators_n = l->validators_n,
    };
    *out = &l->result;
    return ERR_OK;
}

struct storing {
    struct ledger *l;
    const struct kv_batch *extra;
    struct note *note;
    enum err e;
};

static void store_block(void *arg)
{
    struct storing *x = arg;
    struct ledger *l = x->l;
    struct kv_batch batch = {0};
    if (x->extra)
        kv_batch_append(&batch, x->extra);
    kv_batch_append(&batch, &l->results);
    tree_changes(l->state.tree, put_change, &batch);
    ledger_put_head(&batch, &l->next_head);
    x->e = kv_write(l->kv, &batch, true, x->note);
    kv_batch_clear(&batch);
}

enum err ledger_commit(struct ledger *l, const struct kv_batch *extra, struct note *note)
{
    struct storing x = {l, extra, note, ERR_OK};
    if (!l->finalized)
        return note_set(note, ERR_STATE, "no block is finalized");
    ledger_do_beside(l, store_block, &x, true);
    if (x.e)
        return x.e;
    tree_settle(l->state.tree);
    l->head = l->next_head;
    l->finalized = false;
    return ERR_OK;
}

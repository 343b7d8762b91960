/* What is in a node's stores beside the state: records that only their owners read, without a root over them. A small
 * chain's store gets the input's records in place of its own (place u8, length u16, value, again and again); then
 * everybody who reads at a start opens it. */
#include "base/mem.h"
#include "chain/ledger_core.h"
#include "chain/light.h"
#include "node/consensus/consensus_in.h"
#include "node/consensus/history.h"
#include "node/market/job.h"
#include "tests/world.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY_ROOM 64
#define HEIGHT   2

/* The tree packs its pointers, so what hangs on it looks lost to who looks for leaks. */
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));

static struct world *world;
static bool is_ledger_met; /* the input has a record that the ledger reads */

static uint64_t now(struct host *h)
{
    (void)h;
    return 1000;
}

static void cancel(struct host *h, struct timer *t)
{
    (void)h, (void)t;
}

static const struct host_ops ops = {.now_ms = now, .wall_ms = now, .timer_cancel = cancel};

static void make_world(void)
{
    if (__lsan_disable)
        __lsan_disable();
    world = world_new(NULL);
    CHECK(WORLD_DO(world, 1, TX_TRANSFER, tx_transfer, .to = world->key[2], .amount = {7}) == ERR_OK);
    CHECK(WORLD_DO(world, 2, TX_TRANSFER, tx_transfer, .to = world->key[1], .amount = {8}) == ERR_OK);
    if (__lsan_enable)
        __lsan_enable();
}

/* -- where a record may lie -- */

static struct bytes place_key(uint8_t place, uint8_t key[KEY_ROOM])
{
    static const struct {
        uint8_t n;
        char start[8]; /* then zeros, or what the case below says */
    } places[] = {
        {8, {KV_META, 'g', 'e', 'n', 'e', 's', 'i', 's'}},
        {5, {KV_META, 'h', 'e', 'a', 'd'}},
        {5, {KV_META, 's', 'n', 'a', 'p'}},
        {6, {KV_META, 'l', 0, 0, 0, 1}},
        {2, {KV_CONSENSUS, 'h'}},
        {42, {KV_CONSENSUS, 'e'}},
        {10, {KV_BLOCK, 'b'}},
        {10, {KV_BLOCK, 'c'}},
        {10, {KV_BLOCK, 'q'}},
        {2, {KV_BLOCK, 'p'}},
        {34, {KV_BLOCK, 'v'}},
        {1, {KV_HISTORY}},
        {45, {KV_HISTORY}},
        {33, {KV_TX}},
        {33, {KV_STATE}},
        {33, {'j'}},
        {34, {'h', 'P'}},
        {38, {'r', 'P'}},
        {34, {'h', 'R'}},
        {38, {'r', 'R'}},
    };
    size_t i = place % (sizeof places / sizeof *places);
    memset(key, 0, KEY_ROOM);
    memcpy(key, places[i].start, places[i].n < 8 ? places[i].n : 8);
    if (places[i].n == 10)
        key[9] = 1; /* height 1 */
    return bytes_of(key, places[i].n);
}

static struct kv *store_new(struct bytes in)
{
    struct kv *kv = kv_mem_copy(world->kv);
    struct kv_batch batch = {0};
    uint8_t key[KEY_ROOM];
    for (size_t at = 0; at + 3 <= in.n;) {
        struct bytes k = place_key(in.p[at], key);
        size_t n = load_le16(in.p + at + 1);
        at += 3;
        n = n < in.n - at ? n : in.n - at;
        kv_batch_put(&batch, k, bytes_of(in.p + at, n));
        is_ledger_met |= k.p[0] == KV_META || k.p[0] == KV_STATE || k.p[0] == KV_TX;
        at += n;
    }
    CHECK(kv_write(kv, &batch, true, NULL) == ERR_OK);
    kv_batch_clear(&batch);
    return kv;
}

/* -- who reads -- */

static void read_blocks(struct consensus *c)
{
    struct buf light = {0}, block = {0}, commit = {0};
    struct light_block b;
    struct note note = {{0}};
    kept_open(c);
    if (consensus_light_block(c, 1, &light, &note) == ERR_OK) {
        struct cursor at = cursor_of(bytes_of_buf(&light));
        light_block_get(&at, &b);
        CHECK(cursor_end(&at));
    } else
        CHECK(note.text[0]);
    note.text[0] = 0;
    CHECK(consensus_block_get(c, 1, &block, &commit, &note) == ERR_OK || note.text[0]);
    buf_reset(&light);
    note.text[0] = 0;
    CHECK(consensus_testimony(c, 1, &light, &note) == ERR_OK || note.text[0]);
    buf_clear(&light);
    buf_clear(&block);
    buf_clear(&commit);
}

static void read_consensus(struct kv *kv, struct ledger *l)
{
    struct host host = {&ops};
    struct consensus *c = mem_new(sizeof *c);
    struct note note = {{0}};
    c->o.kv = kv;
    c->o.ledger = l;
    c->o.host = &host;
    c->chain = ledger_info(l).chain;
    c->height = ledger_info(l).height + 1;
    c->validators = mem_new(sizeof *c->validators);
    c->next_validators = mem_new(sizeof *c->next_validators);
    if (block_state_load(c, &note) == ERR_OK)
        CHECK(c->validators->n > 0 && c->next_validators->n > 0);
    else
        CHECK(note.text[0]);
    CHECK(testimony_load(c, &note) == ERR_OK && evidence_load(c, &note) == ERR_OK);
    for (uint32_t i = 0; i < c->pending_n; i++)
        CHECK(evidence_is_sane(&c->pending[i].evidence));
    read_blocks(c);
    free(c->validators);
    free(c->next_validators);
    free(c);
}

static void read_history(struct kv *kv)
{
    static const struct pubkey account;
    struct history *h;
    struct history_entry out[4];
    struct note note = {{0}};
    uint32_t n;
    CHECK(history_open(kv, HEIGHT, &h, &note) == ERR_OK);
    enum err e = history_read(h, &account, (struct history_place){UINT64_MAX, UINT32_MAX}, out, 4, &n, &note);
    CHECK(n <= 4 && (e == ERR_OK || note.text[0]));
    history_close(h);
}

static void take_channel(void *arg, struct channel *c)
{
    struct voucher v;
    (void)arg;
    CHECK(c->n <= RECEIPTS_MAX);
    if (channel_sum(c, &v) == ERR_OK)
        CHECK(amount_compare(v.cumulative, c->head.funded) <= 0);
    channel_clear(c);
    free(c);
}

static void read_market(struct kv *kv)
{
    struct host host = {&ops};
    struct jobs jobs = {.s = {.kv = kv, .host = &host}};
    struct note note = {{0}};
    CHECK(channel_load(kv, 'P', take_channel, NULL, &note) == ERR_OK || note.text[0]);
    note.text[0] = 0;
    CHECK(channel_load(kv, 'R', take_channel, NULL, &note) == ERR_OK || note.text[0]);
    note.text[0] = 0;
    CHECK(job_load_all(&jobs, &note) == ERR_OK || note.text[0]);
    while (jobs.first) {
        CHECK(job_prompt_n(jobs.first) <= job_prompt_n(jobs.first) + job_tokens_n(jobs.first));
        job_free(jobs.first);
    }
}

/* What opens is the chain that was there, or what a fetch of another state begins with. */
static void read_ledger(struct kv *kv, struct ledger **out)
{
    struct note note = {{0}};
    struct rec_result result;
    static const struct hash id;
    *out = NULL;
    if (ledger_open(kv, &world->genesis, out, &note) != ERR_OK) {
        CHECK(note.text[0]);
        return;
    }
    struct hash chain = ledger_info(*out).chain;
    CHECK(hash_equal(&chain, &world->chain));
    if (!ledger_snapshot_now(*out)) {
        struct ledger_info is = ledger_info(*out), was = ledger_info(world->ledger);
        CHECK(hash_equal(&is.state_root, &was.state_root));
    }
    note.text[0] = 0;
    CHECK(ledger_tx_result(*out, &id, &result, &note) == ERR_OK || note.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ledger *l = NULL;
    if (!world)
        make_world();
    is_ledger_met = false;
    struct kv *kv = store_new(bytes_of(data, size));
    if (is_ledger_met)
        read_ledger(kv, &l);
    if (l || !is_ledger_met)
        read_consensus(kv, l ? l : world->ledger);
    read_history(kv);
    read_market(kv);
    ledger_close(l);
    kv_close(kv);
    return 0;
}

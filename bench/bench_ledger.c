/* Blocks of signed transfers between many accounts, as a validator applies a block that it did not see before: verify
 * (process), apply with the state root (finalize), one synced write to LevelDB (commit), on two threads.
 *
 *     bench_ledger [ACCOUNTS [BLOCKS [TXS]]]
 *     bench_ledger home DIR GENESIS ACCOUNTS       only fills DIR, for bench/restart.sh
 *
 * What it is compared with is the machine's own rate, in the same run: two threads that parse keys and verify the same
 * signatures and do nothing else, between the blocks. Every transfer has a signer of its own, and a recipient anywhere
 * among the accounts. Before anything is timed, the result of a block is checked: every transfer succeeded, and a
 * second ledger over the same accounts, one thread and a store in memory, has the same root. */
#include "base/mem.h"
#include "chain/ledger.h"
#include "chain/tree.h"
#include "node/host/helpers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 2

struct bench {
    uint32_t accounts, signers, blocks, txs_n;
    struct seckey *secret; /* signers */
    struct pubkey *key;    /* accounts; the signers first */
    uint64_t nonce;        /* of every signer: all sign once a round */
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct buf *txs; /* blocks * txs_n */
    uint64_t seed;
    struct parallel parallel;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Processor time of all threads, LevelDB's among them: what other processes do beside does not count into it. */
static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t below(struct bench *b, uint32_t n)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((b->seed >> 33) % n);
}

/* -- accounts: signers have keys, the others are numbers; nobody parses the key of an account that exists -- */

static void make_key(void *arg, uint32_t i)
{
    struct bench *b = arg;
    memset(b->secret[i].b, 1, 32);
    store_le32(b->secret[i].b, i + 1);
    key_derive(&b->secret[i], &b->key[i]);
}

static void make_keys(struct bench *b)
{
    b->secret = mem_array(b->signers, sizeof *b->secret);
    b->key = mem_array(b->accounts, sizeof *b->key);
    parallel_run(&b->parallel, make_key, b, b->signers);
    for (uint32_t i = b->signers; i < b->accounts; i++) {
        struct hash h = hash_once(HASH_FILE, &i, sizeof i);
        memcpy(b->key[i].b, h.b, 32);
    }
}

static void make_genesis(struct bench *b)
{
    struct genesis_holder validator = {b->key[0], amount_of(1000 * MOTE_PER_KITH)};
    CHECK(genesis_list(&validator, 1, &b->room, NULL) == ERR_OK);
    b->genesis.version = GENESIS_VERSION;
    CHECK(text64_set(&b->genesis.name, "bench") && text64_set(&b->genesis.prefix, ADDRESS_PREFIX_PRIVATE));
    b->genesis.params = params_private();
    b->genesis.validators = bytes_of_buf(&b->room);
    b->chain = genesis_chain_id(&b->genesis);
}

/* -- a store with all accounts, written as a ledger would have left it -- */

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    CHECK(tree_load(arg, bytes_of(key.p + 1, key.n - 1), value));
    return true;
}

static void put_totals(struct bench *b, struct kv *kv, struct kv_batch *batch)
{
    const uint8_t key[] = {KV_STATE, STATE_TOTALS};
    struct buf raw = {0};
    struct rec_totals totals;
    CHECK(kv_get(kv, bytes_of(key, sizeof key), &raw, NULL) == ERR_OK);
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    rec_totals_get(&c, &totals);
    uint64_t more = (uint64_t)b->accounts * 1000 * MOTE_PER_KITH;
    totals.balances.mote += more;
    totals.genesis.mote += more;
    buf_reset(&raw);
    rec_totals_put(&raw, &totals);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&raw));
    buf_clear(&raw);
}

static void put_root(struct kv *kv)
{
    const uint8_t state = KV_STATE, key[] = {KV_META, 'h', 'e', 'a', 'd'};
    struct tree *t = tree_new("");
    struct buf head = {0};
    struct kv_batch batch = {0};
    CHECK(kv_scan(kv, bytes_of(&state, 1), load_one, t, NULL) == ERR_OK);
    CHECK(tree_load_end(t));
    struct hash root = tree_root(t);
    CHECK(kv_get(kv, bytes_of(key, sizeof key), &head, NULL) == ERR_OK);
    memcpy(head.p + head.n - 2 * HASH_SIZE, root.b, HASH_SIZE); /* state and previous state are the last two fields */
    memcpy(head.p + head.n - HASH_SIZE, root.b, HASH_SIZE);
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&head));
    CHECK(kv_write(kv, &batch, true, NULL) == ERR_OK);
    kv_batch_clear(&batch);
    buf_clear(&head);
    tree_free(t);
}

static void fill(struct bench *b, struct kv *kv)
{
    struct ledger *l;
    struct kv_batch batch = {0};
    uint8_t key[34] = {KV_STATE, STATE_ACCOUNT};
    struct buf value = {0};
    CHECK(ledger_open(kv, &b->genesis, &l, NULL) == ERR_OK);
    ledger_close(l);
    rec_account_put(&value, &(struct rec_account){.balance = amount_of(1000 * MOTE_PER_KITH)});
    put_totals(b, kv, &batch);
    for (uint32_t i = 0; i < b->accounts; i++) {
        memcpy(key + 2, b->key[i].b, 32);
        kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
        if (batch.count >= 50000 || i + 1 == b->accounts) {
            CHECK(kv_write(kv, &batch, false, NULL) == ERR_OK);
            kv_batch_clear(&batch);
        }
    }
    buf_clear(&value);
    put_root(kv);
}

/* -- transfers -- */

static void make_tx(void *arg, uint32_t i)
{
    struct bench *b = arg;
    struct buf body = {0};
    uint32_t from = i % b->signers;
    struct bench draw = {.seed = b->seed + i * UINT64_C(0x9e3779b97f4a7c15)};
    struct tx_transfer t = {.amount = amount_of(1000)};
    (void)below(&draw, 1);
    t.to = b->key[below(&draw, b->accounts)];
    tx_transfer_put(&body, &t);
    tx_build(&b->txs[i], &b->chain, &b->secret[from], i / b->signers, amount_of(MOTE_PER_KITH), TX_TRANSFER,
             bytes_of_buf(&body));
    buf_clear(&body);
}

static void make_txs(struct bench *b)
{
    b->txs = mem_array((size_t)b->blocks * b->txs_n, sizeof *b->txs);
    parallel_run(&b->parallel, make_tx, b, b->blocks * b->txs_n);
}

/* -- the machine's own rate -- */

#define RATE_PART 100u

struct rate {
    const struct bench *b;
    struct hash *ids;
    uint32_t n;
};

static void rate_part(void *arg, uint32_t part)
{
    const struct rate *r = arg;
    for (uint32_t i = part * RATE_PART; i < (part + 1) * RATE_PART; i++) {
        const struct buf *raw = &r->b->txs[i];
        struct tx t;
        CHECK(tx_decode(bytes_of_buf(raw), &t, NULL) == ERR_OK);
        CHECK(key_verify_hash(&t.signer, &r->ids[i], &t.sigs.own));
    }
}

/* What the machine needs for a verification by all threads, in slices between the blocks, so that both meet the same
 * disturbances. Decoding is a hundredth of it. */
struct machine {
    double wall, cpu;
    uint32_t n;
};

static void machine_slice(struct bench *b, struct machine *m)
{
    struct rate r = {b, NULL, b->txs_n - b->txs_n % RATE_PART};
    r.ids = mem_array(r.n + 1, sizeof *r.ids);
    for (uint32_t i = 0; i < r.n; i++) {
        struct tx t;
        CHECK(tx_decode(bytes_of_buf(&b->txs[i]), &t, NULL) == ERR_OK);
        r.ids[i] = tx_id(&t);
    }
    double t0 = now_s(), c0 = cpu_s();
    parallel_run(&b->parallel, rate_part, &r, r.n / RATE_PART);
    m->wall += now_s() - t0;
    m->cpu += cpu_s() - c0;
    m->n += r.n;
    free(r.ids);
}

/* -- blocks -- */

struct times {
    double process, finalize, commit, cpu[3];
};

static void block_txs(const struct bench *b, uint32_t block, struct bytes *txs)
{
    for (uint32_t i = 0; i < b->txs_n; i++)
        txs[i] = bytes_of_buf(&b->txs[(size_t)block * b->txs_n + i]);
}

/* The next one is at hand, as it is where a node catches up or its pool is full. */
static void expect_next(struct bench *b, struct ledger *l, uint32_t block)
{
    struct bytes *txs = mem_array(b->txs_n, sizeof *txs);
    if (block > 0 && block + 1 < b->blocks) {
        block_txs(b, block + 1, txs);
        ledger_expect(l, txs, b->txs_n);
    }
    free(txs);
}

static struct hash run_block(struct bench *b, struct ledger *l, uint32_t block, struct times *t)
{
    struct ledger_info info = ledger_info(l);
    struct bytes *txs = mem_array(b->txs_n, sizeof *txs);
    struct ledger_block lb = {.height = info.height + 1, .time_ms = info.time_ms + 1000, .proposer = b->key[0]};
    const struct ledger_result *result;
    struct note note = {{0}};
    block_txs(b, block, txs);
    lb.txs = txs;
    lb.n = b->txs_n;
    double t0 = now_s(), c0 = cpu_s();
    enum err e = ledger_process(l, txs, b->txs_n, &note);
    if (e != ERR_OK)
        fprintf(stderr, "%s\n", note.text);
    CHECK(e == ERR_OK);
    double t1 = now_s(), c1 = cpu_s();
    expect_next(b, l, block);
    CHECK(ledger_finalize(l, &lb, &result, NULL) == ERR_OK);
    double t2 = now_s(), c2 = cpu_s();
    CHECK(ledger_commit(l, NULL, NULL) == ERR_OK);
    double t3 = now_s(), c3 = cpu_s();
    for (uint32_t i = 0; i < b->txs_n; i++)
        CHECK(result->codes[i] == ERR_OK);
    t->process += t1 - t0;
    t->finalize += t2 - t1;
    t->commit += t3 - t2;
    t->cpu[0] += c1 - c0;
    t->cpu[1] += c2 - c1;
    t->cpu[2] += c3 - c2;
    free(txs);
    return result->state_root;
}

/* The first block's root by a ledger without threads and without LevelDB. */
static struct hash root_alone(struct bench *b)
{
    struct kv *kv = kv_mem_open();
    struct ledger *l;
    struct times ignored = {0};
    fill(b, kv);
    CHECK(ledger_open(kv, NULL, &l, NULL) == ERR_OK);
    struct hash root = run_block(b, l, 0, &ignored);
    ledger_close(l);
    kv_close(kv);
    return root;
}

static void line(const char *what, double wall, double cpu, double machine)
{
    printf("%-30s %8.0f /s  %6.2f us wall  %6.2f us of processors  %5.1f %%\n", what, 1 / wall, 1e6 * wall, 1e6 * cpu,
           100 / (wall * machine));
}

static void report(const struct bench *b, const struct times *t, const struct machine *m)
{
    double machine = m->n / m->wall;
    double n = (double)b->txs_n * (b->blocks - 1);
    line("machine: keys and signatures", m->wall / m->n, m->cpu / m->n, machine);
    line("process (decode, verify)", t->process / n, t->cpu[0] / n, machine);
    line("finalize (apply, root)", t->finalize / n, t->cpu[1] / n, machine);
    line("commit (one synced batch)", t->commit / n, t->cpu[2] / n, machine);
    line("all", (t->process + t->finalize + t->commit) / n, (t->cpu[0] + t->cpu[1] + t->cpu[2]) / n, machine);
}

static void run(struct bench *b, const char *dir)
{
    struct times t = {0}, ignored = {0};
    struct kv *kv;
    struct ledger *l;
    double t0 = now_s();
    CHECK(kv_leveldb_open(dir, &kv, NULL) == ERR_OK);
    fill(b, kv);
    double t1 = now_s();
    CHECK(ledger_open_parallel(kv, NULL, &b->parallel, &l, NULL) == ERR_OK);
    double t2 = now_s();
    struct hash root = run_block(b, l, 0, &ignored);
    if (b->accounts <= 200000) { /* the store in memory is slow to fill */
        struct hash alone = root_alone(b);
        CHECK(hash_equal(&root, &alone));
    }
    struct machine m = {0};
    for (uint32_t i = 1; i < b->blocks; i++) {
        (void)run_block(b, l, i, &t);
        machine_slice(b, &m);
    }
    ledger_close(l);
    kv_close(kv);
    printf("accounts=%u blocks=%u txs=%u threads=%d filling=%.1fs opening=%.3fs\n", b->accounts, b->blocks - 1,
           b->txs_n, THREADS, t1 - t0, t2 - t1);
    report(b, &t, &m);
}

/* A store for a node that has this genesis. */
static void make_home(struct bench *b, const char *dir, const char *genesis)
{
    struct kv *kv;
    struct note note = {{0}};
    if (genesis_read(genesis, &b->genesis, &b->room, &note) != ERR_OK || kv_leveldb_open(dir, &kv, &note) != ERR_OK) {
        fprintf(stderr, "%s\n", note.text);
        exit(1);
    }
    b->signers = 0;
    make_keys(b);
    fill(b, kv);
    kv_close(kv);
    free(b->key);
    free(b->secret);
    buf_clear(&b->room);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "home") == 0) {
        struct bench home = {.accounts = (uint32_t)strtoul(argv[4], NULL, 10)};
        make_home(&home, argv[2], argv[3]);
        return 0;
    }
    struct bench b = {.accounts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000,
                      .blocks = 1 + (argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10),
                      .txs_n = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 5000,
                      .seed = 1};
    char dir[] = "/tmp/bench-ledger-XXXXXX";
    struct helpers *helpers = helpers_new(THREADS - 1);
    CHECK(b.txs_n >= RATE_PART && b.txs_n <= BLOCK_TXS_MAX && b.blocks > 1 && b.accounts >= b.txs_n && mkdtemp(dir));
    b.parallel = helpers_parallel(helpers);
    b.signers = b.blocks * b.txs_n < b.accounts ? b.blocks * b.txs_n : b.accounts - b.accounts % b.txs_n;
    make_keys(&b);
    make_genesis(&b);
    make_txs(&b);
    run(&b, dir);
    for (uint32_t i = 0; i < b.blocks * b.txs_n; i++)
        buf_clear(&b.txs[i]);
    free(b.txs);
    free(b.secret);
    free(b.key);
    buf_clear(&b.room);
    helpers_free(helpers);
    return 0;
}

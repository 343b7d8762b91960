/* How fast blocks of signed transfers are judged, applied and committed: bench_ledger [ACCOUNTS [BLOCKS [TXS]]].
 *
 * Transfers between random accounts of ACCOUNTS, over LevelDB in a fresh directory. Verification (process), application
 * with the state root (finalize) and the synced write (commit) are timed apart; before anything is timed, the result of
 * a block is checked: every transfer succeeded and a second ledger over memory has the same root. */
#include "base/mem.h"
#include "chain/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIGNERS 2000

struct bench {
    struct seckey secret[SIGNERS];
    struct pubkey key[SIGNERS];
    uint64_t nonce[SIGNERS];
    struct pubkey *others; /* accounts that only receive */
    uint32_t others_n;
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct buf *txs;
    struct bytes *raw;
    uint32_t n;
    uint64_t seed;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t below(struct bench *b, uint32_t n)
{
    b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((b->seed >> 33) % n);
}

/* Points of the curve, without the cost of a multiplication each: x coordinates that are valid. */
static void make_others(struct bench *b, uint32_t n)
{
    b->others = mem_array(n, sizeof *b->others);
    for (uint64_t i = 0; b->others_n < n; i++) {
        struct hash h = hash_once(HASH_FILE, &i, sizeof i);
        memcpy(b->others[b->others_n].b, h.b, 32);
        b->others_n += key_public_is_valid(&b->others[b->others_n]);
    }
}

static void make_genesis(struct bench *b)
{
    uint32_t others = b->others_n < GENESIS_ACCOUNTS_MAX - SIGNERS ? b->others_n : GENESIS_ACCOUNTS_MAX - SIGNERS;
    struct genesis_holder *h = mem_array(SIGNERS + others, sizeof *h);
    struct genesis_holder validator = {b->key[0], amount_of(1000 * MOTE_PER_KITH)};
    for (uint32_t i = 0; i < SIGNERS; i++)
        h[i] = (struct genesis_holder){b->key[i], amount_of(1000000 * MOTE_PER_KITH)};
    for (uint32_t i = 0; i < others; i++)
        h[SIGNERS + i] = (struct genesis_holder){b->others[i], amount_of(1)};
    CHECK(genesis_list(h, SIGNERS + others, &b->room, NULL) == ERR_OK);
    size_t middle = b->room.n;
    CHECK(genesis_list(&validator, 1, &b->room, NULL) == ERR_OK);
    b->genesis.version = GENESIS_VERSION;
    CHECK(text64_set(&b->genesis.name, "bench") && text64_set(&b->genesis.prefix, ADDRESS_PREFIX_PRIVATE));
    b->genesis.params = params_private();
    b->genesis.accounts = bytes_of(b->room.p, middle);
    b->genesis.validators = bytes_of(b->room.p + middle, b->room.n - middle);
    b->chain = genesis_chain_id(&b->genesis);
    free(h);
}

static void make_block(struct bench *b)
{
    struct buf body = {0};
    for (uint32_t i = 0; i < b->n; i++) {
        uint32_t from = i % SIGNERS;
        struct tx_transfer t = {.to = b->others[below(b, b->others_n)], .amount = amount_of(1000)};
        buf_reset(&body);
        buf_reset(&b->txs[i]);
        tx_transfer_put(&body, &t);
        tx_build(&b->txs[i], &b->chain, &b->secret[from], b->nonce[from]++, amount_of(1000000), TX_TRANSFER,
                 bytes_of_buf(&body));
        b->raw[i] = bytes_of_buf(&b->txs[i]);
    }
    buf_clear(&body);
}

struct times {
    double process, finalize, commit;
};

static struct hash run_block(struct bench *b, struct ledger *l, struct times *t)
{
    struct ledger_info info = ledger_info(l);
    struct ledger_block block = {.height = info.height + 1, .time_ms = info.time_ms + 1000, .proposer = b->key[0]};
    const struct ledger_result *result;
    block.txs = b->raw;
    block.n = b->n;
    double t0 = now_s();
    CHECK(ledger_process(l, b->raw, b->n, NULL) == ERR_OK);
    double t1 = now_s();
    CHECK(ledger_finalize(l, &block, &result, NULL) == ERR_OK);
    double t2 = now_s();
    CHECK(ledger_commit(l, NULL, NULL) == ERR_OK);
    double t3 = now_s();
    for (uint32_t i = 0; i < b->n; i++)
        CHECK(result->codes[i] == ERR_OK);
    t->process += t1 - t0;
    t->finalize += t2 - t1;
    t->commit += t3 - t2;
    return result->state_root;
}

static struct bench *bench_new(uint32_t accounts, uint32_t txs)
{
    struct bench *b = mem_new(sizeof *b);
    b->n = txs;
    b->txs = mem_array(txs, sizeof *b->txs);
    b->raw = mem_array(txs, sizeof *b->raw);
    for (uint32_t i = 0; i < SIGNERS; i++) {
        memset(b->secret[i].b, 1, 32);
        store_le32(b->secret[i].b, i + 1);
        key_derive(&b->secret[i], &b->key[i]);
    }
    make_others(b, accounts > SIGNERS ? accounts - SIGNERS : 1);
    make_genesis(b);
    return b;
}

static void bench_free(struct bench *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        buf_clear(&b->txs[i]);
    free(b->txs);
    free(b->raw);
    free(b->others);
    buf_clear(&b->room);
    free(b);
}

int main(int argc, char **argv)
{
    uint32_t accounts = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint32_t blocks = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10;
    uint32_t txs = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 4000;
    char dir[] = "/tmp/bench-ledger-XXXXXX";
    struct bench *b = bench_new(accounts, txs < BLOCK_TXS_MAX ? txs : BLOCK_TXS_MAX);
    struct times t = {0}, ignored = {0};
    struct note note;
    struct kv *kv, *memory = kv_mem_open();
    struct ledger *l, *check;
    CHECK(mkdtemp(dir));
    if (kv_leveldb_open(dir, &kv, &note) || ledger_open(kv, &b->genesis, &l, &note)) {
        fprintf(stderr, "%s\n", note.text);
        return 1;
    }
    CHECK(ledger_open(memory, &b->genesis, &check, NULL) == ERR_OK);
    make_block(b);
    struct hash one = run_block(b, l, &ignored), two = run_block(b, check, &ignored);
    CHECK(hash_equal(&one, &two));
    ledger_close(check);
    kv_close(memory);
    for (uint32_t i = 0; i < blocks; i++) {
        make_block(b);
        (void)run_block(b, l, &t);
    }
    ledger_close(l);
    double t0 = now_s();
    CHECK(ledger_open(kv, NULL, &l, &note) == ERR_OK);
    double opened = now_s() - t0, n = (double)b->n * blocks;
    printf("accounts=%u blocks=%u txs=%u\n", accounts, blocks, b->n);
    printf("process (decode, verify)  %8.0f tx/s  %6.2f us\n", n / t.process, 1e6 * t.process / n);
    printf("finalize (apply, root)    %8.0f tx/s  %6.2f us\n", n / t.finalize, 1e6 * t.finalize / n);
    printf("commit (one synced batch) %8.0f tx/s  %6.2f us\n", n / t.commit, 1e6 * t.commit / n);
    printf("open again                %8.3f s\n", opened);
    ledger_close(l);
    kv_close(kv);
    bench_free(b);
    return 0;
}

/* What a step of a job costs the two ends of a payment channel, by the number of receipts that it has: a receipt
 * checked and a voucher signed by the payer, the voucher taken by the provider. Signatures are in it, the disk is not.
 *
 *     bench_channel [RECEIPTS_MAX]
 *
 * From 10 receipts on. Checked before anything counts: the last voucher is over the tree as chain/market_records.h
 * makes it from all receipts. */
#include "base/mem.h"
#include "node/pay/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS 200u

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct ends {
    struct seckey payer_secret, provider_secret;
    struct channel payer, provider;
    uint64_t payer_ns, provider_ns;
};

static void begin(struct ends *e)
{
    struct channel_head head = {.id = {{2}}, .funded = amount_of(UINT64_C(1) << 60)};
    *e = (struct ends){0};
    memset(e->payer_secret.b, 5, sizeof e->payer_secret.b);
    memset(e->provider_secret.b, 6, sizeof e->provider_secret.b);
    key_derive(&e->payer_secret, &head.payer);
    key_derive(&e->provider_secret, &head.provider);
    channel_init(&e->payer, &head);
    channel_init(&e->provider, &head);
}

static struct signed_receipt receipt_of(const struct ends *e, uint32_t job, uint32_t out, uint8_t stop)
{
    struct signed_receipt s = {.receipt = {.job = hash_once(HASH_FILE, &job, sizeof job),
                                           .channel = e->payer.head.id,
                                           .tokens_in = 10,
                                           .tokens_out = out,
                                           .price = amount_of(100 + out),
                                           .stop = stop}};
    receipt_sign(&s.receipt, &e->provider_secret, &s.sig);
    return s;
}

static void put(struct channel *c, const struct signed_receipt *s)
{
    uint32_t at;
    CHECK(channel_put_receipt(c, s, &at) == ERR_OK);
}

static void step(struct ends *e, const struct signed_receipt *s)
{
    put(&e->provider, s);
    uint64_t t0 = now_ns();
    put(&e->payer, s);
    CHECK(channel_pay(&e->payer, &e->payer_secret) == ERR_OK);
    channel_keep(&e->payer);
    uint64_t t1 = now_ns();
    CHECK(channel_take(&e->provider, &e->payer.head.voucher, &e->payer.head.payer_sig) == ERR_OK);
    channel_keep(&e->provider);
    e->payer_ns += t1 - t0;
    e->provider_ns += now_ns() - t1;
}

static void check_tree(const struct channel *c)
{
    struct sum_node *leaves = mem_array(c->n, sizeof *leaves), top;
    for (uint32_t i = 0; i < c->n; i++)
        leaves[i] = sum_leaf(&c->receipts[i].receipt);
    CHECK(sum_tree_top(leaves, c->n, &top));
    struct hash root = sum_root(&top, c->n);
    CHECK(hash_equal(&root, &c->head.voucher.receipts_root));
    free(leaves);
}

static void run(uint32_t n)
{
    struct ends e;
    begin(&e);
    for (uint32_t i = 0; i + 1 < n; i++) {
        struct signed_receipt s = receipt_of(&e, i, 8, 0);
        put(&e.payer, &s);
        channel_keep(&e.payer);
        put(&e.provider, &s);
        channel_keep(&e.provider);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        struct signed_receipt s = receipt_of(&e, n, 8 * i, RECEIPT_OPEN);
        step(&e, &s);
    }
    check_tree(&e.payer);
    printf("receipts %7u: payer %8lu ns, provider %8lu ns a voucher\n", n, (unsigned long)(e.payer_ns / STEPS),
           (unsigned long)(e.provider_ns / STEPS));
    channel_clear(&e.payer);
    channel_clear(&e.provider);
}

int main(int argc, char **argv)
{
    uint32_t most = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000;
    for (uint32_t n = 10; n <= most; n *= 10)
        run(n);
    return 0;
}

/* What a block costs the state tree, by the number of accounts: changes of 10,000 accounts anywhere and the new root.
 *
 *     bench_tree [ACCOUNTS_MAX]
 *
 * From 10,000 accounts on, ten times as many each time. Checked before anything counts: the root after all changes is
 * that of a tree which is filled with the accounts as they are now. */
#include "base/mem.h"
#include "chain/tree.h"
#include "node/host/helpers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHANGES 10000u
#define BLOCKS  10u

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct account {
    uint8_t key[33], value[17];
};

static void account_make(struct account *a, uint32_t i, uint32_t block)
{
    struct hash h = hash_once(HASH_FILE, &i, sizeof i);
    memset(a, 0, sizeof *a);
    a->key[0] = 'a';
    memcpy(a->key + 1, h.b, sizeof h.b);
    store_le32(a->value, i);
    store_le32(a->value + 4, block);
}

static struct tree *filled(uint32_t n, const uint32_t *block)
{
    struct tree *t = tree_new("");
    for (uint32_t i = 0; i < n; i++) {
        struct account a;
        account_make(&a, i, block ? block[i] : 0);
        CHECK(tree_load(t, bytes_of(a.key, sizeof a.key), bytes_of(a.value, sizeof a.value)));
    }
    CHECK(tree_load_end(t));
    return t;
}

static void run(uint32_t n, const struct parallel *how)
{
    uint32_t *block = mem_array(n, sizeof *block);
    struct account *batch = mem_array(CHANGES, sizeof *batch);
    uint64_t seed = n;
    double put = 0, root = 0, t0 = now_s();
    struct tree *t = filled(n, NULL);
    tree_set_parallel(t, how);
    (void)tree_root(t);
    double fill = now_s() - t0;
    for (uint32_t b = 1; b <= BLOCKS; b++) {
        for (uint32_t k = 0; k < CHANGES; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            uint32_t i = (uint32_t)((seed >> 33) % n);
            block[i] = b;
            account_make(&batch[k], i, b);
        }
        double t1 = now_s();
        for (uint32_t k = 0; k < CHANGES; k++)
            tree_put(t, bytes_of(batch[k].key, sizeof batch[k].key), bytes_of(batch[k].value, sizeof batch[k].value));
        double t2 = now_s();
        (void)tree_root(t);
        put += t2 - t1;
        root += now_s() - t2;
        tree_settle(t);
    }
    struct tree *again = filled(n, block);
    struct hash x = tree_root(t), y = tree_root(again);
    CHECK(hash_equal(&x, &y));
    double changes = (double)CHANGES * BLOCKS;
    printf("accounts %8u: change %.2f us, root %.2f us; filling %.2f s\n", n, 1e6 * put / changes, 1e6 * root / changes,
           fill);
    tree_free(again);
    tree_free(t);
    free(batch);
    free(block);
}

int main(int argc, char **argv)
{
    uint32_t most = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct helpers *helpers = helpers_new(1);
    struct parallel how = helpers_parallel(helpers);
    for (uint32_t n = 10000; n <= most; n *= 10)
        run(n, &how);
    helpers_free(helpers);
    return 0;
}

/* Blocks, commits and stored sets of validators: whatever decodes is canonical, and judging it is total. */
#include "base/mem.h"
#include "chain/block.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_block(struct bytes raw)
{
    static struct bytes txs[BLOCK_TXS_MAX];
    struct block b;
    struct note note;
    struct buf again = {0};
    if (block_decode(raw, &b, txs, &note) != ERR_OK)
        return;
    block_put(&again, &b);
    CHECK(bytes_equal(bytes_of_buf(&again), raw));
    struct hash root = block_txs_root(txs, b.header.txs_n);
    CHECK(hash_equal(&root, &b.header.txs));
    buf_clear(&again);
}

static void try_commit(struct bytes raw, const struct valset *set)
{
    struct commit m;
    struct note note;
    struct buf again = {0};
    if (commit_decode(raw, &m) != ERR_OK)
        return;
    commit_put(&again, &m);
    CHECK(bytes_equal(bytes_of_buf(&again), raw));
    CHECK(commit_verify(&m, &m.value, m.height, &m.value, set, &note) != ERR_OK);
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes raw = bytes_of(data, size);
    struct valset *set = mem_new(sizeof *set);
    struct cursor c = cursor_of(raw);
    struct buf again = {0};
    try_block(raw);
    valset_get(&c, set);
    if (cursor_end(&c)) {
        valset_put(&again, set);
        CHECK(bytes_equal(bytes_of_buf(&again), raw));
        uint32_t who = valset_step(set);
        CHECK(who < set->n);
    } else {
        struct valset_entry one = {.power = 1};
        CHECK(valset_init(set, &one, 1, NULL) == ERR_OK);
    }
    try_commit(raw, set);
    buf_clear(&again);
    free(set);
    return 0;
}

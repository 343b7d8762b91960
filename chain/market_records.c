/* Vouchers, steps, receipts, and the Merkle-sum tree over receipts. */
#include "chain/market_records.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(voucher, VOUCHER_FIELDS)
RECORD_DEFINE(receipt, RECEIPT_FIELDS)
RECORD_DEFINE(signed_receipt, SIGNED_RECEIPT_FIELDS)
RECORD_DEFINE(sum_node, SUM_NODE_FIELDS)

struct hash voucher_hash(const struct voucher *v)
{
    struct buf b = {0};
    voucher_put(&b, v);
    struct hash h = hash_once(HASH_VOUCHER, b.p, b.n);
    buf_clear(&b);
    return h;
}

void voucher_sign(const struct voucher *v, const struct seckey *payer, struct sig *out)
{
    struct hash h = voucher_hash(v);
    key_sign_hash(payer, &h, NULL, out);
}

bool voucher_verify(const struct voucher *v, const struct pubkey *payer, const struct sig *sig)
{
    struct hash h = voucher_hash(v);
    return key_verify_hash(payer, &h, sig);
}

struct hash receipt_hash(const struct receipt *r)
{
    struct buf b = {0};
    receipt_put(&b, r);
    struct hash h = hash_once(HASH_RECEIPT, b.p, b.n);
    buf_clear(&b);
    return h;
}

void receipt_sign(const struct receipt *r, const struct seckey *node, struct sig *out)
{
    struct hash h = receipt_hash(r);
    key_sign_hash(node, &h, NULL, out);
}

bool receipt_verify(const struct receipt *r, const struct pubkey *node, const struct sig *sig)
{
    struct hash h = receipt_hash(r);
    return key_verify_hash(node, &h, sig);
}

struct hash plant_digest(const struct hash *secret)
{
    return hash_once(HASH_PLANT, secret->b, sizeof secret->b);
}

struct hash receipt_commit(const uint8_t salt[32], struct bytes content)
{
    struct hasher h;
    hash_start(&h, HASH_COMMIT);
    hash_add(&h, salt, 32);
    hash_add(&h, content.p, content.n);
    return hash_end(&h);
}

static void add_node(struct hasher *h, const struct sum_node *n)
{
    hash_add(h, n->hash.b, sizeof n->hash.b);
    hash_add_u64(h, n->amount.mote);
    hash_add_u64(h, n->tokens_in);
    hash_add_u64(h, n->tokens_out);
}

struct sum_node sum_leaf(const struct receipt *r)
{
    struct sum_node leaf = {receipt_hash(r), r->price, r->tokens_in, r->tokens_out};
    struct hasher h;
    hash_start(&h, HASH_SUM);
    hash_add(&h, "leaf", 4);
    add_node(&h, &leaf);
    leaf.hash = hash_end(&h);
    return leaf;
}

bool sum_join(struct sum_node *out, const struct sum_node *left, const struct sum_node *right)
{
    struct sum_node sum;
    struct hasher h;
    if (!amount_add(&sum.amount, left->amount, right->amount) ||
        __builtin_add_overflow(left->tokens_in, right->tokens_in, &sum.tokens_in) ||
        __builtin_add_overflow(left->tokens_out, right->tokens_out, &sum.tokens_out))
        return false;
    hash_start(&h, HASH_SUM);
    hash_add(&h, "node", 4);
    add_node(&h, left);
    add_node(&h, right);
    sum.hash = hash_end(&h);
    *out = sum;
    return true;
}

struct hash sum_root(const struct sum_node *top, uint32_t count)
{
    struct hasher h;
    hash_start(&h, HASH_SUM);
    hash_add(&h, "root", 4);
    add_node(&h, top);
    hash_add_u32(&h, count);
    return hash_end(&h);
}

/* One level up, in place: row[0..n) becomes row[0..(n+1)/2). */
static bool climb(struct sum_node *row, uint32_t n)
{
    for (uint32_t i = 0; i < n / 2; i++)
        if (!sum_join(&row[i], &row[2 * i], &row[2 * i + 1]))
            return false;
    if (n % 2)
        row[n / 2] = row[n - 1];
    return true;
}

static struct sum_node *copy_leaves(const struct sum_node *leaves, uint32_t n)
{
    struct sum_node *row = mem_array(n, sizeof *row);
    if (n)
        memcpy(row, leaves, n * sizeof *row);
    return row;
}

bool sum_tree_top(const struct sum_node *leaves, uint32_t n, struct sum_node *top)
{
    struct sum_node *row = copy_leaves(leaves, n);
    bool ok = true;
    CHECK(n <= RECEIPTS_MAX);
    *top = (struct sum_node){0};
    for (uint32_t left = n; ok && left > 1; left = (left + 1) / 2)
        ok = climb(row, left);
    if (ok && n)
        *top = row[0];
    free(row);
    return ok;
}

bool sum_tree_prove(const struct sum_node *leaves, uint32_t n, uint32_t i, struct buf *proof)
{
    if (i >= n)
        return false;
    struct sum_node *row = copy_leaves(leaves, n);
    bool ok = true;
    for (uint32_t left = n; ok && left > 1; left = (left + 1) / 2, i /= 2) {
        if ((i ^ 1) < left)
            sum_node_put(proof, &row[i ^ 1]);
        ok = climb(row, left);
    }
    free(row);
    return ok;
}

bool sum_tree_verify(const struct hash *root, uint32_t count, uint32_t i, const struct sum_node *leaf,
                     struct bytes proof)
{
    struct cursor c = cursor_of(proof);
    struct sum_node top = *leaf, sibling;
    if (i >= count || count > RECEIPTS_MAX)
        return false;
    for (uint32_t left = count; left > 1; left = (left + 1) / 2, i /= 2) {
        if ((i ^ 1) >= left)
            continue; /* without a partner: rises unchanged */
        sum_node_get(&c, &sibling);
        if (!cursor_ok(&c) || !(i & 1 ? sum_join(&top, &sibling, &top) : sum_join(&top, &top, &sibling)))
            return false;
    }
    struct hash got = sum_root(&top, count);
    return cursor_end(&c) && hash_equal(&got, root);
}

struct hash data_leaf_hash(const uint8_t key[32], uint64_t i, const void *plain, size_t n)
{
    struct hasher h;
    uint8_t number[8];
    store_le64(number, i);
    struct hash salt = hash_keyed(HASH_DATA, key, number, sizeof number);
    hash_start(&h, HASH_DATA);
    hash_add(&h, salt.b, sizeof salt.b);
    hash_add(&h, plain, n);
    return hash_end(&h);
}

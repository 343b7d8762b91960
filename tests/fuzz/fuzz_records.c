/* Every record of the ledger and the market: the first byte chooses one, the rest is decoded, encoded, compared. */
#include "base/merkle.h"
#include "base/vrf.h"
#include "chain/genesis.h"
#include "chain/records.h"
#include "chain/tree.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS(R)                                                                                                     \
    R(voucher)                                                                                                         \
    R(receipt)                                                                                                         \
    R(signed_receipt)                                                                                                  \
    R(sum_node)                                                                                                        \
    R(tx)                                                                                                              \
    R(tx_transfer)                                                                                                     \
    R(tx_bond)                                                                                                         \
    R(tx_unbond)                                                                                                       \
    R(tx_provider)                                                                                                     \
    R(tx_model_publish)                                                                                                \
    R(lineage_entry)                                                                                                   \
    R(tx_data_contribute)                                                                                              \
    R(tx_channel_open)                                                                                                 \
    R(tx_channel_topup)                                                                                                \
    R(tx_channel_settle)                                                                                               \
    R(tx_channel_close)                                                                                                \
    R(tx_audit_commit)                                                                                                 \
    R(tx_audit_reveal)                                                                                                 \
    R(tx_challenge)                                                                                                    \
    R(tx_plant)                                                                                                        \
    R(tx_doubt)                                                                                                        \
    R(tx_doubt_commit)                                                                                                 \
    R(tx_doubt_reveal)                                                                                                 \
    R(tx_account_rule)                                                                                                 \
    R(tx_content)                                                                                                      \
    R(tx_partial)                                                                                                      \
    R(cosig)                                                                                                           \
    R(tx_data_grant)                                                                                                   \
    R(tx_key_release)                                                                                                  \
    R(tx_data_dispute)                                                                                                 \
    R(tx_bounty_post)                                                                                                  \
    R(tx_bounty_offer)                                                                                                 \
    R(tx_bounty_accept)                                                                                                \
    R(rec_grant)                                                                                                       \
    R(rec_bounty)                                                                                                      \
    R(rec_offer)                                                                                                       \
    R(rec_rule)                                                                                                        \
    R(rec_account)                                                                                                     \
    R(rec_bond)                                                                                                        \
    R(rec_unbonding)                                                                                                   \
    R(evidence)                                                                                                        \
    R(tx_evidence)                                                                                                     \
    R(rec_office)                                                                                                      \
    R(rec_marks)                                                                                                       \
    R(tx_beacon_key)                                                                                                   \
    R(rec_beacon_key)                                                                                                  \
    R(rec_fault)                                                                                                       \
    R(rec_provider)                                                                                                    \
    R(flat_entry)                                                                                                      \
    R(rec_model)                                                                                                       \
    R(rec_data)                                                                                                        \
    R(rec_channel)                                                                                                     \
    R(rec_settlement)                                                                                                  \
    R(audit_draw)                                                                                                      \
    R(rec_doubt)                                                                                                       \
    R(doubt_draw)                                                                                                      \
    R(rec_epoch)                                                                                                       \
    R(rec_fees)                                                                                                        \
    R(rec_totals)                                                                                                      \
    R(rec_due)                                                                                                         \
    R(rec_result)                                                                                                      \
    R(params)                                                                                                          \
    R(tx_claim)                                                                                                        \
    R(rec_claim)                                                                                                       \
    R(rec_young)                                                                                                       \
    R(rec_stood)                                                                                                       \
    R(genesis_holder)                                                                                                  \
    R(genesis)

#define R(name)                                                                                                        \
    static void fuzz_##name(struct bytes raw)                                                                          \
    {                                                                                                                  \
        struct cursor c = cursor_of(raw);                                                                              \
        struct name v;                                                                                                 \
        struct buf again = {0}, json = {0};                                                                            \
        name##_get(&c, &v);                                                                                            \
        if (!cursor_end(&c))                                                                                           \
            return;                                                                                                    \
        name##_put(&again, &v);                                                                                        \
        CHECK(bytes_equal(bytes_of_buf(&again), raw));                                                                 \
        name##_json(&json, &v);                                                                                        \
        buf_clear(&again);                                                                                             \
        buf_clear(&json);                                                                                              \
    }
RECORDS(R)
#undef R

/* What is not a record but reads bytes of others. */
static void fuzz_proofs(struct bytes raw)
{
    struct hash root = {{0}};
    struct sum_node leaf = {0};
    CHECK(!tree_verify(&root, bytes_of("key", 3), bytes_of("value", 5), raw));
    CHECK(!sum_tree_verify(&root, 1000, 17, &leaf, raw));
    CHECK(!merkle_verify(&root, 1000 * (uint64_t)LEAF_SIZE, 17, &leaf.hash, (const struct hash *)raw.p,
                         (unsigned)(raw.n / HASH_SIZE)));
    /* Absence under the empty root is true, and has one proof: no end, no other, no siblings. */
    CHECK(!tree_verify(&root, bytes_of("key", 3), (struct bytes){0}, raw) || raw.n == 9);
}

/* A block's value of its maker's random function. */
static void fuzz_vrf(struct bytes raw)
{
    static const struct vrf_public nobody = {{1}};
    struct vrf_proof proof;
    struct vrf_public public;
    uint8_t output[VRF_OUTPUT_SIZE];
    if (raw.n < sizeof proof.b + sizeof public.b)
        return;
    memcpy(proof.b, raw.p, sizeof proof.b);
    memcpy(public.b, raw.p + sizeof proof.b, sizeof public.b);
    bool has_output = vrf_output(&proof, output);
    (void)has_output;
    CHECK(!vrf_verify(&nobody, raw.p, raw.n, &proof, output));
    CHECK(!vrf_verify(&public, raw.p, raw.n, &proof, output));
}

/* A transaction that is being signed by several: what is accepted can be signed and sent. */
static void fuzz_partial(struct bytes raw)
{
    struct tx_partial p;
    struct tx t;
    struct buf tx = {0};
    if (tx_partial_decode(raw, &p, &t, NULL) != ERR_OK)
        return;
    CHECK((tx_partial_finish(raw, &tx, NULL) == ERR_OK) == (tx_partial_missing(&p) == 0));
    CHECK(tx.n == 0 || (tx.n == tx_partial_size(&p) && tx_decode(bytes_of_buf(&tx), &t, NULL) == ERR_OK));
    buf_clear(&tx);
}

static void fuzz_genesis_rules(struct bytes raw)
{
    struct cursor c = cursor_of(raw);
    struct genesis g;
    struct note note;
    genesis_get(&c, &g);
    if (cursor_end(&c) && genesis_check(&g, &note) == ERR_OK)
        CHECK(genesis_holders(g.validators) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const all[])(struct bytes raw) = {
#define R(name) fuzz_##name,
        RECORDS(R) fuzz_proofs,
#undef R
        fuzz_genesis_rules,
        fuzz_partial,
        fuzz_vrf,
    };
    if (size)
        all[data[0] % (sizeof all / sizeof *all)](bytes_of(data + 1, size - 1));
    return 0;
}

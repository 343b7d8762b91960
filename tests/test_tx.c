/* Transactions: golden bytes of every record of the ledger, of consensus, proofs and snapshots, so that no change of an
 * encoding goes unseen; identity, signatures, form. */
#include "chain/blame.h"
#include "chain/genesis.h"
#include "chain/ledger_core.h"
#include "chain/light.h"
#include "chain/records.h"
#include "chain/signer.h"
#include "chain/snapshot.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each record with every field set from a counter, so that swapped fields show. */
struct maker {
    uint8_t at;
};

#define SET_INTEGER(kind, type)                                                                                        \
    static void set_##kind(struct maker *m, type *v)                                                                   \
    {                                                                                                                  \
        uint64_t x = 0;                                                                                                \
        for (size_t i = 0; i < sizeof *v; i++)                                                                         \
            x = x << 8 | ++m->at;                                                                                      \
        *v = (type)x;                                                                                                  \
    }
SET_INTEGER(u8, uint8_t)
SET_INTEGER(u16, uint16_t)
SET_INTEGER(u32, uint32_t)
SET_INTEGER(u64, uint64_t)

static void set_flag(struct maker *m, bool *v)
{
    *v = ++m->at % 2;
}

static void set_amount(struct maker *m, struct amount *v)
{
    set_u64(m, &v->mote);
}

#define SET_FIXED(kind)                                                                                                \
    static void set_##kind(struct maker *m, struct kind *v)                                                            \
    {                                                                                                                  \
        memset(v->b, ++m->at, sizeof v->b);                                                                            \
    }
SET_FIXED(hash)
SET_FIXED(pubkey)
SET_FIXED(sig)
SET_FIXED(vrf_public)
SET_FIXED(vrf_proof)

static void set_text64(struct maker *m, struct text64 *v)
{
    char text[8];
    snprintf(text, sizeof text, "t%u", ++m->at);
    assert_true(text64_set(v, text));
}

static void set_text255(struct maker *m, struct text255 *v)
{
    char text[8];
    snprintf(text, sizeof text, "u%u", ++m->at);
    assert_true(text255_set(v, text));
}

static void set_blob(struct maker *m, struct bytes *v)
{
    (void)m;
    *v = bytes_of("blob", 4);
}

static void set_hashes(struct maker *m, struct hashes *v)
{
    static const uint8_t two[64] = "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789ABCDE";
    (void)m;
    *v = (struct hashes){two, 2};
}

static void set_sigs(struct maker *m, struct sigs *v)
{
    *v = (struct sigs){0};
    set_sig(m, &v->own);
}

#define SET_MEMBER(kind, field) set_##kind(m, &v->field);
#define SET_RECORD(name, FIELDS)                                                                                       \
    static void set_##name(struct maker *m, struct name *v)                                                            \
    {                                                                                                                  \
        FIELDS(SET_MEMBER)                                                                                             \
    }

/* record, its fields, size, the first 8 bytes of H[kith.file](encoding) */
#define GOLDEN_LIST(G)                                                                                                 \
    G(voucher, VOUCHER_FIELDS, "124 02b36583e62fcb93")                                                                 \
    G(receipt, RECEIPT_FIELDS, "177 af30dbb6761639d8")                                                                 \
    G(params, PARAMS_FIELDS, "220 737ab75a37e91162")                                                                   \
    G(tx, TX_FIELDS, "156 974f62b51830bff2")                                                                           \
    G(tx_transfer, TX_TRANSFER_FIELDS, "44 2c0e9375280dba1e")                                                          \
    G(tx_bond, TX_BOND_FIELDS, "9 4e8b71ff3cc3bbe8")                                                                   \
    G(tx_unbond, TX_UNBOND_FIELDS, "9 4e8b71ff3cc3bbe8")                                                               \
    G(tx_provider, TX_PROVIDER_FIELDS, "168 b5c2c83fefec7e2f")                                                         \
    G(tx_model_publish, TX_MODEL_PUBLISH_FIELDS, "204 3c8031a6b24a61f4")                                               \
    G(tx_data_contribute, TX_DATA_CONTRIBUTE_FIELDS, "127 e7716fa65f7f0095")                                           \
    G(tx_channel_open, TX_CHANNEL_OPEN_FIELDS, "72 aacd8898d29c5cef")                                                  \
    G(tx_channel_topup, TX_CHANNEL_TOPUP_FIELDS, "40 3b0a3011dd9524ee")                                                \
    G(tx_channel_settle, TX_CHANNEL_SETTLE_FIELDS, "221 39f3e69ff2214967")                                             \
    G(tx_channel_close, TX_CHANNEL_CLOSE_FIELDS, "32 35e12d81b631963c")                                                \
    G(tx_audit_commit, TX_AUDIT_COMMIT_FIELDS, "68 7bfa919f1a7d6bcd")                                                  \
    G(tx_audit_reveal, TX_AUDIT_REVEAL_FIELDS, "149 73e99aa880434a35")                                                 \
    G(tx_plant, TX_PLANT_FIELDS, "116 651916e9f68a13f3")                                                               \
    G(tx_doubt, TX_DOUBT_FIELDS, "68 7bfa919f1a7d6bcd")                                                                \
    G(tx_doubt_commit, TX_DOUBT_COMMIT_FIELDS, "64 aae3420c2644a7b0")                                                  \
    G(tx_doubt_reveal, TX_DOUBT_REVEAL_FIELDS, "97 44aaa9c5a040d235")                                                  \
    G(tx_challenge, TX_CHALLENGE_FIELDS, "52 c90127f0b38dee6f")                                                        \
    G(evidence_part, EVIDENCE_PART_FIELDS, "105 e5f6add01b852b8f")                                                     \
    G(evidence, EVIDENCE_FIELDS, "250 f4bc5912c0ccba75")                                                               \
    G(tx_evidence, TX_EVIDENCE_FIELDS, "250 f4bc5912c0ccba75")                                                         \
    G(rec_office, REC_OFFICE_FIELDS, "33 781b0e73c01698cb")                                                            \
    G(office_mark, OFFICE_MARK_FIELDS, "16 37d36a46b627541f")                                                          \
    G(rec_marks, REC_MARKS_FIELDS, "8 8cd98234906c3787")                                                               \
    G(tx_account_rule, TX_ACCOUNT_RULE_FIELDS, "69 ea3165e97dc01224")                                                  \
    G(tx_content, TX_CONTENT_FIELDS, "91 9c284bf87942a055")                                                            \
    G(cosig, COSIG_FIELDS, "96 ad2c18018c4ee9bb")                                                                      \
    G(tx_partial, TX_PARTIAL_FIELDS, "85 d4f8fc6acd21af95")                                                            \
    G(tx_data_grant, TX_DATA_GRANT_FIELDS, "64 aae3420c2644a7b0")                                                      \
    G(tx_key_release, TX_KEY_RELEASE_FIELDS, "40 55e73df58c5fa7d7")                                                    \
    G(tx_data_dispute, TX_DATA_DISPUTE_FIELDS, "248 014791ad29e3673d")                                                 \
    G(tx_bounty_post, TX_BOUNTY_POST_FIELDS, "52 705fa57b92266b24")                                                    \
    G(tx_bounty_offer, TX_BOUNTY_OFFER_FIELDS, "64 aae3420c2644a7b0")                                                  \
    G(tx_bounty_accept, TX_BOUNTY_ACCEPT_FIELDS, "64 aae3420c2644a7b0")                                                \
    G(rec_grant, REC_GRANT_FIELDS, "201 926595c45ec513ba")                                                             \
    G(rec_bounty, REC_BOUNTY_FIELDS, "189 a8106e256eeb5430")                                                           \
    G(rec_offer, REC_OFFER_FIELDS, "136 029d4d2b71cb4857")                                                             \
    G(tx_claim, TX_CLAIM_FIELDS, "32 35e12d81b631963c")                                                                \
    G(rec_claim, REC_CLAIM_FIELDS, "88 92f8dbd984ecad42")                                                              \
    G(rec_young, REC_YOUNG_FIELDS, "8 83c8b42beed81ab0")                                                               \
    G(rec_stood, REC_STOOD_FIELDS, "8 83c8b42beed81ab0")                                                               \
    G(rec_rule, REC_RULE_FIELDS, "69 ea3165e97dc01224")                                                                \
    G(tx_beacon_key, TX_BEACON_KEY_FIELDS, "32 35e12d81b631963c")                                                      \
    G(rec_beacon_key, REC_BEACON_KEY_FIELDS, "80 bfa0dcf32b1e187a")                                                    \
    G(lineage_entry, LINEAGE_ENTRY_FIELDS, "35 dac66c9b789c3a3e")                                                      \
    G(signed_receipt, SIGNED_RECEIPT_FIELDS, "241 22035aa83e4c3460")                                                   \
    G(sum_node, SUM_NODE_FIELDS, "56 379f0d0a0e83a131")                                                                \
    G(rec_account, REC_ACCOUNT_FIELDS, "17 efd2d48be85351f4")                                                          \
    G(rec_bond, REC_BOND_FIELDS, "8 83c8b42beed81ab0")                                                                 \
    G(rec_unbonding, REC_UNBONDING_FIELDS, "49 bb82b26a783b01fd")                                                      \
    G(rec_fault, REC_FAULT_FIELDS, "40 1a5271b034686b89")                                                              \
    G(rec_provider, REC_PROVIDER_FIELDS, "136 246986f3435b3820")                                                       \
    G(flat_entry, FLAT_ENTRY_FIELDS, "69 607760b2789c2130")                                                            \
    G(rec_model, REC_MODEL_FIELDS, "156 7578c358cd1c8740")                                                             \
    G(rec_data, REC_DATA_FIELDS, "139 e15c4af7c26aa031")                                                               \
    G(rec_channel, REC_CHANNEL_FIELDS, "172 6171d01530d772fb")                                                         \
    G(rec_settlement, REC_SETTLEMENT_FIELDS, "322 d917f63239873b4a")                                                   \
    G(audit_draw, AUDIT_DRAW_FIELDS, "166 57b1abfc5f470037")                                                           \
    G(rec_doubt, REC_DOUBT_FIELDS, "474 3c156ba1d7ded4d1")                                                             \
    G(doubt_draw, DOUBT_DRAW_FIELDS, "98 2b6a273d079497a5")                                                            \
    G(rec_epoch, REC_EPOCH_FIELDS, "28 81967901ebf8a6e8")                                                              \
    G(rec_fees, REC_FEES_FIELDS, "16 37d36a46b627541f")                                                                \
    G(rec_totals, REC_TOTALS_FIELDS, "48 d00e80b294765c41")                                                            \
    G(rec_due, REC_DUE_FIELDS, "33 9939422819bf3d15")                                                                  \
    G(rec_result, REC_RESULT_FIELDS, "21 80e85c5306600927")                                                            \
    G(header, HEADER_FIELDS, "394 515a54050cdebd06")                                                                   \
    G(block, BLOCK_FIELDS, "402 5bdfa2f632a7b1ae")                                                                     \
    G(commit_sig, COMMIT_SIG_FIELDS, "66 ccf48b524627058f")                                                            \
    G(vote, VOTE_FIELDS, "115 16f674b30fc9d261")                                                                       \
    G(proposal, PROPOSAL_FIELDS, "114 2ab081b00426323b")                                                               \
    G(signer, SIGNER_FIELDS, "161 92104f251111f0bc")                                                                   \
    G(kept_quorum, KEPT_QUORUM_FIELDS, "48 b7204b3981d05a66")                                                          \
    G(testimony, TESTIMONY_FIELDS, "66 e3e93b064157b628")                                                              \
    G(light_validator, LIGHT_VALIDATOR_FIELDS, "40 3b0a3011dd9524ee")                                                  \
    G(light_block, LIGHT_BLOCK_FIELDS, "410 df067c9518e8de0f")                                                         \
    G(light_conflict, LIGHT_CONFLICT_FIELDS, "16 6521e91f4cb78ffc")                                                    \
    G(snapshot_entry, SNAPSHOT_ENTRY_FIELDS, "16 6521e91f4cb78ffc")                                                    \
    G(rec_head, REC_HEAD_FIELDS, "112 f557bbc4da1e4eea")                                                               \
    G(ledger_base, LEDGER_BASE_FIELDS, "116 c0ba93373e6bd4e8")                                                         \
    G(genesis_holder, GENESIS_HOLDER_FIELDS, "40 3b0a3011dd9524ee")                                                    \
    G(genesis, GENESIS_FIELDS, "252 8f21a316e30cda85")

#define G(name, FIELDS, golden)                                                                                        \
    SET_RECORD(name, FIELDS)                                                                                           \
    static void golden_##name(struct buf *out)                                                                         \
    {                                                                                                                  \
        struct name v = {0}, again;                                                                                    \
        struct maker m = {0};                                                                                          \
        struct buf raw = {0}, json = {0};                                                                              \
        set_##name(&m, &v);                                                                                            \
        name##_put(out, &v);                                                                                           \
        struct cursor c = cursor_of(bytes_of_buf(out));                                                                \
        name##_get(&c, &again);                                                                                        \
        assert_true(cursor_end(&c) && name##_equal(&v, &again));                                                       \
        name##_put(&raw, &again);                                                                                      \
        assert_true(bytes_equal(bytes_of_buf(&raw), bytes_of_buf(out)));                                               \
        for (size_t n = 0; n < out->n; n++) {                                                                          \
            c = cursor_of(bytes_of(out->p, n));                                                                        \
            name##_get(&c, &again);                                                                                    \
            assert_false(cursor_ok(&c));                                                                               \
        }                                                                                                              \
        name##_json(&json, &v);                                                                                        \
        assert_true(json.n > 2 && json.p[0] == '{');                                                                   \
        buf_clear(&raw);                                                                                               \
        buf_clear(&json);                                                                                              \
    }
GOLDEN_LIST(G)
#undef G

static void encodings_are_what_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *name, *golden;
        void (*put)(struct buf *out);
    } records[] = {
#define G(name, FIELDS, golden) {#name, golden, golden_##name},
        GOLDEN_LIST(G)
#undef G
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        struct buf raw = {0};
        char got[40];
        records[i].put(&raw);
        struct hash h = hash_once(HASH_FILE, raw.p, raw.n);
        int n = snprintf(got, sizeof got, "%zu ", raw.n);
        hex_put(got + n, h.b, 8);
        if (strcmp(got, records[i].golden) != 0) {
            print_error("%s: \"%s\", was \"%s\"\n", records[i].name, got, records[i].golden);
            wrong++;
        }
        buf_clear(&raw);
    }
    assert_int_equal(wrong, 0);
}

/* One whole transaction byte for byte: what another implementation would start from. */
static void a_transfer_byte_for_byte(void **state)
{
    (void)state;
    struct tx_transfer body = {.amount = amount_of(0x0102030405060708)};
    struct seckey secret;
    struct hash chain;
    struct buf raw = {0}, tx = {0};
    char hex[600];
    memset(secret.b, 1, sizeof secret.b);
    memset(chain.b, 0xcc, sizeof chain.b);
    memset(body.to.b, 0xdd, sizeof body.to.b);
    assert_true(text64_set(&body.memo, "hi"));
    tx_transfer_put(&raw, &body);
    tx_build(&tx, &chain, &secret, 7, amount_of(1000), TX_TRANSFER, bytes_of_buf(&raw));
    hex_put(hex, tx.p, tx.n);
    assert_string_equal(
        hex, "0100cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc1b84c5567b126440995d3ed5aaba"
             "0565d71e1834604819ff9c17f5e9d5dd078f0700000000000000e803000000000000012b000000dddddddddddddddddd"
             "dddddddddddddddddddddddddddddddddddddddddddddd080706050403020102686900b48df4dd97e997f063b9afaedc77"
             "c671a4a9cd178c1a07b319cf9bbaecc5691702c98a6b6430c82ab587ef141245109f71e8e048320e9152a0e6dbfc0231"
             "7f65");
    buf_clear(&raw);
    buf_clear(&tx);
}

static void names_and_json(void **state)
{
    (void)state;
    struct seckey secret;
    struct hash chain = {{0}};
    struct tx_bond body = {BOND_AUDITOR, amount_of(5)};
    struct buf raw = {0}, tx = {0}, json = {0};
    struct tx t;
    memset(secret.b, 1, sizeof secret.b);
    tx_bond_put(&raw, &body);
    tx_build(&tx, &chain, &secret, 0, amount_of(9), TX_BOND, bytes_of_buf(&raw));
    assert_int_equal(tx_decode(bytes_of_buf(&tx), &t, NULL), ERR_OK);
    assert_int_equal(tx_check(&t, &chain, NULL), ERR_OK);
    tx_print(&json, &t);
    assert_non_null(strstr(buf_text(&json), "\"kind\":\"bond\""));
    assert_non_null(strstr(buf_text(&json), "\"body\":{\"role\":2,\"amount\":\"5\"}"));
    assert_string_equal(tx_kind_name(TX_MODEL_PUBLISH), "model_publish");
    assert_null(tx_kind_name(0));
    assert_null(tx_kind_name(200));
    assert_null(tx_kind_name(255));
    buf_clear(&raw);
    buf_clear(&tx);
    buf_clear(&json);
}

static void malformed_ones_say_why(void **state)
{
    (void)state;
    struct seckey secret;
    struct hash chain = {{0}}, other = {{1}};
    struct tx_bond body = {BOND_AUDITOR, amount_of(5)};
    struct buf raw = {0}, tx = {0}, again = {0};
    struct tx t;
    struct note note;
    memset(secret.b, 1, sizeof secret.b);
    tx_bond_put(&raw, &body);
    tx_build(&tx, &chain, &secret, 0, amount_of(9), TX_BOND, bytes_of_buf(&raw));
    assert_int_equal(tx_decode(bytes_of_buf(&tx), &t, &note), ERR_OK);
    assert_int_equal(tx_check(&t, &other, &note), ERR_CHAIN);
    assert_non_null(strstr(note.text, "0100000000000000"));
    t.fee.mote++;
    assert_int_equal(tx_check(&t, &chain, &note), ERR_AUTH);
    const struct {
        uint16_t version;
        uint8_t kind;
        size_t body_n;
        enum err want;
    } cases[] = {
        {TX_VERSION, TX_BOND, raw.n, ERR_OK},         {TX_VERSION + 1, TX_BOND, raw.n, ERR_UNSUPPORTED},
        {TX_VERSION, 0, raw.n, ERR_UNSUPPORTED},      {TX_VERSION, 200, raw.n, ERR_UNSUPPORTED},
        {TX_VERSION, TX_TRANSFER, raw.n, ERR_FORMAT}, {TX_VERSION, TX_BOND, raw.n - 1, ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        t.version = cases[i].version;
        t.kind = cases[i].kind;
        t.body = bytes_of(raw.p, cases[i].body_n);
        buf_reset(&again);
        tx_put(&again, &t);
        struct tx got;
        assert_int_equal(tx_decode(bytes_of_buf(&again), &got, &note), cases[i].want);
    }
    buf_add(&tx, "x", 1);
    assert_int_equal(tx_decode(bytes_of_buf(&tx), &t, &note), ERR_FORMAT);
    uint8_t *huge = calloc(1, TX_SIZE_MAX + 1);
    assert_int_equal(tx_decode(bytes_of(huge, TX_SIZE_MAX + 1), &t, &note), ERR_LIMIT);
    free(huge);
    buf_clear(&raw);
    buf_clear(&tx);
    buf_clear(&again);
}

static void fees_do_not_overflow(void **state)
{
    (void)state;
    assert_true(tx_fee_min(10, 3, amount_of(5), amount_of(7)).mote == 71);
    assert_true(tx_fee_min(10, 3, amount_of(UINT64_MAX / 2), amount_of(7)).mote == UINT64_MAX);
    assert_true(tx_fee_min(1, 1, amount_of(UINT64_MAX), amount_of(1)).mote == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_are_what_they_were),
        cmocka_unit_test(a_transfer_byte_for_byte),
        cmocka_unit_test(names_and_json),
        cmocka_unit_test(malformed_ones_say_why),
        cmocka_unit_test(fees_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

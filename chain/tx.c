/* Transactions: encoding, identity, signatures. */
#include "chain/tx.h"

#include <string.h>

RECORD_DEFINE(tx, TX_FIELDS)
RECORD_DEFINE(tx_content, TX_CONTENT_FIELDS)
RECORD_DEFINE(tx_transfer, TX_TRANSFER_FIELDS)
RECORD_DEFINE(tx_bond, TX_BOND_FIELDS)
RECORD_DEFINE(tx_unbond, TX_UNBOND_FIELDS)
RECORD_DEFINE(tx_provider, TX_PROVIDER_FIELDS)
RECORD_DEFINE(tx_model_publish, TX_MODEL_PUBLISH_FIELDS)
RECORD_DEFINE(lineage_entry, LINEAGE_ENTRY_FIELDS)
RECORD_DEFINE(tx_data_contribute, TX_DATA_CONTRIBUTE_FIELDS)
RECORD_DEFINE(tx_claim, TX_CLAIM_FIELDS)
RECORD_DEFINE(tx_channel_open, TX_CHANNEL_OPEN_FIELDS)
RECORD_DEFINE(tx_channel_topup, TX_CHANNEL_TOPUP_FIELDS)
RECORD_DEFINE(tx_channel_settle, TX_CHANNEL_SETTLE_FIELDS)
RECORD_DEFINE(tx_channel_close, TX_CHANNEL_CLOSE_FIELDS)
RECORD_DEFINE(tx_audit_commit, TX_AUDIT_COMMIT_FIELDS)
RECORD_DEFINE(tx_audit_reveal, TX_AUDIT_REVEAL_FIELDS)
RECORD_DEFINE(tx_challenge, TX_CHALLENGE_FIELDS)
RECORD_DEFINE(tx_plant, TX_PLANT_FIELDS)
RECORD_DEFINE(tx_doubt, TX_DOUBT_FIELDS)
RECORD_DEFINE(tx_doubt_commit, TX_DOUBT_COMMIT_FIELDS)
RECORD_DEFINE(tx_doubt_reveal, TX_DOUBT_REVEAL_FIELDS)
RECORD_DEFINE(tx_evidence, TX_EVIDENCE_FIELDS)
RECORD_DEFINE(tx_account_rule, TX_ACCOUNT_RULE_FIELDS)
RECORD_DEFINE(tx_data_grant, TX_DATA_GRANT_FIELDS)
RECORD_DEFINE(tx_key_release, TX_KEY_RELEASE_FIELDS)
RECORD_DEFINE(tx_data_dispute, TX_DATA_DISPUTE_FIELDS)
RECORD_DEFINE(tx_bounty_post, TX_BOUNTY_POST_FIELDS)
RECORD_DEFINE(tx_bounty_offer, TX_BOUNTY_OFFER_FIELDS)
RECORD_DEFINE(tx_bounty_accept, TX_BOUNTY_ACCEPT_FIELDS)
RECORD_DEFINE(tx_beacon_key, TX_BEACON_KEY_FIELDS)

/* What each kind's body needs: a trial decode, JSON, its base work and its name. */
#define K(number, name, record, work)                                                                                  \
    static bool record##_decodes(struct cursor *c)                                                                     \
    {                                                                                                                  \
        struct record body;                                                                                            \
        record##_get(c, &body);                                                                                        \
        return cursor_end(c);                                                                                          \
    }                                                                                                                  \
    static void record##_print(struct buf *out, struct bytes raw)                                                      \
    {                                                                                                                  \
        struct cursor c = cursor_of(raw);                                                                              \
        struct record body;                                                                                            \
        record##_get(&c, &body);                                                                                       \
        record##_json(out, &body);                                                                                     \
    }
TX_KIND_LIST(K)
#undef K

static const struct kind {
    const char *name; /* behind "tx_" */
    uint32_t work;
    bool (*decodes)(struct cursor *c);
    void (*print)(struct buf *out, struct bytes raw);
} kinds[] = {
#define K(number, name, record, work) [number] = {&#record[3], work, record##_decodes, record##_print},
    TX_KIND_LIST(K)
#undef K
};

static const struct kind *kind_find(uint8_t kind)
{
    return kind < sizeof kinds / sizeof *kinds && kinds[kind].name ? &kinds[kind] : NULL;
}

const char *tx_kind_name(uint8_t kind)
{
    const struct kind *k = kind_find(kind);
    return k ? k->name : NULL;
}

struct hash tx_id(const struct tx *t)
{
    struct tx_content content = {t->version, t->chain, t->signer, t->nonce, t->fee, t->kind, t->body};
    struct buf b = {0};
    tx_content_put(&b, &content);
    struct hash id = hash_once(HASH_TX, b.p, b.n);
    buf_clear(&b);
    return id;
}

/* What stands before a body's length, and the length. */
#define BODY_AT (2 + 32 + 32 + 8 + 8 + 1 + 4)

/* What is signed; empty where it is not even that. */
static struct bytes content_of(struct bytes raw)
{
    if (raw.n < BODY_AT || raw.n - BODY_AT < load_le32(raw.p + BODY_AT - 4))
        return (struct bytes){0};
    return bytes_of(raw.p, BODY_AT + load_le32(raw.p + BODY_AT - 4));
}

struct hash tx_id_of(struct bytes raw)
{
    struct bytes content = content_of(raw);
    return content.n ? hash_once(HASH_TX, content.p, content.n) : (struct hash){{0}};
}

void tx_ids_of(const struct bytes *raw, uint32_t n, struct hash *out)
{
    struct hash_job jobs[TX_IDS_MAX];
    uint32_t jobs_n = 0;
    CHECK(n <= TX_IDS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct bytes content = content_of(raw[i]);
        if (content.n >= HASH_SIZE && content.n <= HASH_SIZE + HASH_JOB_MAX)
            jobs[jobs_n++] =
                (struct hash_job){content.p, content.p + HASH_SIZE, (uint32_t)content.n - HASH_SIZE, &out[i]};
        else
            out[i] = tx_id_of(raw[i]);
    }
    hash_many(HASH_TX, jobs, jobs_n);
}

void tx_sign(struct tx *t, const struct hash *chain, const struct seckey *secret, uint64_t nonce, struct amount fee)
{
    t->version = TX_VERSION;
    t->chain = *chain;
    t->signer = key_public(secret);
    t->nonce = nonce;
    t->fee = fee;
    t->sigs = (struct sigs){0};
    struct hash id = tx_id(t);
    key_sign_hash(secret, &id, NULL, &t->sigs.own);
}

void tx_build(struct buf *out, const struct hash *chain, const struct seckey *secret, uint64_t nonce, struct amount fee,
              enum tx_kind kind, struct bytes body)
{
    struct tx t = {.kind = (uint8_t)kind, .body = body};
    tx_sign(&t, chain, secret, nonce, fee);
    tx_put(out, &t);
}

enum err tx_decode(struct bytes raw, struct tx *t, struct note *note)
{
    if (raw.n > TX_SIZE_MAX)
        return note_set(note, ERR_LIMIT, "transaction of %zu bytes: at most %u", raw.n, TX_SIZE_MAX);
    struct cursor c = cursor_of(raw);
    tx_get(&c, t);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "not a transaction: %zu bytes that do not decode", raw.n);
    return tx_content_check(t, note);
}

enum err tx_content_check(const struct tx *t, struct note *note)
{
    if (t->version != TX_VERSION)
        return note_set(note, ERR_UNSUPPORTED, "transaction of version %u: this program knows version %d", t->version,
                        TX_VERSION);
    const struct kind *k = kind_find(t->kind);
    if (!k)
        return note_set(note, ERR_UNSUPPORTED, "transaction of unknown kind %u", t->kind);
    struct cursor c = cursor_of(t->body);
    if (!k->decodes(&c))
        return note_set(note, ERR_FORMAT, "the body of this %s transaction does not decode", k->name);
    return ERR_OK;
}

enum err tx_check(const struct tx *t, const struct hash *chain, struct note *note)
{
    struct hash id = tx_id(t);
    return tx_check_id(t, &id, chain, note);
}

enum err tx_check_id(const struct tx *t, const struct hash *id, const struct hash *chain, struct note *note)
{
    if (!hash_equal(&t->chain, chain)) {
        char theirs[17], ours[17];
        hex_put(theirs, t->chain.b, 8);
        hex_put(ours, chain->b, 8);
        return note_set(note, ERR_CHAIN, "transaction for chain %s..., this is %s...: sign it for this chain", theirs,
                        ours);
    }
    struct tx_signature all[COSIGNERS_MAX];
    uint32_t n = tx_signatures(t, id, all);
    for (uint32_t i = 0; i < n; i++)
        if (!key_verify_hash(&all[i].key, &all[i].message, &all[i].sig))
            return note_set(note, ERR_AUTH, "the signature does not fit the transaction and its signer");
    return ERR_OK;
}

bool tx_is_claimed(uint8_t kind)
{
    return kind == TX_MODEL_PUBLISH || kind == TX_DATA_CONTRIBUTE;
}

struct hash tx_claim_commitment(const struct hash *chain, const struct pubkey *signer, uint8_t kind, struct bytes body)
{
    struct hasher h;
    hash_start(&h, HASH_CLAIM);
    hash_add(&h, chain->b, sizeof chain->b);
    hash_add(&h, signer->b, sizeof signer->b);
    hash_add(&h, &kind, sizeof kind);
    hash_add(&h, body.p, body.n);
    return hash_end(&h);
}

static uint64_t body_work(const struct tx *t)
{
    const struct kind *k = kind_find(t->kind);
    CHECK(k);
    struct cursor c = cursor_of(t->body);
    if (t->kind == TX_MODEL_PUBLISH) {
        struct tx_model_publish body;
        tx_model_publish_get(&c, &body);
        return k->work + body.tensors.n + body.lineage.n / LINEAGE_ENTRY_SIZE;
    }
    if (t->kind == TX_PROVIDER) {
        struct tx_provider body;
        tx_provider_get(&c, &body);
        return k->work + body.models.n;
    }
    return k->work;
}

uint64_t tx_work(const struct tx *t)
{
    return body_work(t) + (t->sigs.n > 1 ? t->sigs.n - 1u : 0);
}

struct amount tx_fee_min(size_t size, uint64_t work, struct amount per_byte, struct amount per_work)
{
    struct amount bytes, units, sum;
    if (!amount_scale(&bytes, per_byte, size, 1) || !amount_scale(&units, per_work, work, 1) ||
        !amount_add(&sum, bytes, units))
        return amount_of(UINT64_MAX);
    return sum;
}

struct amount tx_fee_offer(struct amount least)
{
    struct amount more;
    return amount_scale(&more, least, 5, 4) ? more : least;
}

void tx_print(struct buf *out, const struct tx *t)
{
    const struct kind *k = kind_find(t->kind);
    struct hash id = tx_id(t);
    bool first = true;
    CHECK(k);
    buf_add_text(out, "{");
    codec_json_key(out, &first, "id");
    codec_json_hash(out, &id);
    codec_json_key(out, &first, "kind");
    codec_json_string(out, k->name, strlen(k->name));
    codec_json_key(out, &first, "chain");
    codec_json_hash(out, &t->chain);
    codec_json_key(out, &first, "signer");
    codec_json_pubkey(out, &t->signer);
    codec_json_key(out, &first, "nonce");
    codec_json_u64(out, &t->nonce);
    codec_json_key(out, &first, "fee");
    codec_json_amount(out, &t->fee);
    codec_json_key(out, &first, "body");
    k->print(out, t->body);
    buf_add_text(out, "}");
}

struct hash tx_channel_id(const struct hash *id)
{
    return hash_once(HASH_CHANNEL, id->b, sizeof id->b);
}

struct hash tx_tensors_root(const struct hashes *tensors)
{
    return hash_once(HASH_TENSOR, tensors->p, (size_t)tensors->n * HASH_SIZE);
}

struct hash tx_audit_commitment(const struct tx_audit_reveal *r, const struct pubkey *auditor)
{
    struct hasher h;
    hash_start(&h, HASH_AUDIT);
    hash_add(&h, r->settlement.b, sizeof r->settlement.b);
    hash_add_u32(&h, r->index);
    hash_add(&h, auditor->b, sizeof auditor->b);
    hash_add(&h, &r->verdict, 1);
    hash_add(&h, r->digest.b, sizeof r->digest.b);
    hash_add(&h, r->witness.b, sizeof r->witness.b);
    hash_add(&h, r->salt.b, sizeof r->salt.b);
    return hash_end(&h);
}

struct hash tx_doubt_commitment(const struct tx_doubt_reveal *r, const struct pubkey *member)
{
    struct hasher h;
    hash_start(&h, HASH_AUDIT);
    hash_add(&h, r->doubt.b, sizeof r->doubt.b);
    hash_add(&h, member->b, sizeof member->b);
    hash_add(&h, &r->verdict, 1);
    hash_add(&h, r->witness.b, sizeof r->witness.b);
    hash_add(&h, r->salt.b, sizeof r->salt.b);
    return hash_end(&h);
}

static struct hash consent_hash(const struct hash *chain, const struct pubkey *owner, const struct pubkey *node)
{
    struct hasher h;
    hash_start(&h, HASH_CONSENT);
    hash_add(&h, chain->b, sizeof chain->b);
    hash_add(&h, owner->b, sizeof owner->b);
    hash_add(&h, node->b, sizeof node->b);
    return hash_end(&h);
}

void tx_consent_sign(const struct hash *chain, const struct pubkey *owner, const struct seckey *node, struct sig *out)
{
    struct pubkey node_key = key_public(node);
    struct hash h = consent_hash(chain, owner, &node_key);
    key_sign_hash(node, &h, NULL, out);
}

bool tx_consent_verify(const struct hash *chain, const struct pubkey *owner, const struct pubkey *node,
                       const struct sig *sig)
{
    struct hash h = consent_hash(chain, owner, node);
    return key_verify_hash(node, &h, sig);
}

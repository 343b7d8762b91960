/* Signatures of transactions: their encoding, who may sign for an account, and collecting them offline. */
#include "chain/tx.h"

#include <string.h>

RECORD_DEFINE(cosig, COSIG_FIELDS)
RECORD_DEFINE(tx_partial, TX_PARTIAL_FIELDS)

/* -- the list -- */

void codec_put_sigs(struct buf *b, const struct sigs *v)
{
    codec_put_u8(b, &v->n);
    if (v->n)
        buf_add(b, v->cosigs, (size_t)v->n * COSIG_SIZE);
    else
        codec_put_sig(b, &v->own);
}

/* Keys of cosigs, one behind the other, each larger than the last. */
static bool keys_rise(const uint8_t *p, size_t n, size_t step)
{
    for (size_t i = 1; i < n; i++)
        if (memcmp(p + (i - 1) * step, p + i * step, sizeof(struct pubkey)) >= 0)
            return false;
    return true;
}

void codec_get_sigs(struct cursor *c, struct sigs *v)
{
    *v = (struct sigs){0};
    codec_get_u8(c, &v->n);
    if (v->n == 0) {
        codec_get_sig(c, &v->own);
        return;
    }
    v->cosigs = v->n <= COSIGNERS_MAX ? cursor_take(c, (size_t)v->n * COSIG_SIZE) : NULL;
    if (!v->cosigs || !keys_rise(v->cosigs, v->n, COSIG_SIZE)) {
        cursor_fail(c);
        *v = (struct sigs){0};
    }
}

bool codec_equal_sigs(const struct sigs *a, const struct sigs *b)
{
    return a->n == b->n &&
           (a->n ? memcmp(a->cosigs, b->cosigs, (size_t)a->n * COSIG_SIZE) == 0 : codec_equal_sig(&a->own, &b->own));
}

void codec_json_sigs(struct buf *b, const struct sigs *v)
{
    if (v->n == 0) {
        codec_json_sig(b, &v->own);
        return;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        struct cosig one = sigs_at(v, i);
        buf_add_text(b, i ? "," : "[");
        cosig_json(b, &one);
    }
    buf_add_text(b, "]");
}

struct cosig sigs_at(const struct sigs *s, uint32_t i)
{
    struct cosig one;
    CHECK(i < s->n);
    struct cursor c = cursor_of(bytes_of(s->cosigs + (size_t)i * COSIG_SIZE, COSIG_SIZE));
    cosig_get(&c, &one);
    return one;
}

uint32_t tx_signatures(const struct tx *t, const struct hash *id, struct tx_signature out[COSIGNERS_MAX])
{
    if (t->sigs.n == 0) {
        out[0] = (struct tx_signature){t->signer, *id, t->sigs.own};
        return 1;
    }
    for (uint32_t i = 0; i < t->sigs.n; i++) {
        struct cosig one = sigs_at(&t->sigs, i);
        out[i] = (struct tx_signature){one.key, *id, one.sig};
    }
    return t->sigs.n;
}

/* -- rules -- */

enum err tx_rule_check(uint8_t k, const struct hashes *keys, struct note *note)
{
    if (keys->n == 0 || keys->n > COSIGNERS_MAX || k == 0 || k > keys->n)
        return note_set(note, ERR_RANGE, "a rule of %u signatures out of %u keys: at least one of at most %d", k,
                        keys->n, COSIGNERS_MAX);
    if (!keys_rise(keys->p, keys->n, HASH_SIZE))
        return note_set(note, ERR_FORMAT, "the keys of a rule must rise, none twice: sort them");
    for (uint32_t i = 0; i < keys->n; i++) {
        struct pubkey key;
        memcpy(key.b, keys->p + (size_t)i * HASH_SIZE, sizeof key.b);
        if (!key_public_is_valid(&key))
            return note_set(note, ERR_FORMAT, "key %u of the rule is not a public key: nobody could sign with it", i);
    }
    return ERR_OK;
}

static bool rule_lists(const struct hashes *keys, const struct pubkey *key)
{
    for (uint32_t i = 0; i < keys->n; i++)
        if (memcmp(keys->p + (size_t)i * HASH_SIZE, key->b, sizeof key->b) == 0)
            return true;
    return false;
}

enum err tx_authorized(const struct tx *t, uint8_t k, const struct hashes *keys, struct note *note)
{
    if (k == 0)
        return t->sigs.n == 0 ? ERR_OK
                              : note_set(note, ERR_AUTH, "the account has no rule: its own key alone signs for it");
    if (t->sigs.n != k)
        return note_set(note, ERR_AUTH, "the account's rule asks for exactly %u signatures of its %u keys", k, keys->n);
    for (uint32_t i = 0; i < k; i++) {
        struct cosig one = sigs_at(&t->sigs, i);
        if (!rule_lists(keys, &one.key))
            return note_set(note, ERR_AUTH, "signature %u is by a key that the account's rule does not list", i);
    }
    return ERR_OK;
}

/* -- offline -- */

static uint32_t collected(const struct tx_partial *p)
{
    return (uint32_t)(p->cosigs.n / COSIG_SIZE);
}

static uint32_t needed(const struct tx_partial *p)
{
    return p->k ? p->k : 1;
}

/* A signer without a rule is its own only key. */
static bool may_sign(const struct tx_partial *p, const struct tx *t, const struct pubkey *key)
{
    return p->k ? rule_lists(&p->keys, key) : pubkey_compare(&t->signer, key) == 0;
}

static enum err partial_rule_check(uint8_t k, const struct hashes *keys, struct note *note)
{
    return k == 0 && keys->n == 0 ? ERR_OK : tx_rule_check(k, keys, note);
}

size_t tx_partial_size(const struct tx_partial *p)
{
    return p->content.n + 1 + (p->k ? (size_t)p->k * COSIG_SIZE : sizeof(struct sig));
}

uint32_t tx_partial_missing(const struct tx_partial *p)
{
    return needed(p) - collected(p);
}

enum err tx_partial_begin(struct buf *out, const struct tx *t, uint8_t k, const struct hashes *keys, struct note *note)
{
    struct tx_content content = {TX_VERSION, t->chain, t->signer, t->nonce, t->fee, t->kind, t->body};
    struct buf raw = {0};
    enum err e = partial_rule_check(k, keys, note);
    if (e)
        return e;
    tx_content_put(&raw, &content);
    struct tx_partial p = {.content = bytes_of_buf(&raw), .k = k, .keys = *keys};
    if (tx_partial_size(&p) > TX_SIZE_MAX)
        e = note_set(note, ERR_LIMIT, "transaction of %zu bytes: at most %u", tx_partial_size(&p), TX_SIZE_MAX);
    else
        tx_partial_put(out, &p);
    buf_clear(&raw);
    return e;
}

/* The content as a transaction that carries the signatures so far, of which there may be none. */
static enum err content_get(const struct tx_partial *p, struct tx *t, struct note *note)
{
    struct tx_content content;
    struct cursor c = cursor_of(p->content);
    tx_content_get(&c, &content);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "not a transaction to sign: its content does not decode");
    *t = (struct tx){.version = content.version,
                     .chain = content.chain,
                     .signer = content.signer,
                     .nonce = content.nonce,
                     .fee = content.fee,
                     .kind = content.kind,
                     .body = content.body,
                     .sigs = {.n = (uint8_t)collected(p), .cosigs = p->cosigs.p}};
    return tx_content_check(t, note);
}

static enum err cosigs_check(const struct tx_partial *p, const struct tx *t, struct note *note)
{
    struct tx_signature all[COSIGNERS_MAX];
    struct hash id = tx_id(t);
    uint32_t n = collected(p) ? tx_signatures(t, &id, all) : 0;
    if (!keys_rise(p->cosigs.p, n, COSIG_SIZE))
        return note_set(note, ERR_FORMAT, "the signatures so far are not in the order of their keys");
    for (uint32_t i = 0; i < n; i++)
        if (!may_sign(p, t, &all[i].key) || !key_verify_hash(&all[i].key, &id, &all[i].sig))
            return note_set(note, ERR_AUTH, "signature %u does not fit this transaction and its rule", i);
    return ERR_OK;
}

enum err tx_partial_decode(struct bytes raw, struct tx_partial *p, struct tx *t, struct note *note)
{
    struct cursor c = cursor_of(raw);
    tx_partial_get(&c, p);
    if (!cursor_end(&c) || p->cosigs.n % COSIG_SIZE)
        return note_set(note, ERR_FORMAT, "not a transaction to sign: %zu bytes that do not decode", raw.n);
    enum err e = partial_rule_check(p->k, &p->keys, note);
    if (e)
        return e;
    if (collected(p) > needed(p) || tx_partial_size(p) > TX_SIZE_MAX)
        return note_set(note, ERR_LIMIT, "more signatures than the %u needed, or over %u bytes", needed(p),
                        TX_SIZE_MAX);
    if ((e = content_get(p, t, note)))
        return e;
    return cosigs_check(p, t, note);
}

/* Appends the same partial with one more signature, in its place. ERR_DUPLICATE for a key that has signed. */
static enum err add_cosig(const struct tx_partial *p, const struct tx *t, const struct cosig *one, struct buf *out,
                          struct note *note)
{
    uint32_t at = 0, n = collected(p);
    for (; at < n; at++) {
        struct cosig other = sigs_at(&t->sigs, at);
        int order = pubkey_compare(&other.key, &one->key);
        if (order == 0)
            return note_set(note, ERR_DUPLICATE, "this key has signed already");
        if (order > 0)
            break;
    }
    struct buf all = {0};
    struct tx_partial next = *p;
    buf_add(&all, p->cosigs.p, (size_t)at * COSIG_SIZE);
    cosig_put(&all, one);
    buf_add(&all, p->cosigs.p + (size_t)at * COSIG_SIZE, (size_t)(n - at) * COSIG_SIZE);
    next.cosigs = bytes_of_buf(&all);
    tx_partial_put(out, &next);
    buf_clear(&all);
    return ERR_OK;
}

enum err tx_partial_sign(struct bytes raw, const struct seckey *secret, struct buf *out, struct note *note)
{
    struct tx_partial p;
    struct tx t;
    struct cosig own = {.key = key_public(secret)};
    enum err e = tx_partial_decode(raw, &p, &t, note);
    if (e)
        return e;
    if (!may_sign(&p, &t, &own.key))
        return note_set(note, ERR_AUTH, "this key is not one of the %u that sign for the account", p.k ? p.keys.n : 1);
    struct hash id = tx_id(&t);
    key_sign_hash(secret, &id, NULL, &own.sig);
    size_t start = out->n;
    if ((e = add_cosig(&p, &t, &own, out, note)))
        return e;
    if (tx_partial_missing(&p))
        return ERR_OK;
    out->n = start;
    return note_set(note, ERR_STATE, "all %u signatures are there: send the transaction", needed(&p));
}

enum err tx_partial_merge(struct bytes raw, struct bytes other, struct buf *out, struct note *note)
{
    struct tx_partial p, from;
    struct tx t, from_tx;
    struct buf now = {0};
    enum err e = tx_partial_decode(raw, &p, &t, note);
    if (e == ERR_OK)
        e = tx_partial_decode(other, &from, &from_tx, note);
    if (e == ERR_OK &&
        (!bytes_equal(p.content, from.content) || p.k != from.k || !codec_equal_hashes(&p.keys, &from.keys)))
        e = note_set(note, ERR_MISMATCH, "the two are not the same transaction under the same rule");
    buf_add(&now, raw.p, raw.n);
    for (uint32_t i = 0; e == ERR_OK && i < collected(&from); i++) {
        struct cosig one = sigs_at(&from_tx.sigs, i);
        struct buf next = {0};
        CHECK(tx_partial_decode(bytes_of_buf(&now), &p, &t, NULL) == ERR_OK);
        if (tx_partial_missing(&p) && add_cosig(&p, &t, &one, &next, NULL) == ERR_OK) {
            buf_clear(&now);
            now = next;
        }
    }
    if (e == ERR_OK)
        buf_add(out, now.p, now.n);
    buf_clear(&now);
    return e;
}

enum err tx_partial_finish(struct bytes raw, struct buf *out, struct note *note)
{
    struct tx_partial p;
    struct tx t;
    enum err e = tx_partial_decode(raw, &p, &t, note);
    if (e)
        return e;
    if (tx_partial_missing(&p))
        return note_set(note, ERR_STATE, "%u of %u signatures: %u more are needed", collected(&p), needed(&p),
                        tx_partial_missing(&p));
    if (p.k == 0)
        t.sigs = (struct sigs){.own = sigs_at(&t.sigs, 0).sig};
    tx_put(out, &t);
    return ERR_OK;
}

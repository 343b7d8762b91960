/* Typed access to the state. How money moves in it: state_money.c. */
#include "chain/state.h"

#include <string.h>
#include <strings.h>

RECORD_DEFINE(rec_account, REC_ACCOUNT_FIELDS)
RECORD_DEFINE(rec_rule, REC_RULE_FIELDS)
RECORD_DEFINE(rec_bond, REC_BOND_FIELDS)
RECORD_DEFINE(rec_unbonding, REC_UNBONDING_FIELDS)
RECORD_DEFINE(rec_beacon_key, REC_BEACON_KEY_FIELDS)
RECORD_DEFINE(rec_office, REC_OFFICE_FIELDS)
RECORD_DEFINE(office_mark, OFFICE_MARK_FIELDS)
RECORD_DEFINE(rec_marks, REC_MARKS_FIELDS)
RECORD_DEFINE(rec_fault, REC_FAULT_FIELDS)
RECORD_DEFINE(rec_provider, REC_PROVIDER_FIELDS)
RECORD_DEFINE(flat_entry, FLAT_ENTRY_FIELDS)
RECORD_DEFINE(rec_model, REC_MODEL_FIELDS)
RECORD_DEFINE(rec_data, REC_DATA_FIELDS)
RECORD_DEFINE(rec_grant, REC_GRANT_FIELDS)
RECORD_DEFINE(rec_bounty, REC_BOUNTY_FIELDS)
RECORD_DEFINE(rec_offer, REC_OFFER_FIELDS)
RECORD_DEFINE(rec_claim, REC_CLAIM_FIELDS)
RECORD_DEFINE(rec_young, REC_YOUNG_FIELDS)
RECORD_DEFINE(rec_channel, REC_CHANNEL_FIELDS)
RECORD_DEFINE(rec_settlement, REC_SETTLEMENT_FIELDS)
RECORD_DEFINE(audit_draw, AUDIT_DRAW_FIELDS)
RECORD_DEFINE(rec_totals, REC_TOTALS_FIELDS)
RECORD_DEFINE(rec_fees, REC_FEES_FIELDS)
RECORD_DEFINE(rec_epoch, REC_EPOCH_FIELDS)
RECORD_DEFINE(rec_due, REC_DUE_FIELDS)
RECORD_DEFINE(rec_result, REC_RESULT_FIELDS)

bool state_class_find(const char *name, enum state_class *cls)
{
    static const struct {
        const char *name;
        enum state_class cls;
    } classes[] = {
#define C(byte, name, listed) {#name, STATE_##name},
        STATE_CLASS_LIST(C)
#undef C
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcasecmp(classes[i].name, name) == 0) {
            *cls = classes[i].cls;
            return true;
        }
    return false;
}

/* -- keys -- */

struct key { /* class, then at most a number of 8 bytes, a byte, and two ids */
    uint8_t b[1 + 8 + 1 + 64];
    size_t n;
};

static void key_add(struct key *k, const void *p, size_t n)
{
    CHECK(k->n + n <= sizeof k->b);
    memcpy(k->b + k->n, p, n);
    k->n += n;
}

static struct key key_class(enum state_class cls)
{
    return (struct key){{(uint8_t)cls}, 1};
}

static struct key key_one(enum state_class cls, const uint8_t id[32])
{
    struct key k;
    k.b[0] = (uint8_t)cls;
    memcpy(k.b + 1, id, 32);
    k.n = 33;
    return k;
}

static void key_add_u8(struct key *k, uint8_t v)
{
    key_add(k, &v, 1);
}

/* Big-endian, so that the order of keys is the order of numbers. */
static void key_add_u64(struct key *k, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        key_add_u8(k, (uint8_t)(v >> shift));
}

static uint64_t load_be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static struct bytes key_bytes(const struct key *k)
{
    return bytes_of(k->b, k->n);
}

static struct bytes lookup(const struct state *s, const struct key *k)
{
    return tree_get(s->tree, key_bytes(k));
}

static void store(struct state *s, const struct key *k, struct bytes value)
{
    tree_put(s->tree, key_bytes(k), value);
}

static void drop(struct state *s, const struct key *k)
{
    tree_remove(s->tree, key_bytes(k));
}

/* -- records with one key -- */

#define R(name, cls, key_type, record)                                                                                 \
    static bool read_##name(struct bytes value, struct record *out)                                                    \
    {                                                                                                                  \
        struct cursor c = cursor_of(value);                                                                            \
        *out = (struct record){0};                                                                                     \
        if (!value.p)                                                                                                  \
            return false;                                                                                              \
        record##_get(&c, out);                                                                                         \
        CHECK(cursor_end(&c));                                                                                         \
        return true;                                                                                                   \
    }                                                                                                                  \
    bool state_get_##name(const struct state *s, const struct key_type *id, struct record *out)                        \
    {                                                                                                                  \
        struct key k = key_one(STATE_##cls, id->b);                                                                    \
        return read_##name(lookup(s, &k), out);                                                                        \
    }                                                                                                                  \
    void state_put_##name(struct state *s, const struct key_type *id, const struct record *v)                          \
    {                                                                                                                  \
        struct key k = key_one(STATE_##cls, id->b);                                                                    \
        buf_reset(&s->scratch);                                                                                        \
        record##_put(&s->scratch, v);                                                                                  \
        store(s, &k, bytes_of_buf(&s->scratch));                                                                       \
    }                                                                                                                  \
    void state_remove_##name(struct state *s, const struct key_type *id)                                               \
    {                                                                                                                  \
        struct key k = key_one(STATE_##cls, id->b);                                                                    \
        drop(s, &k);                                                                                                   \
    }                                                                                                                  \
    bool state_next_##name(const struct state *s, const struct key_type *after, struct record *out)                    \
    {                                                                                                                  \
        struct key prefix = key_class(STATE_##cls), from = {0};                                                        \
        struct bytes found, value = {0};                                                                               \
        if (after)                                                                                                     \
            from = key_one(STATE_##cls, after->b);                                                                     \
        if (!tree_next(s->tree, key_bytes(&prefix), after ? key_bytes(&from) : (struct bytes){0}, &found, &value))     \
            value = (struct bytes){0};                                                                                 \
        return read_##name(value, out);                                                                                \
    }
STATE_RECORD_LIST(R)
#undef R

void state_account_paths(const struct pubkey *keys, uint32_t n, struct hash *out)
{
    struct key k[STATE_PATHS_MAX];
    struct bytes raw[STATE_PATHS_MAX];
    CHECK(n <= STATE_PATHS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        k[i] = key_one(STATE_ACCOUNT, keys[i].b);
        raw[i] = key_bytes(&k[i]);
    }
    tree_paths(raw, n, out);
}

void state_prime_account(struct state *s, const struct pubkey *key, const struct tree_spot *spot)
{
    struct key k = key_one(STATE_ACCOUNT, key->b);
    tree_prime(s->tree, key_bytes(&k), spot);
}

static bool read_marks(struct bytes value, struct rec_marks *out)
{
    struct cursor c = cursor_of(value);
    *out = (struct rec_marks){0};
    if (!value.p)
        return false;
    rec_marks_get(&c, out);
    CHECK(cursor_end(&c));
    return true;
}

/* -- bonds and office -- */

static struct key bond_key(enum bond_role role, const struct pubkey *owner)
{
    struct key k = key_class(STATE_BOND);
    key_add_u8(&k, (uint8_t)role);
    key_add(&k, owner->b, sizeof owner->b);
    return k;
}

static struct amount bond_of(struct bytes value)
{
    struct rec_bond bond = {0};
    struct cursor c = cursor_of(value);
    if (value.p)
        rec_bond_get(&c, &bond);
    return bond.amount;
}

struct amount state_get_bond(const struct state *s, enum bond_role role, const struct pubkey *owner)
{
    struct key k = bond_key(role, owner);
    return bond_of(lookup(s, &k));
}

void state_put_bond(struct state *s, enum bond_role role, const struct pubkey *owner, struct amount a)
{
    s->auditors_version += role == BOND_AUDITOR;
    struct key k = bond_key(role, owner);
    struct rec_bond bond = {a};
    struct buf b = {0};
    rec_bond_put(&b, &bond);
    if (a.mote)
        store(s, &k, bytes_of_buf(&b));
    else
        drop(s, &k);
    buf_clear(&b);
    if (role == BOND_VALIDATOR)
        s->validators_changed = true;
}

/* The next key under a prefix; `after` may be NULL. */
static bool walk(const struct state *s, const struct key *prefix, const struct key *after, struct bytes *key,
                 struct bytes *value)
{
    return tree_next(s->tree, key_bytes(prefix), after ? key_bytes(after) : (struct bytes){0}, key, value);
}

bool state_next_bond(const struct state *s, enum bond_role role, const struct pubkey *after, struct pubkey *owner,
                     struct amount *a)
{
    struct key prefix = key_class(STATE_BOND), from = {0};
    struct bytes key, value;
    key_add_u8(&prefix, (uint8_t)role);
    if (after)
        from = bond_key(role, after);
    if (!walk(s, &prefix, after ? &from : NULL, &key, &value))
        return false;
    memcpy(owner->b, key.p + prefix.n, sizeof owner->b);
    *a = bond_of(value);
    return true;
}

bool state_next_in_office(const struct state *s, const struct pubkey *after, struct pubkey *key, struct rec_office *out)
{
    struct key prefix = key_class(STATE_OFFICE), from = {0};
    struct bytes found, value;
    if (after)
        from = key_one(STATE_OFFICE, after->b);
    if (!walk(s, &prefix, after ? &from : NULL, &found, &value))
        return false;
    memcpy(key->b, found.p + 1, sizeof key->b);
    return read_office(value, out);
}

bool state_get_marks(const struct state *s, struct rec_marks *out)
{
    struct key k = key_class(STATE_MARKS);
    return read_marks(lookup(s, &k), out);
}

void state_put_marks(struct state *s, const struct rec_marks *m)
{
    struct key k = key_class(STATE_MARKS);
    struct buf b = {0};
    rec_marks_put(&b, m);
    store(s, &k, bytes_of_buf(&b));
    buf_clear(&b);
}

static struct key unbonding_key(enum bond_role role, const struct pubkey *owner, const struct hash *id)
{
    struct key k = key_class(STATE_UNBONDING);
    key_add_u8(&k, (uint8_t)role);
    key_add(&k, owner->b, sizeof owner->b);
    if (id)
        key_add(&k, id->b, sizeof id->b);
    return k;
}

static bool read_unbonding(struct bytes value, struct rec_unbonding *out)
{
    struct cursor c = cursor_of(value);
    *out = (struct rec_unbonding){0};
    if (!value.p)
        return false;
    rec_unbonding_get(&c, out);
    CHECK(cursor_end(&c));
    return true;
}

void state_put_unbonding(struct state *s, const struct hash *id, const struct rec_unbonding *u)
{
    struct key k = unbonding_key(u->role, &u->owner, id);
    struct buf b = {0};
    rec_unbonding_put(&b, u);
    store(s, &k, bytes_of_buf(&b));
    buf_clear(&b);
}

void state_remove_unbonding(struct state *s, const struct hash *id, const struct rec_unbonding *u)
{
    struct key k = unbonding_key(u->role, &u->owner, id);
    drop(s, &k);
}

bool state_get_unbonding(const struct state *s, enum bond_role role, const struct pubkey *owner, const struct hash *id,
                         struct rec_unbonding *out)
{
    struct key k = unbonding_key(role, owner, id);
    return read_unbonding(lookup(s, &k), out);
}

bool state_next_unbonding(const struct state *s, enum bond_role role, const struct pubkey *owner,
                          const struct hash *after, struct hash *id, struct rec_unbonding *out)
{
    struct key prefix = unbonding_key(role, owner, NULL), from = {0};
    struct bytes key, value;
    if (after)
        from = unbonding_key(role, owner, after);
    if (!walk(s, &prefix, after ? &from : NULL, &key, &value))
        return false;
    memcpy(id->b, key.p + prefix.n, sizeof id->b);
    return read_unbonding(value, out);
}

/* -- what happens by itself -- */

static struct key due_key(const struct due *d)
{
    struct key k = key_class(STATE_DUE);
    key_add_u64(&k, d->time_ms);
    key_add_u8(&k, (uint8_t)d->kind);
    key_add(&k, d->id.b, sizeof d->id.b);
    return k;
}

void state_put_due(struct state *s, const struct due *d)
{
    struct key k = due_key(d);
    struct buf b = {0};
    rec_due_put(&b, &d->rec);
    store(s, &k, bytes_of_buf(&b));
    buf_clear(&b);
}

void state_remove_due(struct state *s, const struct due *d)
{
    struct key k = due_key(d);
    drop(s, &k);
}

bool state_first_due(const struct state *s, struct due *out)
{
    struct key prefix = key_class(STATE_DUE);
    struct bytes key, value;
    if (!walk(s, &prefix, NULL, &key, &value))
        return false;
    struct cursor c = cursor_of(value);
    out->time_ms = load_be64(key.p + 1);
    out->kind = (enum due_kind)key.p[9];
    memcpy(out->id.b, key.p + 10, sizeof out->id.b);
    rec_due_get(&c, &out->rec);
    CHECK(cursor_end(&c));
    return true;
}

static struct key draw_key(uint64_t height, const struct hash *settlement)
{
    struct key k = key_class(STATE_DRAW);
    key_add_u64(&k, height);
    key_add(&k, settlement->b, sizeof settlement->b);
    return k;
}

void state_put_draw(struct state *s, uint64_t height, const struct hash *settlement)
{
    struct key k = draw_key(height, settlement);
    store(s, &k, bytes_of("", 0));
}

void state_remove_draw(struct state *s, uint64_t height, const struct hash *settlement)
{
    struct key k = draw_key(height, settlement);
    drop(s, &k);
}

bool state_first_draw(const struct state *s, uint64_t *height, struct hash *settlement)
{
    struct key prefix = key_class(STATE_DRAW);
    struct bytes key, value;
    if (!walk(s, &prefix, NULL, &key, &value))
        return false;
    *height = load_be64(key.p + 1);
    memcpy(settlement->b, key.p + 9, sizeof settlement->b);
    return true;
}

/* -- indexes -- */

static struct key auditor_key(const struct hash *model, const struct pubkey *owner)
{
    struct key k = key_one(STATE_AUDITOR, model->b);
    if (owner)
        key_add(&k, owner->b, sizeof owner->b);
    return k;
}

void state_put_auditor(struct state *s, const struct hash *model, const struct pubkey *owner, const struct pubkey *node)
{
    s->auditors_version++;
    struct key k = auditor_key(model, owner);
    store(s, &k, bytes_of(node->b, sizeof node->b));
}

void state_remove_auditor(struct state *s, const struct hash *model, const struct pubkey *owner,
                          const struct pubkey *node)
{
    s->auditors_version++;
    struct key k = auditor_key(model, owner);
    if (bytes_equal(lookup(s, &k), bytes_of(node->b, sizeof node->b)))
        drop(s, &k);
}

bool state_next_auditor(const struct state *s, const struct hash *model, const struct pubkey *after,
                        struct pubkey *owner, struct pubkey *node)
{
    struct key prefix = auditor_key(model, NULL), from = {0};
    struct bytes key, value;
    if (after)
        from = auditor_key(model, after);
    if (!walk(s, &prefix, after ? &from : NULL, &key, &value))
        return false;
    CHECK(value.n == sizeof node->b);
    memcpy(owner->b, key.p + prefix.n, sizeof owner->b);
    memcpy(node->b, value.p, sizeof node->b);
    return true;
}

static bool index_get(const struct state *s, enum state_class cls, const struct hash *id, struct hash *out)
{
    struct key k = key_one(cls, id->b);
    struct bytes value = lookup(s, &k);
    *out = (struct hash){{0}};
    if (!value.p)
        return false;
    CHECK(value.n == sizeof out->b);
    memcpy(out->b, value.p, sizeof out->b);
    return true;
}

static void index_put(struct state *s, enum state_class cls, const struct hash *id, const struct hash *to)
{
    struct key k = key_one(cls, id->b);
    store(s, &k, bytes_of(to->b, sizeof to->b));
}

static struct hash name_hash(const struct text64 *name)
{
    return hash_once(HASH_STATE_KEY, name->s, name->n);
}

bool state_get_name(const struct state *s, const struct text64 *name, struct hash *root)
{
    struct hash id = name_hash(name);
    return index_get(s, STATE_NAME, &id, root);
}

void state_put_name(struct state *s, const struct text64 *name, const struct hash *root)
{
    struct hash id = name_hash(name);
    index_put(s, STATE_NAME, &id, root);
}

bool state_get_tensor(const struct state *s, const struct hash *tensor, struct hash *model)
{
    return index_get(s, STATE_TENSOR, tensor, model);
}

void state_put_tensor(struct state *s, const struct hash *tensor, const struct hash *model)
{
    index_put(s, STATE_TENSOR, tensor, model);
}

bool state_get_cipher(const struct state *s, const struct hash *cipher, struct hash *plain)
{
    return index_get(s, STATE_CIPHER, cipher, plain);
}

void state_put_cipher(struct state *s, const struct hash *cipher, const struct hash *plain)
{
    index_put(s, STATE_CIPHER, cipher, plain);
}

struct rec_epoch state_get_epoch(const struct state *s)
{
    struct key k = key_class(STATE_EPOCH);
    struct bytes value = lookup(s, &k);
    struct rec_epoch e = {0};
    struct cursor c = cursor_of(value);
    if (value.p)
        rec_epoch_get(&c, &e);
    return e;
}

void state_put_epoch(struct state *s, const struct rec_epoch *e)
{
    struct key k = key_class(STATE_EPOCH);
    struct buf b = {0};
    rec_epoch_put(&b, e);
    store(s, &k, bytes_of_buf(&b));
    buf_clear(&b);
}

struct rec_young state_get_young(const struct state *s)
{
    struct key k = key_class(STATE_YOUNG);
    struct bytes value = lookup(s, &k);
    struct rec_young y = {0};
    struct cursor c = cursor_of(value);
    if (value.p)
        rec_young_get(&c, &y);
    return y;
}

void state_put_young(struct state *s, const struct rec_young *y)
{
    struct key k = key_class(STATE_YOUNG);
    struct buf b = {0};
    rec_young_put(&b, y);
    store(s, &k, bytes_of_buf(&b));
    buf_clear(&b);
}

/* -- the whole -- */

const char *state_listed(void)
{
    /* A class that is not listed leaves its place to one that is. */
    static const char listed[] = {
#define C(byte, name, is_listed) (is_listed) ? (byte) : STATE_BOND,
        STATE_CLASS_LIST(C)
#undef C
            0};
    return listed;
}

void state_init(struct state *s)
{
    *s = (struct state){.tree = tree_new(state_listed())};
}

void state_clear(struct state *s)
{
    tree_free(s->tree);
    buf_clear(&s->scratch);
    *s = (struct state){0};
}

void state_begin(struct state *s, const struct genesis *g)
{
    struct key params_key = key_class(STATE_PARAMS);
    struct buf b = {0};
    params_put(&b, &g->params);
    store(s, &params_key, bytes_of_buf(&b));
    buf_clear(&b);
    s->fees = (struct rec_fees){g->params.fee_byte, g->params.fee_work};
    for (uint32_t i = 0; i < genesis_holders(g->accounts); i++) {
        struct genesis_holder h = genesis_holder_at(g->accounts, i);
        CHECK(amount_add(&s->totals.genesis, s->totals.genesis, h.amount));
        s->totals.locked = h.amount;
        state_credit(s, POT_LOCKED, &h.key, h.amount);
    }
    for (uint32_t i = 0; i < genesis_holders(g->validators); i++) {
        struct genesis_holder h = genesis_holder_at(g->validators, i);
        CHECK(amount_add(&s->totals.genesis, s->totals.genesis, h.amount));
        CHECK(amount_add(&s->totals.locked, s->totals.locked, h.amount));
        state_put_bond(s, BOND_VALIDATOR, &h.key, h.amount);
        state_put_office(s, &h.key,
                         &(struct rec_office){.power = h.amount.mote / GENESIS_STAKE_LEAST, .from_height = 1});
    }
    state_seal(s);
}

bool state_load(struct state *s)
{
    struct key totals_key = key_class(STATE_TOTALS), fees_key = key_class(STATE_FEES);
    struct bytes totals = lookup(s, &totals_key), fees = lookup(s, &fees_key);
    if (!totals.p || !fees.p)
        return false;
    struct cursor c = cursor_of(totals), f = cursor_of(fees);
    rec_totals_get(&c, &s->totals);
    rec_fees_get(&f, &s->fees);
    return cursor_end(&c) && cursor_end(&f);
}

struct state_mark state_mark(const struct state *s)
{
    return (struct state_mark){tree_mark(s->tree), s->totals, s->fees, s->validators_changed};
}

void state_undo(struct state *s, const struct state_mark *mark)
{
    s->auditors_version++;
    tree_undo(s->tree, mark->tree);
    s->totals = mark->totals;
    s->fees = mark->fees;
    s->validators_changed = mark->validators_changed;
}

void state_seal(struct state *s)
{
    struct key totals_key = key_class(STATE_TOTALS), fees_key = key_class(STATE_FEES);
    struct buf b = {0};
    rec_totals_put(&b, &s->totals);
    store(s, &totals_key, bytes_of_buf(&b));
    buf_reset(&b);
    rec_fees_put(&b, &s->fees);
    store(s, &fees_key, bytes_of_buf(&b));
    buf_clear(&b);
}

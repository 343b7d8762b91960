/* Typed access to the state. How money moves in it: state_money.c; queues and indexes: state_index.c. */
#include "chain/state_core.h"

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
RECORD_DEFINE(rec_stood, REC_STOOD_FIELDS)
RECORD_DEFINE(rec_channel, REC_CHANNEL_FIELDS)
RECORD_DEFINE(rec_settlement, REC_SETTLEMENT_FIELDS)
RECORD_DEFINE(audit_draw, AUDIT_DRAW_FIELDS)
RECORD_DEFINE(rec_doubt, REC_DOUBT_FIELDS)
RECORD_DEFINE(doubt_draw, DOUBT_DRAW_FIELDS)
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

struct rec_stood state_get_stood(const struct state *s)
{
    struct key k = key_class(STATE_STOOD);
    struct bytes value = lookup(s, &k);
    struct rec_stood v = {0};
    struct cursor c = cursor_of(value);
    if (value.p)
        rec_stood_get(&c, &v);
    return v;
}

void state_put_stood(struct state *s, const struct rec_stood *v)
{
    struct key k = key_class(STATE_STOOD);
    struct buf b = {0};
    rec_stood_put(&b, v);
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

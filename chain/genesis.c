/* Genesis and its JSON form. */
#include "chain/genesis.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(params, PARAMS_FIELDS)
RECORD_DEFINE(genesis_holder, GENESIS_HOLDER_FIELDS)
RECORD_DEFINE(genesis, GENESIS_FIELDS)

#define SECOND_MS UINT64_C(1000)
#define DAY_MS    (UINT64_C(86400) * SECOND_MS)

struct params params_default(void)
{
    return (struct params){
        .fee_byte = amount_of(1000),
        .fee_work = amount_of(50000),
        .fee_change_bps = 1250,
        .fee_burn_bps = 5000,
        .settle_burn_bps = 100,
        .audit_bps = 100,
        .royalty_max_bps = 5000,
        .royalty_floor_bps = 100,
        .overlap_bps = 5000,
        .model_bond = amount_of(10 * MOTE_PER_KITH),
        .model_bond_ms = 30 * DAY_MS,
        .validator_bond_min = amount_of(1000 * MOTE_PER_KITH),
        .provider_bond_min = amount_of(10 * MOTE_PER_KITH),
        .auditor_bond_min = amount_of(10 * MOTE_PER_KITH),
        .unbonding_ms = 21 * DAY_MS,
        .dispute_ms = 3600 * SECOND_MS,
        .audit_window_ms = 600 * SECOND_MS,
        .audit_reveal_ms = 300 * SECOND_MS,
        .fault_window_ms = 30 * DAY_MS,
        .keep_ms = 7 * DAY_MS,
        .audits_per_settlement = 1,
        .audits_full = 4,
        .slash_bps = 5000,
        .slash_auditor_bps = 2000,
        .evidence_slash_bps = 1000,
        .evidence_reporter_bps = 1000,
        .audit_slash_bps = 1000,
        .challenge_bond = amount_of(MOTE_PER_KITH),
        .audit_epoch_ms = DAY_MS,
        .pause_bps = 300,
        .grant_bond = amount_of(MOTE_PER_KITH),
        .grant_release_ms = DAY_MS,
        .grant_dispute_ms = DAY_MS,
        .issue_block = amount_of(MOTE_PER_KITH / 1000),
        .issue_halving = 10000000,
        .beacon_epoch = 100,
        .claim_blocks = 200,
        .claim_ms = 7 * DAY_MS,
        .gap_ms = 60 * SECOND_MS,
    };
}

struct params params_private(void)
{
    struct params p = params_default();
    p.model_bond = amount_of(MOTE_PER_KITH);
    p.model_bond_ms = 600 * SECOND_MS;
    p.validator_bond_min = p.provider_bond_min = p.auditor_bond_min = amount_of(MOTE_PER_KITH);
    p.unbonding_ms = 3600 * SECOND_MS;
    p.dispute_ms = 10 * SECOND_MS;
    p.audit_window_ms = 30 * SECOND_MS;
    p.fault_window_ms = 3600 * SECOND_MS;
    p.keep_ms = 3600 * SECOND_MS;
    p.audit_reveal_ms = 15 * SECOND_MS;
    p.challenge_bond = amount_of(MOTE_PER_KITH / 10);
    p.audit_epoch_ms = 300 * SECOND_MS;
    p.grant_bond = amount_of(MOTE_PER_KITH / 10);
    p.grant_release_ms = p.grant_dispute_ms = 30 * SECOND_MS;
    p.beacon_epoch = 5;
    p.claim_blocks = 5;
    p.claim_ms = 3600 * SECOND_MS;
    return p;
}

/* The most rounds of a settlement: that of the drawn receipts; then, for each of these and a challenged one, a
 * committee, one of twice the size where that was divided, and so on, the smallest first, as long as AUDITORS_ASKED_MAX
 * allows; and for each a last one that is not whole. */
static uint32_t audit_rounds_max(uint32_t drawn)
{
    uint32_t rounds = 1 + drawn + 1, room = AUDITORS_ASKED_MAX - drawn;
    for (uint32_t size = 2; size <= room; size *= 2)
        for (uint32_t i = 0; i <= drawn && size <= room; i++) {
            room -= size;
            rounds++;
        }
    return rounds;
}

static uint64_t round_ms(const struct params *p)
{
    uint64_t late_ms = (AUDIT_DRAW_BLOCKS + 2) * BLOCK_LATE_MS; /* those until a draw, and at the end of each window */
    return late_ms + p->audit_window_ms + p->audit_reveal_ms;
}

uint64_t params_verdict_ms(const struct params *p)
{
    uint32_t drawn = p->audits_per_settlement > p->audits_full ? p->audits_per_settlement : p->audits_full;
    return audit_rounds_max(drawn) * round_ms(p);
}

/* Committees of 2, 4, 8 and so on as long as AUDITORS_ASKED_MAX allows, and one that is not whole. */
uint64_t params_doubt_ms(const struct params *p)
{
    uint32_t rounds = 1;
    for (uint32_t size = 2, room = AUDITORS_ASKED_MAX; size <= room; size *= 2) {
        room -= size;
        rounds++;
    }
    return rounds * round_ms(p);
}

uint64_t params_answer_ms(const struct params *p)
{
    return params_verdict_ms(p) + p->audit_window_ms + params_doubt_ms(p);
}

/* What answers for a settlement must still be there when the last committee has been heard. */
static enum err unbonding_check(const struct params *p, struct note *note)
{
    uint64_t least = params_answer_ms(p);
    if (p->audits_per_settlement == 0 || p->unbonding_ms >= least)
        return ERR_OK;
    return note_set(note, ERR_RANGE,
                    "genesis: unbonding_ms is %" PRIu64
                    ", and a settlement, and a doubt about its auditors, may be decided after %" PRIu64
                    " (audit_window_ms, audit_reveal_ms and a draw for each committee): make it that at least",
                    p->unbonding_ms, least);
}

enum err params_check(const struct params *p, struct note *note)
{
    const struct {
        const char *name;
        uint32_t bps;
    } shares[] = {
        {"fee_change_bps", p->fee_change_bps},
        {"audit_slash_bps", p->audit_slash_bps},
        {"pause_bps", p->pause_bps},
        {"fee_burn_bps", p->fee_burn_bps},
        {"settle_burn_bps", p->settle_burn_bps},
        {"audit_bps", p->audit_bps},
        {"royalty_max_bps", p->royalty_max_bps},
        {"royalty_floor_bps", p->royalty_floor_bps},
        {"overlap_bps", p->overlap_bps},
        {"slash_bps", p->slash_bps},
        {"slash_auditor_bps", p->slash_auditor_bps},
        {"evidence_slash_bps", p->evidence_slash_bps},
        {"evidence_reporter_bps", p->evidence_reporter_bps},
    };
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        if (shares[i].bps > BPS_ALL)
            return note_set(note, ERR_RANGE, "genesis: %s is %u, over the whole of %u", shares[i].name, shares[i].bps,
                            BPS_ALL);
    if ((uint32_t)p->settle_burn_bps + p->audit_bps + p->royalty_max_bps > BPS_ALL)
        return note_set(note, ERR_RANGE,
                        "genesis: burn, audit fund and royalty together leave nothing to the provider");
    if (p->royalty_floor_bps > p->royalty_max_bps)
        return note_set(note, ERR_RANGE, "genesis: royalty_floor_bps is over royalty_max_bps");
    if (p->audits_per_settlement > SETTLEMENT_AUDITS_MAX || p->audits_full > SETTLEMENT_AUDITS_MAX)
        return note_set(note, ERR_LIMIT, "genesis: more than %d audits of a settlement", SETTLEMENT_AUDITS_MAX);
    if (p->fee_byte.mote > FEE_PRICE_MAX || p->fee_work.mote > FEE_PRICE_MAX)
        return note_set(note, ERR_RANGE, "genesis: fee_byte and fee_work are at most %llu mote",
                        (unsigned long long)FEE_PRICE_MAX);
    if (p->validator_bond_min.mote < GENESIS_STAKE_LEAST)
        return note_set(note, ERR_RANGE, "genesis: validator_bond_min must be at least %u mote", GENESIS_STAKE_LEAST);
    const uint64_t windows[] = {p->model_bond_ms,    p->unbonding_ms,     p->dispute_ms,     p->audit_window_ms,
                                p->fault_window_ms,  p->keep_ms,          p->audit_epoch_ms, p->audit_reveal_ms,
                                p->grant_release_ms, p->grant_dispute_ms, p->claim_ms,       p->gap_ms};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        if (windows[i] > 3650 * DAY_MS)
            return note_set(note, ERR_RANGE, "genesis: a window of more than ten years");
    if (p->gap_ms < GAP_MS_LEAST)
        return note_set(note, ERR_RANGE, "genesis: gap_ms must be at least %u: blocks come at least twice in that time",
                        GAP_MS_LEAST);
    if (p->challenge_bond.mote == 0)
        return note_set(note, ERR_RANGE, "genesis: challenge_bond must be at least 1 mote");
    if (p->issue_halving == 0)
        return note_set(note, ERR_RANGE, "genesis: issue_halving must be at least 1");
    if (p->beacon_epoch == 0 || p->beacon_epoch > BEACON_EPOCH_MAX)
        return note_set(note, ERR_RANGE, "genesis: beacon_epoch must be 1 to %u blocks", BEACON_EPOCH_MAX);
    if (p->claim_blocks > CLAIM_BLOCKS_MAX || p->claim_ms < p->claim_blocks * SECOND_MS)
        return note_set(note, ERR_RANGE, "genesis: claim_blocks is at most %u, and claim_ms at least a second for each",
                        CLAIM_BLOCKS_MAX);
    return unbonding_check(p, note);
}

uint32_t genesis_holders(struct bytes list)
{
    return (uint32_t)(list.n / GENESIS_HOLDER_SIZE);
}

struct genesis_holder genesis_holder_at(struct bytes list, uint32_t i)
{
    struct genesis_holder holder;
    CHECK(i < genesis_holders(list));
    struct cursor c = cursor_of(bytes_of(list.p + (size_t)i * GENESIS_HOLDER_SIZE, GENESIS_HOLDER_SIZE));
    genesis_holder_get(&c, &holder);
    return holder;
}

static int compare_holders(const void *x, const void *y)
{
    const struct genesis_holder *a = x, *b = y;
    return pubkey_compare(&a->key, &b->key);
}

static enum err duplicate(const struct pubkey *key, struct note *note)
{
    char text[65];
    hex_put(text, key->b, sizeof key->b);
    return note_set(note, ERR_DUPLICATE, "genesis: the key %s is listed twice: add the amounts up", text);
}

enum err genesis_list(struct genesis_holder *holders, size_t n, struct buf *out, struct note *note)
{
    if (n > 1)
        qsort(holders, n, sizeof *holders, compare_holders);
    for (size_t i = 0; i < n; i++) {
        if (i && pubkey_equal(&holders[i].key, &holders[i - 1].key))
            return duplicate(&holders[i].key, note);
        genesis_holder_put(out, &holders[i]);
    }
    return ERR_OK;
}

/* One list: whole entries, ordered, valid keys; adds its amounts to *sum. */
static enum err list_check(struct bytes list, const char *what, struct amount least, struct amount *sum,
                           struct note *note)
{
    struct genesis_holder last = {0};
    if (list.n % GENESIS_HOLDER_SIZE)
        return note_set(note, ERR_FORMAT, "genesis: the list of %s is cut", what);
    for (uint32_t i = 0; i < genesis_holders(list); i++) {
        struct genesis_holder h = genesis_holder_at(list, i);
        char key[65];
        hex_put(key, h.key.b, sizeof h.key.b);
        if (i && pubkey_compare(&last.key, &h.key) == 0)
            return duplicate(&h.key, note);
        if (i && pubkey_compare(&last.key, &h.key) > 0)
            return note_set(note, ERR_FORMAT, "genesis: the list of %s is not in order at %s", what, key);
        if (!key_public_is_valid(&h.key))
            return note_set(note, ERR_FORMAT, "genesis: %s is not a public key", key);
        if (amount_compare(h.amount, least) < 0) {
            char min[AMOUNT_TEXT_ROOM];
            amount_print(least, min);
            return note_set(note, ERR_RANGE, "genesis: %s of %.16s... has less than the %s KITH needed", what, key,
                            min);
        }
        if (!amount_add(sum, *sum, h.amount))
            return note_set(note, ERR_RANGE, "genesis: more KITH in all than can be counted");
        last = h;
    }
    return ERR_OK;
}

enum err genesis_check(const struct genesis *g, struct note *note)
{
    struct amount sum = amount_of(0);
    if (g->version != GENESIS_VERSION)
        return note_set(note, ERR_UNSUPPORTED, "genesis of version %u: this program knows version %d", g->version,
                        GENESIS_VERSION);
    if (g->name.n == 0)
        return note_set(note, ERR_FORMAT, "genesis: the chain has no name");
    if (strcmp(g->prefix.s, ADDRESS_PREFIX) != 0 && strcmp(g->prefix.s, ADDRESS_PREFIX_PRIVATE) != 0)
        return note_set(note, ERR_FORMAT, "genesis: the prefix is \"%s\": it must be %s or %s", g->prefix.s,
                        ADDRESS_PREFIX, ADDRESS_PREFIX_PRIVATE);
    enum err e = params_check(&g->params, note);
    if (e)
        return e;
    if (genesis_holders(g->validators) == 0)
        return note_set(note, ERR_RANGE, "genesis: nobody validates: name at least one validator with its stake");
    if (genesis_holders(g->validators) > VALIDATORS_MAX || genesis_holders(g->accounts) > GENESIS_ACCOUNTS_MAX)
        return note_set(note, ERR_LIMIT, "genesis: more than %d validators or %d accounts", VALIDATORS_MAX,
                        GENESIS_ACCOUNTS_MAX);
    e = list_check(g->accounts, "accounts", amount_of(1), &sum, note);
    return e ? e : list_check(g->validators, "validators", g->params.validator_bond_min, &sum, note);
}

struct hash genesis_chain_id(const struct genesis *g)
{
    struct buf b = {0};
    genesis_put(&b, g);
    struct hash id = hash_once(HASH_GENESIS, b.p, b.n);
    buf_clear(&b);
    return id;
}

/* -- JSON in: amounts are decimal strings of mote, other numbers integers -- */

static enum err integer_get(const json_t *v, const char *name, uint64_t max, uint64_t *out, struct note *note)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return note_set(note, ERR_FORMAT, "genesis: \"%s\" must be a whole number from 0 to %" PRIu64, name, max);
    *out = (uint64_t)json_integer_value(v);
    return ERR_OK;
}

static enum err json_get_amount(const json_t *v, const char *name, struct amount *out, struct note *note)
{
    const char *s = json_string_value(v);
    uint64_t mote = 0;
    size_t n = s ? strspn(s, "0123456789") : 0;
    bool fits = n > 0 && s[n] == 0;
    for (size_t i = 0; fits && i < n; i++)
        fits = !__builtin_mul_overflow(mote, 10, &mote) && !__builtin_add_overflow(mote, (uint64_t)(s[i] - '0'), &mote);
    if (!fits)
        return note_set(note, ERR_FORMAT, "genesis: \"%s\" must be mote as a string of digits, like \"1000000000\"",
                        name);
    out->mote = mote;
    return ERR_OK;
}

#define JSON_GET_INTEGER(kind, type, max)                                                                              \
    static enum err json_get_##kind(const json_t *v, const char *name, type *out, struct note *note)                   \
    {                                                                                                                  \
        uint64_t wide = 0;                                                                                             \
        enum err e = integer_get(v, name, max, &wide, note);                                                           \
        if (e == ERR_OK)                                                                                               \
            *out = (type)wide;                                                                                         \
        return e;                                                                                                      \
    }
JSON_GET_INTEGER(u8, uint8_t, UINT8_MAX)
JSON_GET_INTEGER(u16, uint16_t, UINT16_MAX)
JSON_GET_INTEGER(u64, uint64_t, INT64_MAX)

static enum err params_parse(const json_t *object, struct params *p, struct note *note)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return note_set(note, ERR_FORMAT, "genesis: \"params\" must be an object");
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        enum err e = ERR_NOT_FOUND;
#define F(kind, field)                                                                                                 \
    if (strcmp(key, #field) == 0)                                                                                      \
        e = json_get_##kind(value, key, &p->field, note);
        PARAMS_FIELDS(F)
#undef F
        if (e == ERR_NOT_FOUND)
            return note_set(note, ERR_FORMAT, "genesis: unknown parameter \"%.60s\"", key);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err holders_parse(const json_t *array, const char *what, struct buf *out, struct note *note)
{
    struct genesis_holder *holders;
    size_t n = json_array_size(array);
    enum err e = ERR_OK;
    if (!json_is_array(array) || n > GENESIS_ACCOUNTS_MAX)
        return note_set(note, ERR_FORMAT, "genesis: \"%s\" must be a list of at most %d", what, GENESIS_ACCOUNTS_MAX);
    holders = mem_array(n, sizeof *holders);
    for (size_t i = 0; i < n && e == ERR_OK; i++) {
        const json_t *v = json_array_get(array, i);
        const char *key = json_text(v, "key");
        if (!key || !hex_get(key, holders[i].key.b, sizeof holders[i].key.b))
            e = note_set(note, ERR_FORMAT, "genesis: \"key\" of entry %zu of \"%s\" must be 64 hexadecimal digits", i,
                         what);
        else
            e = json_get_amount(json_object_get(v, "amount"), "amount", &holders[i].amount, note);
    }
    if (e == ERR_OK)
        e = genesis_list(holders, n, out, note);
    free(holders);
    return e;
}

static enum err genesis_fill(const json_t *root, struct genesis *g, struct buf *room, struct note *note)
{
    uint64_t version = 0;
    struct params p;
    enum err e;
    const char *name = json_text(root, "name"), *prefix = json_text(root, "prefix");
    if (!json_is_object(root))
        return note_set(note, ERR_FORMAT, "genesis: the file must hold one JSON object");
    if ((e = integer_get(json_object_get(root, "version"), "version", UINT16_MAX, &version, note)))
        return e;
    if ((e = integer_get(json_object_get(root, "time_ms"), "time_ms", INT64_MAX, &g->time_ms, note)))
        return e;
    g->version = (uint16_t)version;
    if (!name || !text64_set(&g->name, name) || !prefix || !text64_set(&g->prefix, prefix))
        return note_set(note, ERR_FORMAT, "genesis: \"name\" and \"prefix\" must be texts of at most 64 bytes");
    p = strcmp(prefix, ADDRESS_PREFIX) == 0 ? params_default() : params_private();
    if (json_object_get(root, "params") && (e = params_parse(json_object_get(root, "params"), &p, note)))
        return e;
    g->params = p;
    if ((e = holders_parse(json_object_get(root, "accounts"), "accounts", room, note)))
        return e;
    size_t middle = room->n;
    if ((e = holders_parse(json_object_get(root, "validators"), "validators", room, note)))
        return e;
    g->accounts = bytes_of(room->p, middle);
    g->validators = bytes_of(room->p + middle, room->n - middle);
    return genesis_check(g, note);
}

enum err genesis_parse(struct bytes json, struct genesis *g, struct buf *room, struct note *note)
{
    *g = (struct genesis){0};
    buf_reset(room);
    buf_reserve(room, 1);
    json_t *root = json_parse(json, note);
    if (!root)
        return ERR_FORMAT;
    enum err e = genesis_fill(root, g, room, note);
    json_decref(root);
    return e;
}

/* -- JSON out -- */

static void holders_print(struct buf *out, const char *what, struct bytes list)
{
    buf_add_format(out, "  \"%s\": [", what);
    for (uint32_t i = 0; i < genesis_holders(list); i++) {
        struct genesis_holder h = genesis_holder_at(list, i);
        buf_add_text(out, i ? ",\n    " : "\n    ");
        genesis_holder_json(out, &h);
    }
    buf_add_text(out, genesis_holders(list) ? "\n  ]" : "]");
}

void genesis_print(const struct genesis *g, struct buf *out)
{
    buf_add_format(out, "{\n  \"version\": %u,\n  \"name\": ", g->version);
    codec_json_text64(out, &g->name);
    buf_add_text(out, ",\n  \"prefix\": ");
    codec_json_text64(out, &g->prefix);
    buf_add_format(out, ",\n  \"time_ms\": %" PRIu64 ",\n  \"params\": {", g->time_ms);
    const struct params *p = &g->params;
    bool first = true;
#define F(kind, field)                                                                                                 \
    buf_add_text(out, first ? "\n    \"" #field "\": " : ",\n    \"" #field "\": ");                                   \
    codec_json_##kind(out, &p->field);                                                                                 \
    first = false;
    PARAMS_FIELDS(F)
#undef F
    buf_add_text(out, "\n  },\n");
    holders_print(out, "accounts", g->accounts);
    buf_add_text(out, ",\n");
    holders_print(out, "validators", g->validators);
    buf_add_text(out, "\n}\n");
}

enum err genesis_read(const char *path, struct genesis *g, struct buf *room, struct note *note)
{
    struct buf text = {0};
    enum err e = file_read(path, JSON_BYTES_MAX, &text, note);
    if (e == ERR_OK)
        e = genesis_parse(bytes_of_buf(&text), g, room, note);
    buf_clear(&text);
    return e;
}

enum err genesis_write(const char *path, const struct genesis *g, struct note *note)
{
    struct buf text = {0};
    genesis_print(g, &text);
    enum err e = file_write(path, 0644, bytes_of_buf(&text), note);
    buf_clear(&text);
    return e;
}

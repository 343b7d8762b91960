/* Questions to the ledger. */
#include "chain/ledger_core.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct ledger_info ledger_info(const struct ledger *l)
{
    struct due due;
    struct hash settlement;
    uint64_t draw_height;
    bool is_due = state_first_due(&l->state, &due);
    struct rec_young young = state_get_young(&l->state);
    uint64_t stood_ms = state_get_stood(&l->state).stood_ms;
    return (struct ledger_info){
        .chain = l->chain,
        .height = l->head.height,
        .time_ms = l->head.time_ms,
        .block = l->head.block,
        .state_root = l->head.state_root,
        .wants_block = !hash_equal(&l->head.state_root, &l->head.previous_root) ||
                       state_first_draw(&l->state, &draw_height, &settlement) ||
                       (young.height && l->head.height + 1 < young.height + l->genesis.params.claim_blocks) ||
                       (is_due && due.time_ms + stood_ms <= l->head.time_ms),
        .next_due_ms = is_due ? due.time_ms + stood_ms : 0,
        .stood_ms = stood_ms,
    };
}

uint64_t ledger_date(const struct ledger *l, uint64_t clock_ms)
{
    return clock_ms + state_get_stood(&l->state).stood_ms;
}

const struct genesis *ledger_genesis(const struct ledger *l)
{
    return &l->genesis;
}

bool ledger_account(const struct ledger *l, const struct pubkey *key, struct rec_account *out)
{
    return state_get_account(&l->state, key, out);
}

bool ledger_rule(const struct ledger *l, const struct pubkey *account, struct rec_rule *out)
{
    return state_get_rule(&l->state, account, out);
}

struct amount ledger_bond(const struct ledger *l, enum bond_role role, const struct pubkey *owner)
{
    return state_get_bond(&l->state, role, owner);
}

bool ledger_unbonding_next(const struct ledger *l, enum bond_role role, const struct pubkey *owner,
                           const struct hash *after, struct hash *id, struct rec_unbonding *out)
{
    return state_next_unbonding(&l->state, role, owner, after, id, out);
}

bool ledger_fault(const struct ledger *l, const struct pubkey *owner, struct rec_fault *out)
{
    return state_get_fault(&l->state, owner, out);
}

bool ledger_beacon_key(const struct ledger *l, const struct pubkey *validator, uint64_t height, struct vrf_public *out)
{
    struct rec_beacon_key rec;
    if (!state_get_beacon_key(&l->state, validator, &rec))
        return false;
    bool is_next = rec.next_from_height != 0 && height >= rec.next_from_height;
    *out = is_next ? rec.next : rec.key;
    return is_next || (rec.from_height != 0 && height >= rec.from_height);
}

bool ledger_beacon_key_last(const struct ledger *l, const struct pubkey *validator, struct vrf_public *out)
{
    struct rec_beacon_key rec;
    if (!state_get_beacon_key(&l->state, validator, &rec))
        return false;
    *out = rec.next_from_height != 0 ? rec.next : rec.key;
    return true;
}

bool ledger_model(const struct ledger *l, const struct hash *root, struct rec_model *out)
{
    return state_get_model(&l->state, root, out);
}

bool ledger_model_by_name(const struct ledger *l, const char *name, struct rec_model *out)
{
    struct text64 text;
    struct hash root;
    *out = (struct rec_model){0};
    return text64_set(&text, name) && state_get_name(&l->state, &text, &root) && ledger_model(l, &root, out);
}

bool ledger_data(const struct ledger *l, const struct hash *plain_root, struct rec_data *out)
{
    return state_get_data(&l->state, plain_root, out);
}

bool ledger_provider(const struct ledger *l, const struct pubkey *node, struct rec_provider *out)
{
    return state_get_provider(&l->state, node, out);
}

bool ledger_channel(const struct ledger *l, const struct hash *channel, struct rec_channel *out)
{
    return state_get_channel(&l->state, channel, out);
}

bool ledger_settlement(const struct ledger *l, const struct hash *settlement, struct rec_settlement *out)
{
    return state_get_settlement(&l->state, settlement, out);
}

bool ledger_doubt(const struct ledger *l, const struct hash *doubt, struct rec_doubt *out)
{
    return state_get_doubt(&l->state, doubt, out);
}

bool ledger_grant(const struct ledger *l, const struct hash *grant, struct rec_grant *out)
{
    return state_get_grant(&l->state, grant, out);
}

bool ledger_bounty(const struct ledger *l, const struct hash *bounty, struct rec_bounty *out)
{
    return state_get_bounty(&l->state, bounty, out);
}

bool ledger_claim(const struct ledger *l, const struct pubkey *by, const struct hash *commit, struct rec_claim *out)
{
    struct hash id = rec_claim_id(by, commit);
    return state_get_claim(&l->state, &id, out);
}

bool ledger_offer(const struct ledger *l, const struct hash *bounty, const struct hash *root, struct rec_offer *out)
{
    struct hash id = rec_offer_id(bounty, root);
    return state_get_offer(&l->state, &id, out);
}

struct params ledger_params(const struct ledger *l)
{
    return l->genesis.params;
}

struct rec_fees ledger_fees(const struct ledger *l)
{
    return l->state.fees;
}

struct rec_epoch ledger_audit_epoch(const struct ledger *l)
{
    return state_get_epoch(&l->state);
}

struct rec_totals ledger_totals(const struct ledger *l)
{
    return l->state.totals;
}

bool ledger_model_next(const struct ledger *l, const struct hash *after, struct rec_model *out)
{
    return state_next_model(&l->state, after, out);
}

bool ledger_data_next(const struct ledger *l, const struct hash *after, struct rec_data *out)
{
    return state_next_data(&l->state, after, out);
}

bool ledger_provider_next(const struct ledger *l, const struct pubkey *after, struct rec_provider *out)
{
    return state_next_provider(&l->state, after, out);
}

bool ledger_channel_next(const struct ledger *l, const struct hash *after, struct rec_channel *out)
{
    return state_next_channel(&l->state, after, out);
}

bool ledger_settlement_next(const struct ledger *l, const struct hash *after, struct rec_settlement *out)
{
    return state_next_settlement(&l->state, after, out);
}

/* A settlement in escrow waits for its draw, or for the end of a window: it stands in one of two queues. That of times
 * has much else, but nothing of those beyond the longest window. */
void ledger_escrow_each(const struct ledger *l, ledger_escrow_fn fn, void *arg)
{
    const struct params *p = &l->genesis.params;
    const uint64_t clock_ms = l->head.time_ms - state_get_stood(&l->state).stood_ms;
    const uint64_t window = p->audit_window_ms > p->audit_reveal_ms ? p->audit_window_ms : p->audit_reveal_ms;
    struct rec_settlement s;
    struct hash id;
    struct due d;
    uint64_t height;
    for (bool more = state_next_draw(&l->state, NULL, &height, &id); more;
         more = state_next_draw(&l->state, &id, &height, &id)) {
        /* One that was called off leaves its draw behind; others are of doubts. */
        if (state_get_settlement(&l->state, &id, &s) && s.state < SETTLEMENT_PAID && !fn(arg, &s))
            return;
    }
    for (bool more = state_next_due(&l->state, NULL, &d); more && d.time_ms <= clock_ms + window;
         more = state_next_due(&l->state, &d, &d))
        if (d.kind == DUE_SETTLEMENT_MATURE && state_get_settlement(&l->state, &d.id, &s) && !fn(arg, &s))
            return;
}

struct wanted_channel {
    const struct hash *id;
    bool found;
};

static bool is_other_channel(void *arg, const struct rec_settlement *s)
{
    struct wanted_channel *w = arg;
    w->found = hash_equal(&s->channel, w->id);
    return !w->found;
}

bool ledger_channel_in_escrow(const struct ledger *l, const struct hash *channel)
{
    struct wanted_channel w = {.id = channel};
    ledger_escrow_each(l, is_other_channel, &w);
    return w.found;
}

bool ledger_doubt_next(const struct ledger *l, const struct hash *after, struct rec_doubt *out)
{
    return state_next_doubt(&l->state, after, out);
}

bool ledger_grant_next(const struct ledger *l, const struct hash *after, struct rec_grant *out)
{
    return state_next_grant(&l->state, after, out);
}

bool ledger_bounty_next(const struct ledger *l, const struct hash *after, struct rec_bounty *out)
{
    return state_next_bounty(&l->state, after, out);
}

bool ledger_offer_next(const struct ledger *l, const struct hash *after, struct rec_offer *out)
{
    return state_next_offer(&l->state, after, out);
}

static int compare_validators(const void *x, const void *y)
{
    const struct ledger_validator *a = x, *b = y;
    return a->power != b->power ? (a->power < b->power) - (a->power > b->power) : pubkey_compare(&a->key, &b->key);
}

uint32_t ledger_validators(const struct ledger *l, struct ledger_validator out[VALIDATORS_MAX])
{
    struct rec_office rec;
    struct pubkey key;
    uint32_t n = 0;
    for (bool more = state_next_in_office(&l->state, NULL, &key, &rec); more;
         more = state_next_in_office(&l->state, &key, &key, &rec))
        if (rec.power && n < VALIDATORS_MAX)
            out[n++] = (struct ledger_validator){key, rec.power};
    if (n > 1)
        qsort(out, n, sizeof *out, compare_validators);
    return n;
}

enum err ledger_evidence_check(struct ledger *l, const struct evidence *e, struct note *note)
{
    struct rec_office rec;
    struct apply a = ledger_apply(l, l->head.height + 1, l->head.time_ms, NULL);
    a.note = note;
    return apply_evidence_check(&a, e, &rec);
}

uint64_t ledger_answers_from(struct ledger *l)
{
    struct apply a = ledger_apply(l, l->head.height + 1, l->head.time_ms, NULL);
    return apply_office_oldest(&a);
}

bool ledger_office(const struct ledger *l, const struct pubkey *validator, struct rec_office *out)
{
    return state_get_office(&l->state, validator, out);
}

enum err ledger_tx_result(struct ledger *l, const struct hash *id, struct rec_result *out, struct note *note)
{
    uint8_t key[1 + HASH_SIZE] = {KV_TX};
    struct buf value = {0};
    memcpy(key + 1, id->b, HASH_SIZE);
    enum err e = kv_get(l->kv, bytes_of(key, sizeof key), &value, NULL);
    if (e == ERR_NOT_FOUND)
        return note_set(note, e, "transaction %s... is in no block", apply_text_id(id->b).s);
    struct cursor c = cursor_of(bytes_of_buf(&value));
    rec_result_get(&c, out);
    if (e == ERR_OK && !cursor_end(&c))
        e = ERR_CORRUPT;
    buf_clear(&value);
    return e ? note_set(note, e, "the store could not give transaction %s...", apply_text_id(id->b).s) : ERR_OK;
}

void ledger_drop_result(struct kv_batch *batch, const struct hash *id)
{
    uint8_t key[1 + HASH_SIZE] = {KV_TX};
    memcpy(key + 1, id->b, HASH_SIZE);
    kv_batch_delete(batch, bytes_of(key, sizeof key));
}

void ledger_query(const struct ledger *l, enum state_class cls, struct bytes key, struct ledger_proof *out)
{
    const struct rec_head *head = l->finalized ? &l->next_head : &l->head;
    struct buf full = {0};
    uint8_t first = (uint8_t)cls;
    buf_add(&full, &first, 1);
    buf_add(&full, key.p, key.n);
    struct bytes value = tree_get(l->state.tree, bytes_of_buf(&full));
    out->height = head->height;
    out->header = hash_equal(&head->state_root, &head->previous_root) && head->height ? head->height : head->height + 1;
    out->root = tree_root(l->state.tree); /* a trial run may have left stale hashes behind */
    out->found = value.p != NULL;
    buf_reset(&out->value);
    buf_add(&out->value, value.p, value.n);
    buf_reset(&out->proof);
    tree_prove(l->state.tree, bytes_of_buf(&full), &out->proof);
    buf_clear(&full);
}

void ledger_proof_clear(struct ledger_proof *p)
{
    buf_clear(&p->value);
    buf_clear(&p->proof);
    *p = (struct ledger_proof){0};
}

struct bytes ledger_proof_value(const struct ledger_proof *p)
{
    if (!p->found)
        return (struct bytes){0};
    return p->value.n ? bytes_of_buf(&p->value) : bytes_of("", 0);
}

const char *ledger_event_name(enum ledger_event_kind kind)
{
    static const char *const names[] = {
#define E(name) #name,
        LEDGER_EVENT_LIST(E)
#undef E
    };
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "UNKNOWN";
}

const char *ledger_payout_name(enum payout_reason reason)
{
    static const char *const names[PAYOUT_REASONS] = {"provider", "publisher", "parent", "data", "auditor"};
    return (unsigned)reason < PAYOUT_REASONS ? names[reason] : "unknown";
}

/* Evidence in the node's hands: kept in the store until the ledger has punished it (or never can), said to the peers,
 * and sent to the ledger.
 *
 * Many find the same, and a second transaction with it would fail and cost its fee. So validators stand in line, in an
 * order that the evidence shuffles: the first sends at once, each further one after another CONSENSUS_EVIDENCE_MS, and
 * only if neither the ledger nor the pool knows of it by then.
 */
#include "node/consensus/consensus_in.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

#define KEY_SIZE (2 + 8 + 32)

/* One a validator and height is enough, and bounds what an equivocator can make us store. */
static struct bytes store_key(uint8_t key[KEY_SIZE], const struct evidence *e)
{
    key[0] = KV_CONSENSUS;
    key[1] = 'e';
    store_le64(key + 2, e->height);
    memcpy(key + 10, e->validator.b, 32);
    return bytes_of(key, KEY_SIZE);
}

static struct hash place_in_line(const struct evidence *e, const struct pubkey *who)
{
    struct hasher h;
    hash_start(&h, HASH_GOSSIP);
    hash_add(&h, e->validator.b, sizeof e->validator.b);
    hash_add_u64(&h, e->height);
    hash_add(&h, who->b, sizeof who->b);
    return hash_end(&h);
}

/* How many validators stand before us; the accused does not count. */
static uint32_t rank(const struct consensus *c, const struct evidence *e)
{
    struct hash own = place_in_line(e, &c->self);
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->validators->n; i++) {
        struct hash other = place_in_line(e, &c->validators->v[i].key);
        n += hash_compare(&other, &own) < 0 && !pubkey_equal(&c->validators->v[i].key, &e->validator);
    }
    return n;
}

static void pending_add(struct consensus *c, const struct evidence *e)
{
    if (c->pending_n == CONSENSUS_EVIDENCE_MAX)
        return; /* it is in the store, and with others */
    uint64_t wait_ms = (uint64_t)rank(c, e) * CONSENSUS_EVIDENCE_MS;
    c->pending[c->pending_n++] = (struct pending){*e, host_now_ms(c->o.host) + wait_ms};
}

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    struct evidence e;
    (void)key;
    if (evidence_decode(value, &e))
        pending_add(arg, &e);
    return true;
}

enum err evidence_load(struct consensus *c, struct note *note)
{
    static const uint8_t prefix[2] = {KV_CONSENSUS, 'e'};
    return kv_scan(c->o.kv, bytes_of(prefix, sizeof prefix), load_one, c, note);
}

void evidence_found(struct consensus *c, const struct evidence *e)
{
    struct buf raw = {0}, old = {0};
    struct kv_batch batch = {0};
    uint8_t key[KEY_SIZE];
    char hex[65];
    if (kv_get(c->o.kv, store_key(key, e), &old, NULL) == ERR_NOT_FOUND) {
        evidence_put(&raw, e);
        kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&raw));
        enum err stored = kv_write(c->o.kv, &batch, true, NULL);
        hex_put(hex, e->validator.b, sizeof e->validator.b);
        log_event(LOG_ODD, "consensus", "equivocation", "validator=%s height=%" PRIu64 " round=%u stored=%s", hex,
                  e->height, e->b.round, err_name(stored));
        c->evidence++;
        pending_add(c, e);
        wire_send_evidence(c, e);
    }
    kv_batch_clear(&batch);
    buf_clear(&raw);
    buf_clear(&old);
}

static void pending_drop(struct consensus *c, uint32_t i)
{
    struct kv_batch batch = {0};
    uint8_t key[KEY_SIZE];
    kv_batch_delete(&batch, store_key(key, &c->pending[i].evidence));
    if (kv_write(c->o.kv, &batch, true, NULL) != ERR_OK)
        log_event(LOG_DEBUG, "consensus", "undeleted", "height=%" PRIu64, c->pending[i].evidence.height);
    kv_batch_clear(&batch);
    c->pending[i] = c->pending[--c->pending_n];
}

struct look {
    const struct evidence *evidence;
    bool found;
};

static void look_at(void *arg, struct bytes raw)
{
    struct look *l = arg;
    struct tx t;
    if (l->found || tx_decode(raw, &t, NULL) != ERR_OK || t.kind != TX_EVIDENCE)
        return;
    struct tx_evidence body;
    struct cursor r = cursor_of(t.body);
    tx_evidence_get(&r, &body);
    l->found =
        body.evidence.height == l->evidence->height && pubkey_equal(&body.evidence.validator, &l->evidence->validator);
}

static bool is_on_its_way(const struct consensus *c, const struct evidence *e)
{
    struct look l = {e, false};
    mempool_each(c->pool, look_at, &l);
    return l.found;
}

static void submit(struct consensus *c, struct pending *p)
{
    struct buf raw = {0};
    tx_evidence_put(&raw, &(struct tx_evidence){p->evidence});
    if (!is_on_its_way(c, &p->evidence))
        (void)!duty_send(c, TX_EVIDENCE, bytes_of_buf(&raw));
    p->due_ms = host_now_ms(c->o.host) + CONSENSUS_EVIDENCE_AGAIN_MS;
    buf_clear(&raw);
}

void evidence_step(struct consensus *c)
{
    for (uint32_t i = 0; i < c->pending_n;) {
        struct pending *p = &c->pending[i];
        enum err e = ledger_evidence_check(c->o.ledger, &p->evidence, NULL);
        bool is_to_come = p->evidence.height > ledger_info(c->o.ledger).height;
        if (e != ERR_OK && !is_to_come) {
            pending_drop(c, i);
            continue;
        }
        bool is_ours =
            c->has_key && !pubkey_equal(&c->self, &p->evidence.validator) && valset_find(c->validators, &c->self) >= 0;
        if (e == ERR_OK && is_ours && host_now_ms(c->o.host) >= p->due_ms)
            submit(c, p);
        i++;
    }
}

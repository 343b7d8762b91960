/* Joining by a snapshot: headers first, then leaves from several peers at once, each checked when it comes.
 *
 *     WATCH --(far behind)--> LIST --(offers)--> HEADER --(three headers)--> TABLE --> CLEAR --> LEAVES --> WATCH
 *       OFF: blocks are the way, and stay it            any of them: joining_again, joining_give_up --> WATCH
 *
 * Whoever sends what is against headers or hashes is cut off; who has nothing, or is silent, is passed over. A question
 * has one place in `asks`, with the peer that it went to and when it is asked elsewhere. Sources are the peers whose
 * offer is the chosen one, so that tables agree; an offer whose root is not the header's is forgotten with all who made
 * it. */
#include "node/consensus/snapshot_join.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MS   200
#define GATHER_MS 1000 /* for peers to come, from the start */
#define LIST_MS   2000 /* for offers to come in */

uint64_t joining_now_ms(const struct joining *j)
{
    return host_now_ms(j->s->o.host);
}

void joining_set_phase(struct joining *j, enum phase phase)
{
    j->phase = phase;
    j->at_ms = j->news_ms = joining_now_ms(j);
    j->one.is_on = false;
    memset(j->asks, 0, sizeof j->asks);
    for (unsigned i = 0; i < j->sources_n; i++)
        j->sources[i].asked = j->sources[i].strikes = 0;
}

void joining_again(struct joining *j, uint64_t pause_ms, const char *why)
{
    if (why)
        log_event(LOG_INFO, "snapshot", "waiting", "why=\"%s\"", why);
    joining_set_phase(j, WATCH);
    j->at_ms += pause_ms;
}

/* The chosen one led nowhere: the others have their turn first. */
void joining_give_up(struct joining *j, const char *why)
{
    if (j->failed_n == FAILED_MAX)
        j->failed_n = 0;
    j->failed[j->failed_n++] = j->chosen;
    joining_again(j, 0, why);
}

static bool has_failed(const struct joining *j, const struct snapshot_offer *o)
{
    for (unsigned i = 0; i < j->failed_n; i++)
        if (snapshot_offer_equal(&j->failed[i], o))
            return true;
    return false;
}

struct source *joining_find_source(struct joining *j, const struct pubkey *key)
{
    for (unsigned i = 0; i < j->sources_n; i++)
        if (pubkey_equal(&j->sources[i].key, key))
            return &j->sources[i];
    return NULL;
}

static bool offers_it(const struct source *p, const struct snapshot_offer *o)
{
    for (unsigned i = 0; i < p->offers_n; i++)
        if (snapshot_offer_equal(&p->offers[i], o))
            return true;
    return false;
}

static void source_forget(struct joining *j, const struct pubkey *key)
{
    struct source *p = joining_find_source(j, key);
    if (p)
        *p = j->sources[--j->sources_n];
    if (j->one.is_on && pubkey_equal(&j->one.from, key))
        j->one.is_on = false;
    for (int i = 0; i < SNAPSHOT_WINDOW; i++)
        if (j->asks[i].is_on && pubkey_equal(&j->asks[i].from, key))
            j->asks[i].is_on = false;
}

void joining_cut_off(struct joining *j, const struct pubkey *key, enum err e, const struct note *note)
{
    char hex[17];
    hex_put(hex, key->b, 8);
    log_event(LOG_ODD, "snapshot", "refused", "peer=%s why=\"%s\"", hex, note->text[0] ? note->text : err_text(e));
    struct pubkey copy = *key;
    source_forget(j, &copy);
    peers_drop(j->s->o.peers, &copy, e, "what it sent of a snapshot is wrong");
}

/* The next in turn that has the chosen one and room. */
struct source *joining_next_source(struct joining *j, uint32_t asked_max)
{
    for (unsigned i = 0; i < j->sources_n; i++) {
        struct source *p = &j->sources[(j->turn + i) % j->sources_n];
        if (offers_it(p, &j->chosen) && p->asked < asked_max && p->strikes < STRIKES_MAX) {
            j->turn = (unsigned)(p - j->sources) + 1;
            return p;
        }
    }
    return NULL;
}

bool joining_send(struct joining *j, const struct pubkey *to, enum msg_type type, struct buf *body_take)
{
    enum err e = peers_send(j->s->o.peers, to, type, bytes_of_buf(body_take));
    buf_clear(body_take);
    return e == ERR_OK;
}

/* -- when, and which -- */

/* Far enough behind, or behind what peers still have, that blocks are not the way. */
bool snapshot_is_wanted(const struct snapshots_options *o, uint64_t height, uint64_t peer_height, bool are_gone)
{
    if (o->sync == SNAPSHOT_SYNC_BLOCKS)
        return false;
    if (are_gone || (o->sync == SNAPSHOT_SYNC_SNAPSHOT && height == 0))
        return true;
    bool needed = o->sync == SNAPSHOT_SYNC_AUTO && o->needs_blocks && o->needs_blocks(o->needs_arg);
    return peer_height > height + SNAPSHOT_BEHIND && !needed;
}

static bool is_wanted(const struct joining *j)
{
    const struct snapshots_options *o = &j->s->o;
    if (ledger_snapshot_now(o->ledger))
        return true; /* begun before: there is no way back */
    return snapshot_is_wanted(o, ledger_info(o->ledger).height, consensus_status(o->consensus).peer_height,
                              consensus_is_pruned(o->consensus));
}

static void ask_list(void *arg, const struct peers_info *info)
{
    struct joining *j = arg;
    struct buf none = {0};
    if (info->up)
        (void)joining_send(j, &info->key, MSG_SNAPSHOT_LIST_GET, &none);
}

static void watch(struct joining *j)
{
    if (!is_wanted(j)) {
        consensus_hold(j->s->o.consensus, false);
        if (j->s->o.sync == SNAPSHOT_SYNC_BLOCKS)
            joining_set_phase(j, OFF);
        return;
    }
    if (joining_now_ms(j) < j->at_ms || peers_count(j->s->o.peers) == 0)
        return;
    consensus_hold(j->s->o.consensus, j->s->o.sync == SNAPSHOT_SYNC_SNAPSHOT);
    joining_set_phase(j, LIST);
    j->sources_n = 0;
    peers_list(j->s->o.peers, ask_list, j);
}

static bool is_begun(const struct joining *j, const struct snapshot_offer *o)
{
    const struct ledger_base *begun = ledger_snapshot_now(j->s->o.ledger);
    return begun && begun->height == o->height && hash_equal(&begun->state_root, &o->root) &&
           begun->leaves == o->leaves;
}

/* Who serves the one that was begun may come back: what was fetched, if anything was, is not given up at once. */
static bool is_to_wait(struct joining *j)
{
    const struct ledger *l = j->s->o.ledger;
    if (!ledger_snapshot_now(l) || ledger_snapshot_count(l) == 0 || is_begun(j, &j->chosen)) {
        j->lost_ms = 0;
        return false;
    }
    if (j->lost_ms == 0)
        j->lost_ms = joining_now_ms(j);
    return joining_now_ms(j) < j->lost_ms + SNAPSHOT_SILENT_MS;
}

/* Before it no header can be believed. */
static uint64_t trusted_height(const struct joining *j)
{
    uint64_t at = light_header(j->light)->height;
    return at ? at : j->s->o.checkpoint_height;
}

/* The newest that most offer; one that was begun before all others. */
static bool choose(struct joining *j)
{
    uint64_t height = ledger_snapshot_now(j->s->o.ledger) ? 0 : ledger_info(j->s->o.ledger).height;
    uint64_t trusted = trusted_height(j);
    unsigned most = 0;
    for (unsigned i = 0; i < j->sources_n; i++)
        for (unsigned k = 0; k < j->sources[i].offers_n; k++) {
            const struct snapshot_offer *o = &j->sources[i].offers[k];
            unsigned n = 0;
            for (unsigned q = 0; q < j->sources_n; q++)
                n += offers_it(&j->sources[q], o);
            n += is_begun(j, o) ? PEERS_MAX : 0;
            bool is_better = n > most || (n == most && o->height > j->chosen.height);
            if (o->height > height && o->height >= trusted && !has_failed(j, o) && is_better) {
                most = n;
                j->chosen = *o;
            }
        }
    return most > 0 && !is_to_wait(j);
}

/* -- headers -- */

static void trust_path(const struct joining *j, char path[4096])
{
    snapshot_path(j->s, "trust", path);
}

/* What an earlier attempt believed, if it is not older than what the configuration names. */
static bool trust_load(struct joining *j)
{
    char path[4096];
    struct buf raw = {0};
    trust_path(j, path);
    bool is_good = host_read(j->s->o.host, path, 2 * LIGHT_BLOCK_MAX, &raw, NULL) == ERR_OK &&
                   light_load(j->light, bytes_of_buf(&raw), NULL) == ERR_OK &&
                   light_header(j->light)->height >= j->s->o.checkpoint_height;
    buf_clear(&raw);
    return is_good;
}

static void trust_store(const struct joining *j)
{
    char path[4096];
    struct buf raw = {0};
    struct note note = {{0}};
    trust_path(j, path);
    light_store(j->light, &raw);
    if (host_write(j->s->o.host, path, 0600, bytes_of_buf(&raw), &note) != ERR_OK)
        log_event(LOG_INFO, "snapshot", "untrusted", "why=\"%s\"", note.text);
    buf_clear(&raw);
}

/* Where trust begins: our own last block, an earlier attempt, the checkpoint, the genesis. */
static enum err trust_begin(struct joining *j, struct note *note)
{
    const struct snapshots_options *o = &j->s->o;
    struct ledger_info info = ledger_info(o->ledger);
    struct buf own = {0};
    uint64_t wanted;
    enum err e = ERR_OK;
    light_free(j->light);
    j->light = light_new(&info.chain, ledger_params(o->ledger).unbonding_ms);
    j->headers_n = 0;
    if (info.height > o->checkpoint_height && !ledger_snapshot_now(o->ledger) &&
        consensus_light_block(o->consensus, info.height, &own, NULL) == ERR_OK) {
        light_trust_checkpoint(j->light, info.height, &info.block);
        e = light_seek(j->light, info.height, note);
        if (e == ERR_OK && light_wants(j->light, &wanted))
            e = light_take(j->light, bytes_of_buf(&own), host_wall_ms(o->host), note);
    } else if (!trust_load(j)) {
        if (o->checkpoint_height)
            light_trust_checkpoint(j->light, o->checkpoint_height, &o->checkpoint_id);
        else
            e = light_trust_genesis(j->light, ledger_genesis(o->ledger), note);
    }
    buf_clear(&own);
    return e;
}

static void ask_header(struct joining *j)
{
    struct buf b = {0};
    uint64_t height;
    struct source *p = joining_next_source(j, UINT32_MAX);
    CHECK(light_wants(j->light, &height));
    if (!p) {
        log_event(LOG_INFO, "snapshot", "waiting",
                  "why=\"nobody gives header %" PRIu64 ": where that is the checkpoint, give a newer one\"", height);
        joining_give_up(j, NULL);
        return;
    }
    snapshot_ask_put(&b, &(struct snapshot_ask){height});
    j->asked_height = height;
    if (joining_send(j, &p->key, MSG_LIGHT_GET, &b))
        j->one = (struct ask){.is_on = true, .from = p->key, .due_ms = joining_now_ms(j) + SNAPSHOT_ASK_MS};
    else
        p->strikes++;
}

/* Takes down headers that are reached, and seeks the next of the three. True when all are there. */
static bool headers_done(struct joining *j)
{
    uint64_t wanted;
    struct note note = {{0}};
    while (j->headers_n < HEADERS && !light_wants(j->light, &wanted)) {
        if (light_header(j->light)->height == j->chosen.height + j->headers_n)
            j->headers[j->headers_n++] = *light_header(j->light);
        if (j->headers_n == 1)
            trust_store(j); /* not a later one: a restart needs all three again */
        if (j->headers_n < HEADERS && light_seek(j->light, j->chosen.height + j->headers_n, &note) != ERR_OK) {
            joining_again(j, RETRY_MS, note.text);
            return false;
        }
    }
    return j->headers_n == HEADERS;
}

static void headers_step(struct joining *j)
{
    if (!headers_done(j)) {
        if (j->phase == HEADER && !j->one.is_on)
            ask_header(j);
        return;
    }
    if (!hash_equal(&j->headers[1].state, &j->chosen.root)) {
        joining_give_up(j, "a snapshot was offered that is not of this chain");
        return;
    }
    joining_set_phase(j, TABLE);
}

static enum err on_light(void *arg, const struct pubkey *from, struct bytes body)
{
    struct joining *j = ((struct snapshots *)arg)->joining;
    struct light_answer a;
    struct note note = {{0}};
    struct cursor c = cursor_of(body);
    light_answer_get(&c, &a);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    if (j->phase != HEADER || !j->one.is_on || !pubkey_equal(&j->one.from, from) || a.height != j->asked_height)
        return ERR_DUPLICATE; /* too late */
    j->one.is_on = false;
    if (a.block.n == 0) {
        struct source *p = joining_find_source(j, from);
        if (p)
            p->strikes = STRIKES_MAX;
        joining_step(j);
        return ERR_OK;
    }
    enum err e = light_take(j->light, a.block, host_wall_ms(j->s->o.host), &note);
    if (e == ERR_EXPIRED || e == ERR_LIMIT) {
        log_event(LOG_ODD, "snapshot", "untrusted", "why=\"%s\"", note.text);
        joining_again(j, RETRY_MS, NULL);
        if (j->s->o.sync == SNAPSHOT_SYNC_AUTO && !ledger_snapshot_now(j->s->o.ledger))
            joining_set_phase(j, OFF); /* blocks, then */
    } else if (e != ERR_OK) {
        light_forget(j->light);
        (void)!light_seek(j->light, j->chosen.height + j->headers_n, NULL);
        joining_cut_off(j, from, e, &note);
    }
    joining_step(j);
    return ERR_OK;
}

/* -- all -- */

static enum err on_list(void *arg, const struct pubkey *from, struct bytes body)
{
    struct joining *j = ((struct snapshots *)arg)->joining;
    struct source *p = joining_find_source(j, from);
    if (body.n % SNAPSHOT_OFFER_SIZE || body.n > (size_t)SNAPSHOT_OFFER_SIZE * SNAPSHOT_KEPT)
        return ERR_PROTOCOL;
    if (j->phase == WATCH || j->phase == OFF)
        return ERR_DUPLICATE;
    if (!p) {
        if (j->sources_n == PEERS_MAX)
            return ERR_OK;
        p = &j->sources[j->sources_n++];
        *p = (struct source){.key = *from};
    }
    p->offers_n = 0;
    for (struct cursor c = cursor_of(body); c.n > 0;)
        snapshot_offer_get(&c, &p->offers[p->offers_n++]);
    return ERR_OK;
}

static void list_step(struct joining *j)
{
    struct note note = {{0}};
    if (joining_now_ms(j) < j->at_ms + LIST_MS && j->sources_n < peers_count(j->s->o.peers))
        return;
    j->chosen = (struct snapshot_offer){0};
    enum err e = trust_begin(j, &note);
    if (e == ERR_OK && !choose(j)) {
        j->failed_n = 0; /* nothing else is there: from the beginning */
        joining_again(j, RETRY_MS / 2,
                      j->lost_ms     ? "no peer has the snapshot that was begun: another one is taken soon"
                      : j->sources_n ? "no peer has a snapshot that is newer than what is trusted"
                                     : "no peer answers");
        return;
    }
    if (e == ERR_OK)
        e = light_seek(j->light, j->chosen.height, &note);
    if (e != ERR_OK) {
        log_event(LOG_ODD, "snapshot", "untrusted", "why=\"%s\"", note.text);
        joining_again(j, RETRY_MS, NULL);
        return;
    }
    joining_set_phase(j, HEADER);
}

static void one_step(struct joining *j)
{
    if (j->one.is_on && j->one.due_ms <= joining_now_ms(j)) {
        struct source *p = joining_find_source(j, &j->one.from);
        if (p)
            p->strikes++;
        j->one.is_on = false;
    }
    if (j->phase == HEADER)
        headers_step(j);
    else if (!j->one.is_on)
        joining_ask_table(j);
}

void joining_step(void *arg)
{
    struct joining *j = arg;
    switch (j->phase) {
    case WATCH:
        watch(j);
        break;
    case LIST:
        list_step(j);
        break;
    case HEADER:
    case TABLE:
        one_step(j);
        break;
    case CLEAR:
        joining_begin(j);
        break;
    case LEAVES:
        joining_leaves_step(j);
        break;
    case OFF:
        return;
    }
    host_timer_set(j->s->o.host, &j->timer, j->phase == CLEAR ? 1 : STEP_MS, joining_step, j);
}

static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    struct joining *j = ((struct snapshots *)arg)->joining;
    struct buf none = {0};
    if (j->phase == WATCH || j->phase == OFF)
        return;
    if (up)
        (void)joining_send(j, peer, MSG_SNAPSHOT_LIST_GET, &none);
    else
        source_forget(j, peer);
}

struct joining *joining_new(struct snapshots *s)
{
    struct joining *j = mem_new(sizeof *j);
    j->s = s;
    j->at_ms = host_now_ms(s->o.host) + GATHER_MS;
    j->next = mem_new(sizeof *j->next);
    j->after = mem_new(sizeof *j->after);
    consensus_hold(s->o.consensus, s->o.sync == SNAPSHOT_SYNC_SNAPSHOT || ledger_snapshot_now(s->o.ledger));
    peers_on(s->o.peers, MSG_SNAPSHOT_LIST, on_list, s);
    peers_on(s->o.peers, MSG_SNAPSHOT_TABLE, joining_on_table, s);
    peers_on(s->o.peers, MSG_SNAPSHOT_LEAF, joining_on_leaf, s);
    peers_on(s->o.peers, MSG_LIGHT, on_light, s);
    peers_on_change(s->o.peers, on_change, s);
    host_timer_set(s->o.host, &j->timer, STEP_MS, joining_step, j);
    return j;
}

void joining_free(struct joining *j)
{
    if (!j)
        return;
    host_timer_cancel(j->s->o.host, &j->timer);
    light_free(j->light);
    snapshot_table_clear(&j->table);
    free(j->next);
    free(j->after);
    free(j);
}

void joining_status(const struct joining *j, struct snapshots_status *out)
{
    const struct ledger_base *begun = ledger_snapshot_now(j->s->o.ledger);
    out->is_joining = begun != NULL || (j->phase != WATCH && j->phase != OFF);
    out->join_height = begun ? begun->height : 0;
    out->leaves = begun ? begun->leaves : 0;
    out->have = begun ? ledger_snapshot_count(j->s->o.ledger) : 0;
}

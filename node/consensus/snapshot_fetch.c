/* The table of a snapshot that was chosen and its leaves: asked for from several peers at once, checked when they come,
 * and stored one by one, so that after a kill it goes on where it was. snapshot_join.c says when. */
#include "node/consensus/snapshot_join.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>

/* -- the table -- */

void joining_ask_table(struct joining *j)
{
    struct buf b = {0};
    struct source *p = joining_next_source(j, UINT32_MAX);
    if (!p) {
        joining_give_up(j, "nobody is left who serves the snapshot");
        return;
    }
    snapshot_ask_put(&b, &(struct snapshot_ask){j->chosen.height});
    if (joining_send(j, &p->key, MSG_SNAPSHOT_TABLE_GET, &b))
        j->one = (struct ask){.is_on = true, .from = p->key, .due_ms = joining_now_ms(j) + SNAPSHOT_ASK_MS};
    else
        p->strikes++;
}

static enum err table_take(struct joining *j, const struct snapshot_table_answer *a, struct note *note)
{
    struct hash h = snapshot_table_hash(a->depths);
    if (!hash_equal(&h, &j->chosen.table) || a->depths.n != j->chosen.leaves)
        return note_set(note, ERR_MISMATCH, "another table than was offered");
    snapshot_table_clear(&j->table);
    enum err e = snapshot_table_decode(a->depths, &j->table, note);
    if (e == ERR_OK)
        e = snapshot_anchor_get(a->anchor, &j->headers[1], &j->headers[2], j->next, j->after, note);
    return e;
}

enum err joining_on_table(void *arg, const struct pubkey *from, struct bytes body)
{
    struct joining *j = ((struct snapshots *)arg)->joining;
    struct snapshot_table_answer a;
    struct note note = {{0}};
    struct cursor c = cursor_of(body);
    snapshot_table_answer_get(&c, &a);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    if (j->phase != TABLE || !j->one.is_on || !pubkey_equal(&j->one.from, from) || a.height != j->chosen.height)
        return ERR_DUPLICATE;
    j->one.is_on = false;
    enum err e = a.depths.n ? table_take(j, &a, &note) : ERR_NOT_FOUND;
    struct source *p = joining_find_source(j, from);
    if (e == ERR_OK)
        joining_set_phase(j, CLEAR);
    else if (e != ERR_NOT_FOUND)
        joining_cut_off(j, from, e, &note);
    else if (p)
        p->strikes = STRIKES_MAX;
    joining_step(j);
    return ERR_OK;
}

/* -- leaves -- */

static struct ledger_base base_of(const struct joining *j)
{
    const struct header *h = &j->headers[0], *next = &j->headers[1];
    return (struct ledger_base){h->height, h->time_ms, next->prev, h->state, next->state, j->table.n};
}

void joining_begin(struct joining *j)
{
    struct note note = {{0}};
    struct ledger_base base = base_of(j);
    consensus_hold(j->s->o.consensus, true);
    enum err e = ledger_snapshot_begin(j->s->o.ledger, &base, &note);
    if (e == ERR_OK) {
        j->leaf = 0;
        joining_set_phase(j, LEAVES);
        log_event(LOG_INFO, "snapshot", "fetching", "height=%" PRIu64 " leaves=%u have=%u", base.height, base.leaves,
                  ledger_snapshot_count(j->s->o.ledger));
        joining_leaves_step(j);
    } else if (e != ERR_BUSY) {
        log_event(LOG_ODD, "snapshot", "unbegun", "why=\"%s\"", note.text);
        joining_again(j, RETRY_MS, NULL);
    }
}

static bool is_asked(const struct joining *j, uint32_t leaf)
{
    for (int i = 0; i < SNAPSHOT_WINDOW; i++)
        if (j->asks[i].is_on && j->asks[i].leaf == leaf)
            return true;
    return false;
}

static bool leaf_missing(struct joining *j, uint32_t *leaf)
{
    while (j->leaf < j->table.n && ledger_snapshot_has(j->s->o.ledger, j->leaf))
        j->leaf++;
    for (*leaf = j->leaf; *leaf < j->table.n; ++*leaf)
        if (!ledger_snapshot_has(j->s->o.ledger, *leaf) && !is_asked(j, *leaf))
            return true;
    return false;
}

static bool ask_leaf(struct joining *j, struct ask *ask, uint32_t leaf)
{
    struct buf b = {0};
    struct source *p = joining_next_source(j, SNAPSHOT_PEER_LEAVES);
    if (!p)
        return false;
    snapshot_leaf_ask_put(&b, &(struct snapshot_leaf_ask){j->chosen.height, leaf});
    if (!joining_send(j, &p->key, MSG_SNAPSHOT_LEAF_GET, &b)) {
        p->strikes++;
        return true;
    }
    *ask = (struct ask){.is_on = true, .from = p->key, .due_ms = joining_now_ms(j) + SNAPSHOT_ASK_MS, .leaf = leaf};
    p->asked++;
    return true;
}

static void ask_end(struct joining *j, struct ask *ask, bool is_strike)
{
    struct source *p = joining_find_source(j, &ask->from);
    if (p) {
        p->asked -= p->asked > 0;
        p->strikes = is_strike ? p->strikes + 1 : 0;
    }
    ask->is_on = false;
}

static void finish(struct joining *j)
{
    struct note note = {{0}};
    struct consensus_join join = {.beacon = j->headers[1].beacon, .validators = j->next, .next_validators = j->after};
    enum err e = consensus_join_end(j->s->o.consensus, &join, &note);
    if (e != ERR_OK) {
        log_event(LOG_ODD, "snapshot", "unjoined", "height=%" PRIu64 " why=\"%s\"", j->chosen.height, note.text);
        joining_again(j, RETRY_MS, NULL);
        return;
    }
    log_event(LOG_INFO, "snapshot", "joined", "height=%" PRIu64 " leaves=%u", j->chosen.height, j->table.n);
    consensus_hold(j->s->o.consensus, false);
    joining_again(j, RETRY_MS, NULL);
}

static bool is_asking(const struct joining *j)
{
    for (int i = 0; i < SNAPSHOT_WINDOW; i++)
        if (j->asks[i].is_on)
            return true;
    return false;
}

void joining_leaves_step(struct joining *j)
{
    uint32_t leaf;
    uint64_t now = joining_now_ms(j);
    if (ledger_snapshot_count(j->s->o.ledger) == j->table.n) {
        finish(j);
        return;
    }
    for (int i = 0; i < SNAPSHOT_WINDOW; i++)
        if (j->asks[i].is_on && j->asks[i].due_ms <= now)
            ask_end(j, &j->asks[i], true);
    for (int i = 0; i < SNAPSHOT_WINDOW; i++)
        if (!j->asks[i].is_on && (!leaf_missing(j, &leaf) || !ask_leaf(j, &j->asks[i], leaf)))
            break;
    if (j->sources_n > 0 && !is_asking(j)) /* it was dropped while it was fetched */
        joining_give_up(j, "nobody is left who serves the snapshot");
    else if (now >= j->news_ms + SNAPSHOT_SILENT_MS)
        joining_give_up(j, "no leaf came for long: other peers, or another snapshot");
}

enum err joining_on_leaf(void *arg, const struct pubkey *from, struct bytes body)
{
    struct joining *j = ((struct snapshots *)arg)->joining;
    struct snapshot_leaf_answer m;
    struct note note = {{0}};
    struct cursor c = cursor_of(body);
    struct ask *ask = NULL;
    snapshot_leaf_answer_get(&c, &m);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    for (int i = 0; i < SNAPSHOT_WINDOW && j->phase == LEAVES && m.height == j->chosen.height; i++)
        if (j->asks[i].is_on && j->asks[i].leaf == m.leaf && pubkey_equal(&j->asks[i].from, from))
            ask = &j->asks[i];
    if (!ask)
        return ERR_DUPLICATE; /* too late */
    if (!m.has) {
        struct source *p = joining_find_source(j, from);
        ask_end(j, ask, true);
        if (p)
            p->strikes = STRIKES_MAX;
        joining_step(j);
        return ERR_OK;
    }
    ask_end(j, ask, false);
    enum err e = snapshot_leaf_check(&j->chosen.root, &j->table.at[m.leaf], &m.siblings, m.entries, &note);
    if (e != ERR_OK) {
        joining_cut_off(j, from, e, &note);
    } else if ((e = ledger_snapshot_put(j->s->o.ledger, m.leaf, m.entries, &note)) != ERR_OK) {
        log_event(LOG_ODD, "snapshot", "unstored", "leaf=%u why=\"%s\"", m.leaf, note.text);
        return ERR_OK; /* it is asked for again by and by */
    } else {
        j->news_ms = joining_now_ms(j);
    }
    joining_leaves_step(j);
    return ERR_OK;
}

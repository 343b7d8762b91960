/* What happened to an account, newest first. */
#include "base/mem.h"
#include "node/api/api.h"
#include "node/consensus/history.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More in one answer would hold up the loop: each entry may look up a model. */
#define ENTRIES_MAX     500
#define ENTRIES_DEFAULT 50

/* "HEIGHT.PLACE"; absent: the newest. */
static bool read_place(const char *text, struct history_place *out)
{
    char end;
    *out = (struct history_place){UINT64_MAX, UINT32_MAX};
    if (!text || !*text)
        return true;
    return *text >= '0' && *text <= '9' &&
           sscanf(text, "%" SCNu64 ".%" SCNu32 "%c", &out->height, &out->place, &end) == 2;
}

static bool read_limit(const char *text, uint32_t *out)
{
    *out = ENTRIES_DEFAULT;
    if (!text || !*text)
        return true;
    if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 4)
        return false;
    *out = (uint32_t)strtoul(text, NULL, 10);
    return *out > 0 && *out <= ENTRIES_MAX;
}

static const char *const roles[] = {"validator", "provider", "auditor"};

static const char *code_text(const struct history_entry *e)
{
    const char *kind;
    switch (e->what) {
    case HISTORY_TX:
        kind = tx_kind_name(e->code);
        return kind ? kind : "?";
    case HISTORY_PAYOUT:
        return e->code < PAYOUT_REASONS ? ledger_payout_name((enum payout_reason)e->code) : "?";
    case HISTORY_SLASHED:
    case HISTORY_BOND_RETURNED:
        return e->code < BOND_ROLES ? roles[e->code] : "?";
    }
    return NULL;
}

/* A model or a data set has a name that people know. */
static void put_subject(struct buf *b, bool *first, const struct node *n, const struct hash *subject)
{
    struct rec_model model;
    struct rec_data data;
    if (hash_is_zero(subject))
        return;
    api_put_hash(b, first, "subject", subject);
    if (ledger_model(n->ledger, subject, &model))
        api_put_text(b, first, "name", model.name.s);
    else if (ledger_data(n->ledger, subject, &data))
        api_put_text(b, first, "name", data.name.s);
}

static void put_entry(struct buf *b, const struct node *n, const struct history_entry *e)
{
    bool first = true;
    const char *code = code_text(e);
    static const struct pubkey nobody;
    buf_add_text(b, "{");
    api_put_text(b, &first, "what", history_text(e->what));
    if (code)
        api_put_text(b, &first, "code", code);
    api_put_u64(b, &first, "height", e->height);
    api_put_u64(b, &first, "time_ms", e->time_ms);
    api_put_amount(b, &first, "amount", e->amount);
    if (e->what == HISTORY_TX) {
        api_put_amount(b, &first, "fee", e->fee);
        api_put_flag(b, &first, "ok", e->result == ERR_OK);
        if (e->result != ERR_OK)
            api_put_text(b, &first, "error", err_text((enum err)e->result));
    }
    if (!hash_is_zero(&e->tx))
        api_put_hash(b, &first, "tx", &e->tx);
    if (memcmp(&e->other, &nobody, sizeof nobody) != 0)
        api_put_address(b, &first, "other", n, &e->other);
    put_subject(b, &first, n, &e->subject);
    if (e->memo.n)
        api_put_text(b, &first, "memo", e->memo.s);
    buf_add_text(b, "}");
}

static void reply(struct api_call *c, const struct pubkey *account, const struct history_entry *entries, uint32_t n,
                  bool more)
{
    struct node *node = c->node;
    struct buf b = {0};
    bool first = true;
    buf_add_text(&b, "{");
    api_put_address(&b, &first, "address", node, account);
    api_put_u64(&b, &first, "from", history_from(node->history));
    codec_json_key(&b, &first, "entries");
    buf_add_text(&b, "[");
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            buf_add_text(&b, ",");
        put_entry(&b, node, &entries[i]);
    }
    buf_add_text(&b, "]");
    codec_json_key(&b, &first, "next");
    if (more)
        buf_add_format(&b, "\"%" PRIu64 ".%" PRIu32 "\"", entries[n - 1].height, entries[n - 1].place);
    else
        buf_add_text(&b, "null");
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

void api_account_history(struct api_call *c)
{
    struct note note = {{0}};
    struct pubkey account;
    struct history_place before;
    uint32_t limit, n = 0;
    enum err e = ERR_OK;
    if (!api_account_parse(c->node, c->rest, &account, &note))
        e = ERR_FORMAT;
    else if (!read_limit(http_query(c->request, "limit"), &limit))
        e = note_set(&note, ERR_FORMAT, "limit is 1 to %d", ENTRIES_MAX);
    else if (!read_place(http_query(c->request, "before"), &before))
        e = note_set(&note, ERR_FORMAT, "before is what an earlier answer gave as next");
    else if (!c->node->history)
        e = note_set(&note, ERR_STATE, "this node keeps no history of accounts: start kithd without history = no");
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        return;
    }
    /* One more than is shown tells whether more follow. */
    struct history_entry *entries = mem_array(limit + 1, sizeof *entries);
    e = history_read(c->node->history, &account, before, entries, limit + 1, &n, &note);
    if (e == ERR_OK)
        reply(c, &account, entries, n < limit ? n : limit, n > limit);
    else
        api_fail(c->request, e, &note);
    free(entries);
}

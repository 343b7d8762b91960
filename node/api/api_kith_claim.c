/* What becomes of a publication that somebody is about to claim: asked before money is spent on it, and before
 * anybody else can see it. Answered on the socket alone: what it says is not for others yet. */
#include "base/mem.h"
#include "node/api/api.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>

static uint8_t kind_of(const char *name)
{
    for (uint8_t kind = 0; name && kind < UINT8_MAX; kind++)
        if (tx_is_claimed(kind) && strcmp(tx_kind_name(kind), name) == 0)
            return kind;
    return 0;
}

static enum err read_body(const json_t *body, uint8_t *kind, struct buf *raw, struct note *note)
{
    const char *hex = json_text(body, "body");
    *kind = kind_of(json_text(body, "kind"));
    if (*kind == 0)
        return note_set(note, ERR_FORMAT, "kind must be model_publish or data_contribute");
    if (!hex || strlen(hex) % 2 || strlen(hex) > 2 * TX_SIZE_MAX)
        return note_set(note, ERR_FORMAT, "body must be at most %u hexadecimal digits", 2 * TX_SIZE_MAX);
    buf_reserve(raw, strlen(hex) / 2 + 1);
    raw->n = strlen(hex) / 2;
    return hex_get(hex, raw->p, raw->n) ? ERR_OK : note_set(note, ERR_FORMAT, "body is not hexadecimal");
}

static void put_claim(struct buf *b, bool *first, const struct ledger *l, const struct rec_claim *c)
{
    bool inner = true;
    codec_json_key(b, first, "claim");
    if (!c) {
        buf_add_text(b, "null");
        return;
    }
    buf_add_text(b, "{");
    api_put_u64(b, &inner, "height", c->height);
    api_put_u64(b, &inner, "from_height", c->height + ledger_params(l).claim_blocks);
    api_put_u64(b, &inner, "until_ms", ledger_date(l, c->until_ms));
    buf_add_text(b, "}");
}

static void answer(struct api_call *c, const struct pubkey *by, uint8_t kind, struct bytes body)
{
    struct ledger *l = c->node->ledger;
    struct ledger_info info = ledger_info(l);
    struct hash commit = tx_claim_commitment(&info.chain, by, kind, body);
    struct rec_claim claim;
    struct note why = {{0}};
    struct buf b = {0};
    bool first = true;
    bool is_claimed = ledger_claim(l, by, &commit, &claim);
    enum err e = ledger_try_publication(l, by, kind, body, &why);
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "commit", &commit);
    api_put_u64(&b, &first, "height", info.height);
    api_put_u64(&b, &first, "claim_blocks", ledger_params(l).claim_blocks);
    put_claim(&b, &first, l, is_claimed ? &claim : NULL);
    codec_json_key(&b, &first, "refused");
    if (e == ERR_OK)
        buf_add_text(&b, "null");
    else
        codec_json_string(&b, why.text, strlen(why.text));
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

void api_account_publication(struct api_call *c)
{
    struct note note = {{0}};
    struct pubkey by;
    struct buf raw = {0};
    uint8_t kind;
    json_t *body = api_body(c->request);
    if (!body)
        return;
    enum err e = api_account_parse(c->node, c->rest, &by, &note) ? ERR_OK : ERR_FORMAT;
    if (e == ERR_OK)
        e = read_body(body, &kind, &raw, &note);
    if (e == ERR_OK) {
        struct tx t = {.version = TX_VERSION, .kind = kind, .body = bytes_of_buf(&raw)};
        e = tx_content_check(&t, &note);
    }
    if (e == ERR_OK)
        answer(c, &by, kind, bytes_of_buf(&raw));
    else
        api_fail(c->request, e, &note);
    buf_clear(&raw);
    json_decref(body);
}

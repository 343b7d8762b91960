/* For clients that trust nobody: light blocks, records with their proofs, receipts of settlements. Bytes as hexadecimal
 * digits, since the client checks bytes. */
#include "node/api/api.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void api_light_get(struct api_call *c)
{
    struct node *n = c->node;
    struct note note = {{0}};
    struct buf raw = {0}, b = {0};
    bool first = true;
    uint64_t height;
    if (!api_path_height(c, &height))
        return;
    enum err e = consensus_light_block(n->consensus, height, &raw, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
    } else {
        buf_add_text(&b, "{");
        api_put_u64(&b, &first, "height", height);
        api_put_hex(&b, &first, "block", bytes_of_buf(&raw));
        buf_add_text(&b, "}");
        api_reply_json(c->request, 200, &b);
    }
    buf_clear(&raw);
}

void api_proof_get(struct api_call *c)
{
    const char *name = http_query(c->request, "class"), *hex = http_query(c->request, "key");
    uint8_t key[SNAPSHOT_KEY_MAX];
    size_t n = hex ? strlen(hex) / 2 : 0;
    enum state_class cls;
    if (!name || !state_class_find(name, &cls) || !hex || n > sizeof key || !hex_get(hex, key, n)) {
        http_reply_error(c->request, 400, "bad_request",
                         "say which: ?class=NAME&key=DIGITS, a class of docs/ledger.md and its key in hexadecimal");
        return;
    }
    struct ledger_proof p = {0};
    struct buf b = {0};
    bool first = true;
    ledger_query(c->node->ledger, cls, bytes_of(key, n), &p);
    buf_add_text(&b, "{");
    api_put_u64(&b, &first, "height", p.height);
    api_put_u64(&b, &first, "header", p.header);
    api_put_flag(&b, &first, "found", p.found);
    api_put_hex(&b, &first, "value", bytes_of_buf(&p.value));
    api_put_hex(&b, &first, "proof", bytes_of_buf(&p.proof));
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
    ledger_proof_clear(&p);
}

void api_receipt_get(struct api_call *c)
{
    const char *id = http_query(c->request, "settlement"), *index = http_query(c->request, "index");
    struct hash settlement;
    if (!id || !hex_get(id, settlement.b, sizeof settlement.b) || !index || !*index ||
        strspn(index, "0123456789") != strlen(index)) {
        http_reply_error(c->request, 400, "bad_request", "say which: ?settlement=ID&index=N");
        return;
    }
    struct signed_receipt r;
    struct note note = {{0}};
    struct buf proof = {0}, raw = {0}, b = {0};
    bool first = true;
    enum err e = market_receipt(c->node->market, &settlement, (uint32_t)strtoul(index, NULL, 10), &r, &proof, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
    } else {
        signed_receipt_put(&raw, &r);
        buf_add_text(&b, "{");
        api_put_hex(&b, &first, "receipt", bytes_of_buf(&raw));
        api_put_hex(&b, &first, "proof", bytes_of_buf(&proof));
        buf_add_text(&b, "}");
        api_reply_json(c->request, 200, &b);
    }
    buf_clear(&proof);
    buf_clear(&raw);
}

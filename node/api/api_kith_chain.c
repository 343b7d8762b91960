/* The chain, accounts and transactions over HTTP. */
#include "base/mem.h"
#include "node/api/api.h"
#include "node/consensus/consensus.h"
#include "node/node.h"
#include "wallet/address.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- chain -- */

static void put_supply(struct buf *b, const struct ledger *l)
{
    struct rec_totals t = ledger_totals(l);
    rec_totals_json(b, &t);
}

void api_chain_info(struct api_call *c)
{
    struct node *n = c->node;
    struct ledger_info info = ledger_info(n->ledger);
    const struct genesis *g = ledger_genesis(n->ledger);
    struct params params = ledger_params(n->ledger);
    struct rec_fees fees = ledger_fees(n->ledger);
    struct ledger_validator validators[VALIDATORS_MAX];
    struct buf b = {0};
    bool first = true;
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "id", &info.chain);
    api_put_text(&b, &first, "name", g->name.s);
    api_put_text(&b, &first, "prefix", g->prefix.s);
    api_put_u64(&b, &first, "height", info.height);
    api_put_hash(&b, &first, "block", &info.block);
    api_put_hash(&b, &first, "state_root", &info.state_root);
    api_put_u64(&b, &first, "time_ms", info.time_ms);
    api_put_u64(&b, &first, "stood_ms", info.stood_ms);
    api_put_u64(&b, &first, "validators", ledger_validators(n->ledger, validators));
    codec_json_key(&b, &first, "fees");
    bool fees_first = true;
    buf_add_text(&b, "{");
    api_put_amount(&b, &fees_first, "per_byte", fees.per_byte);
    api_put_amount(&b, &fees_first, "per_work", fees.per_work);
    buf_add_text(&b, "}");
    codec_json_key(&b, &first, "supply");
    put_supply(&b, n->ledger);
    codec_json_key(&b, &first, "params");
    params_json(&b, &params);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

static void put_tx_line(struct buf *b, struct node *n, struct bytes raw)
{
    struct tx t;
    struct rec_result result;
    bool first = true;
    if (tx_decode(raw, &t, NULL) != ERR_OK)
        return;
    struct hash id = tx_id(&t);
    bool known = ledger_tx_result(n->ledger, &id, &result, NULL) == ERR_OK;
    buf_add_text(b, "{");
    api_put_hash(b, &first, "id", &id);
    api_put_text(b, &first, "kind", tx_kind_name(t.kind));
    api_put_address(b, &first, "signer", n, &t.signer);
    api_put_amount(b, &first, "fee", t.fee);
    api_put_flag(b, &first, "ok", known && result.code == ERR_OK);
    codec_json_key(b, &first, "error");
    if (known && result.code != ERR_OK)
        codec_json_string(b, err_text((enum err)result.code), strlen(err_text((enum err)result.code)));
    else
        buf_add_text(b, "null");
    buf_add_text(b, "}");
}

void api_chain_block(struct api_call *c)
{
    struct node *n = c->node;
    struct note note = {{0}};
    struct buf raw = {0}, b = {0};
    struct block block;
    struct commit commit;
    struct buf commit_raw = {0};
    uint64_t height;
    bool first = true;
    if (!api_path_height(c, &height))
        return;
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    enum err e = consensus_block_get(n->consensus, height, &raw, &commit_raw, &note);
    if (e == ERR_OK)
        e = commit_decode(bytes_of_buf(&commit_raw), &commit);
    if (e == ERR_OK)
        e = block_decode(bytes_of_buf(&raw), &block, txs, &note);
    if (e != ERR_OK) {
        api_fail(c->request, e, &note);
        goto out;
    }
    struct hash id = block_id(&block.header);
    buf_add_text(&b, "{");
    api_put_u64(&b, &first, "height", height);
    api_put_hash(&b, &first, "id", &id);
    api_put_u64(&b, &first, "time_ms", block.header.time_ms);
    api_put_key(&b, &first, "proposer", &block.header.proposer);
    api_put_u64(&b, &first, "round", commit.round);
    api_put_hash(&b, &first, "state_root", &block.header.state);
    api_put_hash(&b, &first, "txs_root", &block.header.txs);
    codec_json_key(&b, &first, "txs");
    buf_add_text(&b, "[");
    for (uint32_t i = 0; i < block.header.txs_n; i++) {
        if (i)
            buf_add_text(&b, ",");
        put_tx_line(&b, n, txs[i]);
    }
    buf_add_text(&b, "]}");
    api_reply_json(c->request, 200, &b);
out:
    free(txs);
    buf_clear(&commit_raw);
    buf_clear(&raw);
}

/* As it is kept: what blames compare byte by byte. */
void api_chain_testimony(struct api_call *c)
{
    struct note note = {{0}};
    struct buf raw = {0};
    uint64_t height;
    if (!api_path_height(c, &height))
        return;
    enum err e = consensus_testimony(c->node->consensus, height, &raw, &note);
    if (e == ERR_OK)
        http_reply(c->request, 200, "application/octet-stream", bytes_of_buf(&raw));
    else
        api_fail(c->request, e, &note);
    buf_clear(&raw);
}

/* -- waiting for the chain: a request held until `ready` says yes or the time is up -- */

struct chain_wait {
    struct node *node;
    struct chain_wait *next;
    struct http_request *request;
    bool (*ready)(const struct chain_wait *w);
    void (*answer)(const struct chain_wait *w);
    uint64_t height;
    struct hash id;
    struct timer timer;
};

static void wait_unlink(struct chain_wait *w)
{
    for (struct chain_wait **at = &w->node->waits; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    host_timer_cancel(w->node->host, &w->timer);
}

static void wait_over(void *arg)
{
    struct chain_wait *w = arg;
    wait_unlink(w);
    w->answer(w);
    free(w);
}

static void wait_gone(void *arg, struct http_request *r)
{
    struct chain_wait *w = arg;
    (void)r;
    wait_unlink(w);
    free(w);
}

void api_on_block(struct node *n)
{
    for (struct chain_wait *w = n->waits, *next; w; w = next) {
        next = w->next;
        if (w->ready(w))
            wait_over(w);
    }
}

void api_drop_waits(struct node *n)
{
    while (n->waits)
        wait_gone(n->waits, NULL);
}

static void wait_for(const struct api_call *c, const struct chain_wait *template)
{
    uint64_t wait_ms;
    if (!api_wait_ms(c, &wait_ms))
        return;
    if (wait_ms == 0 || template->ready(template)) {
        template->answer(template);
        return;
    }
    struct chain_wait *w = mem_new(sizeof *w);
    *w = *template;
    w->next = w->node->waits;
    w->node->waits = w;
    http_on_gone(w->request, wait_gone, w);
    host_timer_set(w->node->host, &w->timer, wait_ms, wait_over, w);
}

static bool height_ready(const struct chain_wait *w)
{
    return ledger_info(w->node->ledger).height >= w->height;
}

static void height_answer(const struct chain_wait *w)
{
    struct buf b = {0};
    buf_add_format(&b, "{\"height\":%" PRIu64 "}", ledger_info(w->node->ledger).height);
    api_reply_json(w->request, 200, &b);
}

void api_chain_wait(struct api_call *c)
{
    const char *height = http_query(c->request, "height");
    if (!height || !*height || strspn(height, "0123456789") != strlen(height)) {
        http_reply_error(c->request, 400, "bad_request", "say which: ?height=H&wait=S");
        return;
    }
    struct chain_wait w = {.node = c->node,
                           .request = c->request,
                           .ready = height_ready,
                           .answer = height_answer,
                           .height = strtoull(height, NULL, 10)};
    wait_for(c, &w);
}

/* -- accounts -- */

bool api_account_parse(struct node *n, const char *text, struct pubkey *out, struct note *note)
{
    if (hex_get(text, out->b, sizeof out->b))
        return true;
    return address_get(text, node_prefix(n), out, note) == ERR_OK;
}

/* Who signs for it, where that is not its own key. */
static void put_rule(struct buf *b, bool *first, struct node *n, const struct pubkey *account)
{
    struct rec_rule rule;
    bool rule_first = true;
    if (!ledger_rule(n->ledger, account, &rule))
        return;
    codec_json_key(b, first, "rule");
    buf_add_text(b, "{");
    api_put_u64(b, &rule_first, "k", rule.k);
    codec_json_key(b, &rule_first, "keys");
    buf_add_text(b, "[");
    for (uint32_t i = 0; i < rule.keys.n; i++) {
        char address[ADDRESS_TEXT_ROOM];
        struct pubkey key;
        memcpy(key.b, rule.keys.p + (size_t)i * sizeof key.b, sizeof key.b);
        address_put(node_prefix(n), &key, address);
        buf_add_format(b, "%s\"%s\"", i ? "," : "", address);
    }
    buf_add_text(b, "]}");
}

static const char *const roles[] = {"validator", "provider", "auditor"};

/* Withdrawn bonds that have not returned yet, a role's in the order of their ids. */
static void put_unbonding(struct buf *b, bool *first, struct node *n, const struct pubkey *key)
{
    struct rec_unbonding u;
    struct hash id;
    bool is_next = false;
    codec_json_key(b, first, "unbonding");
    buf_add_text(b, "[");
    for (int role = 0; role < BOND_ROLES; role++)
        for (bool more = ledger_unbonding_next(n->ledger, (enum bond_role)role, key, NULL, &id, &u); more;
             more = ledger_unbonding_next(n->ledger, (enum bond_role)role, key, &id, &id, &u)) {
            bool inner = true;
            buf_add_text(b, is_next ? ",{" : "{");
            api_put_text(b, &inner, "role", roles[role]);
            api_put_amount(b, &inner, "amount", u.amount);
            api_put_u64(b, &inner, "until_ms", ledger_date(n->ledger, u.until_ms));
            buf_add_text(b, "}");
            is_next = true;
        }
    buf_add_text(b, "]");
}

void api_account_get(struct api_call *c)
{
    struct node *n = c->node;
    struct note note = {{0}};
    struct pubkey key;
    struct rec_account rec;
    struct buf b = {0};
    bool first = true, bonds_first = true;
    if (!api_account_parse(n, c->rest, &key, &note)) {
        api_fail(c->request, ERR_FORMAT, &note);
        return;
    }
    (void)!ledger_account(n->ledger, &key, &rec);
    buf_add_text(&b, "{");
    api_put_address(&b, &first, "address", n, &key);
    api_put_key(&b, &first, "pubkey", &key);
    api_put_amount(&b, &first, "balance", rec.balance);
    api_put_u64(&b, &first, "nonce", rec.nonce);
    api_put_u64(&b, &first, "next_nonce", consensus_nonce(n->consensus, &key));
    put_rule(&b, &first, n, &key);
    codec_json_key(&b, &first, "bonds");
    buf_add_text(&b, "{");
    for (int role = 0; role < BOND_ROLES; role++)
        api_put_amount(&b, &bonds_first, roles[role], ledger_bond(n->ledger, (enum bond_role)role, &key));
    buf_add_text(&b, "}");
    put_unbonding(&b, &first, n, &key);
    buf_add_text(&b, "}");
    api_reply_json(c->request, 200, &b);
}

/* -- transactions -- */

void api_tx_post(struct api_call *c)
{
    struct note note = {{0}};
    json_t *body = api_body(c->request);
    if (!body)
        return;
    const char *hex = json_text(body, "tx");
    size_t n = hex ? strlen(hex) / 2 : 0;
    struct buf raw = {0};
    enum err e = ERR_OK;
    struct hash id;
    struct tx t;
    if (!hex || n == 0 || n > TX_SIZE_MAX)
        e = note_set(&note, ERR_FORMAT, "tx must be 2 to %u hexadecimal digits", 2 * TX_SIZE_MAX);
    if (e == ERR_OK) {
        buf_reserve(&raw, n);
        raw.n = n;
        if (!hex_get(hex, raw.p, n))
            e = note_set(&note, ERR_FORMAT, "tx is not hexadecimal");
    }
    if (e == ERR_OK)
        e = tx_decode(bytes_of_buf(&raw), &t, &note);
    if (e == ERR_OK) /* a node that can keep no block could not say what became of it */
        e = kv_room(c->node->kv, raw.n, &note);
    if (e == ERR_OK) {
        e = consensus_submit(c->node->consensus, bytes_of_buf(&raw), &id, &note);
        if (e == ERR_DUPLICATE)
            e = ERR_OK;
    }
    if (e == ERR_OK) {
        struct buf b = {0};
        bool first = true;
        buf_add_text(&b, "{");
        api_put_hash(&b, &first, "id", &id);
        buf_add_text(&b, "}");
        api_reply_json(c->request, 202, &b);
    } else if (e == ERR_FUNDS)
        http_reply_error(c->request, 422, "funds", note.text);
    else
        api_fail(c->request, e, &note);
    buf_clear(&raw);
    json_decref(body);
}

/* -- lists of transactions: answered when all are judged -- */

struct txs_post {
    struct node *node;
    struct http_request *request;
};

static void txs_taken(void *arg, const struct consensus_taken *taken)
{
    struct txs_post *p = arg;
    struct buf b = {0};
    bool first = true;
    buf_add_text(&b, "{");
    api_put_u64(&b, &first, "accepted", taken->accepted);
    api_put_u64(&b, &first, "refused", taken->n - taken->accepted);
    if (taken->first_error != ERR_OK) {
        api_put_u64(&b, &first, "first_refused", taken->first_refused);
        api_put_text(&b, &first, "why", err_text(taken->first_error));
    }
    buf_add_text(&b, "}");
    http_on_gone(p->request, NULL, NULL);
    api_reply_json(p->request, 202, &b);
    free(p);
}

static void txs_gone(void *arg, struct http_request *r)
{
    struct txs_post *p = arg;
    (void)r;
    consensus_submit_cancel(p->node->consensus, txs_taken, p);
    free(p);
}

void api_txs_post(struct api_call *c)
{
    struct note note = {{0}};
    struct bytes list = http_body(c->request);
    struct txs_post *p = mem_new(sizeof *p);
    *p = (struct txs_post){c->node, c->request};
    enum err e = kv_room(c->node->kv, list.n, &note);
    if (e == ERR_OK)
        e = consensus_submit_list(c->node->consensus, list, txs_taken, p, &note);
    if (e == ERR_OK) {
        http_on_gone(c->request, txs_gone, p);
        return;
    }
    free(p);
    api_fail(c->request, e, &note);
}

static bool tx_ready(const struct chain_wait *w)
{
    struct rec_result result;
    return ledger_tx_result(w->node->ledger, &w->id, &result, NULL) == ERR_OK;
}

/* The transaction itself, from its block. */
static bool put_tx_body(struct buf *b, struct node *n, const struct rec_result *at)
{
    struct buf raw = {0};
    struct block block;
    struct tx t;
    struct bytes *txs = mem_array(BLOCK_TXS_MAX, sizeof *txs);
    bool good = consensus_block_get(n->consensus, at->height, &raw, NULL, NULL) == ERR_OK &&
                block_decode(bytes_of_buf(&raw), &block, txs, NULL) == ERR_OK && at->index < block.header.txs_n &&
                tx_decode(txs[at->index], &t, NULL) == ERR_OK;
    if (good)
        tx_print(b, &t);
    free(txs);
    buf_clear(&raw);
    return good;
}

static void tx_answer(const struct chain_wait *w)
{
    struct node *n = w->node;
    struct rec_result result;
    struct buf b = {0};
    bool first = true;
    bool included = ledger_tx_result(n->ledger, &w->id, &result, NULL) == ERR_OK;
    if (!included && !consensus_has_tx(n->consensus, &w->id)) {
        http_reply_error(w->request, 404, "not_found", "this node knows of no such transaction");
        return;
    }
    buf_add_text(&b, "{");
    api_put_hash(&b, &first, "id", &w->id);
    api_put_text(&b, &first, "state", included ? "included" : "pending");
    if (included) {
        api_put_u64(&b, &first, "height", result.height);
        api_put_u64(&b, &first, "index", result.index);
        api_put_flag(&b, &first, "ok", result.code == ERR_OK);
        if (result.code != ERR_OK)
            api_put_text(&b, &first, "error", err_text((enum err)result.code));
        codec_json_key(&b, &first, "tx");
        if (!put_tx_body(&b, n, &result))
            buf_add_text(&b, "null");
    }
    buf_add_text(&b, "}");
    api_reply_json(w->request, 200, &b);
}

void api_tx_get(struct api_call *c)
{
    struct chain_wait w = {.node = c->node, .request = c->request, .ready = tx_ready, .answer = tx_answer};
    if (!hex_get(c->rest, w.id.b, sizeof w.id.b))
        http_reply_error(c->request, 400, "bad_request", "a transaction's id is 64 hexadecimal digits");
    else
        wait_for(c, &w);
}

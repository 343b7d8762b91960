/* One file a publication, named after all that it says but the salt:
 *
 *     salt | id of the claim's transaction | id of the publication's | a checksum in front
 *
 * It is written, synced, before each step leaves this process. So a killed command finds what it had sent, and waits
 * for that instead of sending it once more. The file stays: the same command again says what it said. */
#include "cli/publish.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cli/client.h"
#include "cli/out.h"
#include "wallet/offline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MADE_FIELDS(F) F(hash, salt) F(hash, claim) F(hash, publication)
RECORD_DECLARE(made, MADE_FIELDS)
RECORD_DEFINE(made, MADE_FIELDS)

#define FILE_MAX 4096

struct publishing {
    struct owner *o;
    enum tx_kind kind;
    struct buf *body;
    const char *out;
    char *path;
    struct made made;
};

/* -- files -- */

char *publish_path(const struct cli *cli, const char *name, const struct hash *id)
{
    char hex[65];
    struct buf b = {0};
    hex_put(hex, id->b, sizeof id->b);
    buf_add_format(&b, "%s/claims/%s-%s", cli->home, name, hex);
    char *path = mem_string(buf_text(&b));
    buf_clear(&b);
    return path;
}

bool publish_read(const char *path, struct buf *content)
{
    struct buf raw = {0};
    bool good = file_read(path, FILE_MAX, &raw, NULL) == ERR_OK && raw.n >= HASH_SIZE;
    if (good) {
        struct hash sum = hash_once(HASH_FILE, raw.p + HASH_SIZE, raw.n - HASH_SIZE);
        good = memcmp(sum.b, raw.p, HASH_SIZE) == 0;
    }
    if (good)
        buf_add(content, raw.p + HASH_SIZE, raw.n - HASH_SIZE);
    buf_clear(&raw);
    return good;
}

int publish_write(const struct cli *cli, const char *path, struct bytes content)
{
    struct note note = {{0}};
    struct buf raw = {0}, dir = {0};
    struct hash sum = hash_once(HASH_FILE, content.p, content.n);
    buf_add(&raw, sum.b, sizeof sum.b);
    buf_add(&raw, content.p, content.n);
    buf_add_format(&dir, "%s/claims", cli->home);
    enum err e = file_make_dir(buf_text(&dir), &note);
    if (e == ERR_OK)
        e = file_write(path, 0600, bytes_of_buf(&raw), &note);
    buf_clear(&dir);
    buf_clear(&raw);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(cli, e, &note);
}

static struct hash *salt_in(struct buf *body)
{
    return (struct hash *)(body->p + body->n - HASH_SIZE); /* the last field of both kinds */
}

static char *path_of(const struct owner *o, enum tx_kind kind, struct bytes body)
{
    struct hash id = tx_claim_commitment(&o->terms.chain, &o->account->key, (uint8_t)kind, body);
    return publish_path(o->cli, tx_kind_name((uint8_t)kind), &id);
}

static bool load(const char *path, struct made *m)
{
    struct buf raw = {0};
    bool good = publish_read(path, &raw);
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    made_get(&c, m);
    good = good && cursor_end(&c);
    if (!good)
        *m = (struct made){0};
    buf_clear(&raw);
    return good;
}

static int save(const struct publishing *p)
{
    struct buf raw = {0};
    made_put(&raw, &p->made);
    int rc = publish_write(p->o->cli, p->path, bytes_of_buf(&raw));
    buf_clear(&raw);
    return rc;
}

bool publish_has_begun(const struct owner *o, enum tx_kind kind, struct bytes body)
{
    struct made m;
    char *path = path_of(o, kind, body);
    bool has = load(path, &m) && !hash_is_zero(&m.claim);
    free(path);
    return has;
}

/* -- what was sent before -- */

enum sent { SENT_NOT, SENT_WAITS, SENT_DONE, SENT_IN_VAIN };

/* What the daemon knows of a transaction. */
static int look(const struct owner *o, const struct hash *id, enum sent *sent)
{
    struct note note = {{0}};
    char path[128], hex[65];
    json_t *reply = NULL;
    int status;
    *sent = SENT_NOT;
    if (hash_is_zero(id))
        return CLI_DONE;
    hex_put(hex, id->b, sizeof id->b);
    snprintf(path, sizeof path, "/kith/v1/tx/%s", hex);
    enum err e = client_try(o->cli, "GET", path, NULL, CLIENT_TIMEOUT_MS, &status, &reply, &note);
    if (e != ERR_OK)
        return client_fail(o->cli, e, &note);
    if (status == 200 && strcmp(out_text(reply, "state"), "included") != 0)
        *sent = SENT_WAITS;
    else if (status == 200)
        *sent = json_is_true(json_object_get(reply, "ok")) ? SENT_DONE : SENT_IN_VAIN;
    int rc = status == 200 || status == 404 ? CLI_DONE : client_refusal(o->cli, status, reply);
    json_decref(reply);
    return rc;
}

static int wait_for(const struct owner *o, const struct hash *id, json_t **reply)
{
    char hex[65];
    hex_put(hex, id->b, sizeof id->b);
    return owner_wait_tx(o->cli, hex, reply);
}

/* -- sending -- */

/* For whoever signs elsewhere. The id is that of what comes back signed. */
static int write_out(struct publishing *p, enum tx_kind kind, struct bytes body, struct hash *id)
{
    struct owner *o = p->o;
    struct note note = {{0}};
    struct offline file;
    struct amount least, fee;
    int rc = owner_fee(o, kind, body, &least);
    if (rc != CLI_DONE)
        return rc;
    if (!amount_add(&fee, least, least)) /* the price may rise until the file comes back */
        fee = least;
    struct tx t = {.chain = o->terms.chain,
                   .signer = o->account->key,
                   .nonce = o->terms.nonce,
                   .fee = fee,
                   .kind = (uint8_t)kind,
                   .body = body};
    t.version = TX_VERSION;
    *id = tx_id(&t);
    rc = save(p);
    if (rc != CLI_DONE)
        return rc;
    enum err e = offline_begin(&file, o->prefix, &t, o->rule.k, &o->rule.keys, &note);
    if (e != ERR_OK)
        return cli_fail_note(o->cli, e, &note);
    e = offline_write(p->out, &file, &note);
    offline_clear(&file);
    if (e != ERR_OK)
        return cli_fail_note(o->cli, e, &note);
    const char *what = kind == TX_CLAIM ? "claim" : "publication";
    if (o->cli->json)
        out_json_take(json_pack("{s:s, s:s}", "file", p->out, "step", what));
    else if (kind == TX_CLAIM)
        printf("the claim is in %s\nnext: sign and broadcast it, then give this command again\n", p->out);
    else
        printf("the publication is in %s\nnext: sign and broadcast it; until then show it to nobody\n", p->out);
    return CLI_DONE;
}

/* Signs, notes the id, and only then sends. */
static int send_noted(struct publishing *p, enum tx_kind kind, struct bytes body, struct hash *id, json_t **reply)
{
    struct owner *o = p->o;
    struct note note = {{0}};
    struct buf raw = {0};
    struct amount fee;
    int rc = owner_refresh(o); /* others may have used the account meanwhile */
    if (rc == CLI_DONE && p->out)
        return write_out(p, kind, body, id);
    if (rc == CLI_DONE)
        rc = owner_fee(o, kind, body, &fee);
    if (rc == CLI_DONE)
        rc = owner_check_funds(o, amount_of(0), fee);
    if (rc == CLI_DONE)
        rc = owner_unlock(o);
    if (rc != CLI_DONE)
        return rc;
    enum err e = sign_tx(&raw, o->key, &o->terms, kind, body, NULL, id, &note);
    rc = e == ERR_OK ? save(p) : cli_fail_note(o->cli, e, &note);
    if (rc == CLI_DONE)
        rc = owner_post(o->cli, bytes_of_buf(&raw), reply);
    buf_clear(&raw);
    return rc;
}

/* -- the claim -- */

struct standing { /* what the daemon says of it */
    bool is_claimed;
    uint64_t height, claimed, from; /* of the chain; of the claim; from which block on it may be published */
    uint64_t blocks;
    char refused[320]; /* why the ledger would not take it now */
};

static int ask(struct publishing *p, struct standing *s)
{
    struct owner *o = p->o;
    char path[ADDRESS_TEXT_ROOM + 64];
    char *hex = mem_new(2 * p->body->n + 1);
    json_t *reply = NULL;
    hex_put(hex, p->body->p, p->body->n);
    snprintf(path, sizeof path, "/kith/v1/accounts/%s/publication", o->address);
    int rc = client_post_take(o->cli, path,
                              json_pack("{s:s, s:s}", "kind", tx_kind_name((uint8_t)p->kind), "body", hex), &reply);
    free(hex);
    if (rc != CLI_DONE)
        return rc;
    const json_t *claim = json_object_get(reply, "claim");
    *s = (struct standing){.is_claimed = json_is_object(claim)};
    s->height = (uint64_t)out_count(reply, "height");
    s->blocks = (uint64_t)out_count(reply, "claim_blocks");
    s->claimed = (uint64_t)out_count(claim, "height");
    s->from = (uint64_t)out_count(claim, "from_height");
    if (!json_is_null(json_object_get(reply, "refused")))
        snprintf(s->refused, sizeof s->refused, "%s", out_text(reply, "refused"));
    json_decref(reply);
    return CLI_DONE;
}

/* On the ledger before anybody can learn what it is of. */
static int claim(struct publishing *p, struct standing *s)
{
    struct buf body = {0};
    json_t *reply = NULL;
    enum sent sent;
    int rc = look(p->o, &p->made.claim, &sent);
    if (rc == CLI_DONE && sent == SENT_WAITS)
        rc = wait_for(p->o, &p->made.claim, &reply);
    else if (rc == CLI_DONE) { /* never sent, lost with its node, or over by now */
        struct hash commit =
            tx_claim_commitment(&p->o->terms.chain, &p->o->account->key, (uint8_t)p->kind, bytes_of_buf(p->body));
        tx_claim_put(&body, &(struct tx_claim){commit});
        if (!p->o->cli->json && !p->out)
            cli_remark("claiming it first, so that nobody who sees it published can be before it");
        rc = send_noted(p, TX_CLAIM, bytes_of_buf(&body), &p->made.claim, &reply);
    }
    json_decref(reply);
    buf_clear(&body);
    if (rc == CLI_DONE && !p->out)
        rc = ask(p, s);
    if (rc == CLI_DONE && !p->out && !s->is_claimed)
        rc = cli_fail(p->o->cli, CLI_LATE, "the claim is not on the ledger yet: give the same command again");
    return rc;
}

static int wait_for_age(struct publishing *p, const struct standing *s)
{
    enum { WAIT_S = 20 };
    const struct cli *cli = p->o->cli;
    struct out_progress progress;
    uint64_t height = s->height;
    char path[128];
    int rc = CLI_DONE;
    out_progress_start(&progress, cli, "blocks until the claim is old enough");
    while (rc == CLI_DONE && height + 1 < s->from) {
        json_t *reply = NULL;
        if (height >= s->claimed)
            out_progress_set(&progress, height - s->claimed, s->from - s->claimed);
        snprintf(path, sizeof path, "/kith/v1/chain/wait?height=%" PRIu64 "&wait=%d", height + 1, WAIT_S);
        rc = client_get_patiently(cli, WAIT_S * 1000 + CLIENT_TIMEOUT_MS, &reply, path);
        if (rc == CLI_DONE)
            height = (uint64_t)out_count(reply, "height");
        json_decref(reply);
    }
    out_progress_end(&progress);
    return rc;
}

/* -- all of it -- */

/* Which of an earlier call's is on its way, or there. */
static int take_up(struct publishing *p, bool *done, json_t **reply)
{
    enum sent sent;
    int rc = look(p->o, &p->made.publication, &sent);
    *done = rc == CLI_DONE && (sent == SENT_WAITS || sent == SENT_DONE);
    return *done ? wait_for(p->o, &p->made.publication, reply) : rc;
}

static int run(struct publishing *p, json_t **reply)
{
    struct standing s;
    bool done;
    int rc = take_up(p, &done, reply);
    if (rc == CLI_DONE && !done)
        rc = ask(p, &s);
    if (rc != CLI_DONE || done)
        return rc;
    if (s.refused[0])
        return cli_fail(p->o->cli, CLI_REFUSED, "%s", s.refused);
    if (s.blocks && !s.is_claimed) {
        rc = claim(p, &s);
        if (rc != CLI_DONE || p->out)
            return rc;
    }
    if (s.blocks)
        rc = wait_for_age(p, &s);
    if (rc == CLI_DONE) /* what would fail now would be seen for nothing */
        rc = ask(p, &s);
    if (rc == CLI_DONE && s.refused[0])
        rc = cli_fail(p->o->cli, CLI_REFUSED, "%s", s.refused);
    if (rc == CLI_DONE)
        rc = send_noted(p, p->kind, bytes_of_buf(p->body), &p->made.publication, reply);
    return rc;
}

int publish(struct owner *o, enum tx_kind kind, struct buf *body, const char *out, json_t **reply)
{
    struct publishing p = {.o = o, .kind = kind, .body = body, .out = out};
    *reply = NULL;
    CHECK(tx_is_claimed((uint8_t)kind) && hash_is_zero(salt_in(body)));
    if (out && access(out, F_OK) == 0)
        return cli_fail(o->cli, CLI_USAGE, "%.200s is there already: it is left as it is", out);
    p.path = path_of(o, kind, bytes_of_buf(body));
    int rc = CLI_DONE;
    if (!load(p.path, &p.made)) {
        if (access(p.path, F_OK) == 0) /* another salt would need another claim, and forget what was sent */
            rc = cli_fail(
                o->cli, CLI_REFUSED,
                "%.400s is damaged: put a copy of it back, or remove it, and what was claimed is claimed anew", p.path);
        secret_random(p.made.salt.b, sizeof p.made.salt.b);
        if (rc == CLI_DONE)
            rc = save(&p);
    }
    *salt_in(body) = p.made.salt;
    if (rc == CLI_DONE)
        rc = run(&p, reply);
    free(p.path);
    return rc;
}

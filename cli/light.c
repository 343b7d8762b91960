/* The light client's connections, files and lines.
 *
 * What was believed last is kept in HOME/light/CHAIN.trust, so that the next question begins there. Two blocks of one
 * height that were both believed are kept in HOME/light/CHAIN.conflict-HEIGHT. An answer may have ANSWER_MAX bytes and
 * take ANSWER_MS; the memory of all of it stays under 32 MiB. */
#include "cli/light.h"

#include "base/file.h"
#include "base/mem.h"
#include "chain/light.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "wallet/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ANSWER_MAX  (512u << 10) /* a light block is 64 KiB, twice that in digits */
#define ANSWER_MS   15000
#define WAIT_S      40     /* for the header that carries a root: a heartbeat and some */
#define STALE_MS    600000 /* a newest block older than that is an old state shown for a new one */
#define PEERS_ASKED 16

struct session {
    const struct cli *cli;
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct light *base, *light; /* what was trusted at the start, and what is now */
    struct cli peers[PEERS_ASKED];
    unsigned peers_n, primary;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- files -- */

static void path_put(const struct session *s, const char *kind, struct buf *path)
{
    char hex[17];
    hex_put(hex, s->chain.b, 8);
    buf_add_format(path, "%s/light/%s.%s", s->cli->home, hex, kind);
}

static enum err file_keep(const struct session *s, const char *kind, struct bytes content, struct note *note)
{
    struct buf path = {0}, dir = {0};
    buf_add_format(&dir, "%s/light", s->cli->home);
    (void)mkdir(s->cli->home, 0700);
    (void)mkdir(buf_text(&dir), 0700);
    path_put(s, kind, &path);
    enum err e = file_write(buf_text(&path), 0600, content, note);
    buf_clear(&path);
    buf_clear(&dir);
    return e;
}

static enum err trust_read(struct session *s, struct note *note)
{
    struct buf path = {0}, raw = {0};
    path_put(s, "trust", &path);
    enum err e = file_read(buf_text(&path), 2 * LIGHT_BLOCK_MAX, &raw, NULL);
    e = e == ERR_OK ? light_load(s->base, bytes_of_buf(&raw), note) : ERR_NOT_FOUND;
    buf_clear(&path);
    buf_clear(&raw);
    return e;
}

/* -- questions -- */

static enum err ask(const struct cli *peer, json_t **reply, struct note *note, const char *format, ...)
    PRINTF_LIKE(4, 5);
static enum err ask(const struct cli *peer, json_t **reply, struct note *note, const char *format, ...)
{
    char path[1024];
    int status = 0;
    va_list list;
    va_start(list, format);
    vsnprintf(path, sizeof path, format, list);
    va_end(list);
    enum err e = client_try(peer, "GET", path, NULL, ANSWER_MS + WAIT_S * 1000, &status, reply, note);
    if (e == ERR_OK && status != 200) {
        const char *message = json_text(json_object_get(*reply, "error"), "message");
        e = note_set(note, status == 404 ? ERR_NOT_FOUND : ERR_REFUSED, "%.200s",
                     message ? message : "it answers, but not to this: is it a kithd of this version?");
    }
    if (e == ERR_OK && !json_is_object(*reply))
        e = note_set(note, ERR_PROTOCOL, "the answer is not an object");
    return e;
}

static bool get_count(const json_t *object, const char *name, uint64_t *out)
{
    const json_t *v = json_object_get(object, name);
    *out = json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : 0;
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

/* The bytes of a member of hexadecimal digits, appended. */
static bool get_bytes(const json_t *object, const char *name, struct buf *out)
{
    const char *hex = json_text(object, name);
    size_t n = hex ? strlen(hex) / 2 : 0;
    if (!hex)
        return false;
    buf_reserve(out, n + 1);
    if (!hex_get(hex, out->p + out->n, n))
        return false;
    out->n += n;
    return true;
}

/* -- following -- */

/* To the height, with this peer's headers. */
static enum err follow(struct light *l, const struct cli *peer, uint64_t height, struct note *note)
{
    uint64_t wanted;
    enum err e = light_seek(l, height, note);
    while (e == ERR_OK && light_wants(l, &wanted)) {
        json_t *reply = NULL;
        struct buf raw = {0};
        e = ask(peer, &reply, note, "/kith/v1/light/%" PRIu64, wanted);
        if (e == ERR_OK && !get_bytes(reply, "block", &raw))
            e = note_set(note, ERR_PROTOCOL, "its header %" PRIu64 " is not hexadecimal", wanted);
        if (e == ERR_OK)
            e = light_take(l, bytes_of_buf(&raw), now_ms(), note);
        buf_clear(&raw);
        json_decref(reply);
    }
    if (e != ERR_OK)
        light_forget(l);
    return e;
}

static enum err height_of(const struct cli *peer, uint64_t *height, struct note *note)
{
    json_t *reply = NULL;
    enum err e = ask(peer, &reply, note, "/kith/v1/chain/wait?height=1&wait=%d", WAIT_S);
    if (e == ERR_OK && !get_count(reply, "height", height))
        e = note_set(note, ERR_PROTOCOL, "it does not say its height");
    if (e == ERR_OK && *height == 0)
        e = note_set(note, ERR_STATE, "it has no block yet");
    json_decref(reply);
    return e;
}

/* To what the peer says is its newest block. */
static enum err follow_newest(struct session *s, const struct cli *peer, struct note *note)
{
    uint64_t height;
    enum err e = height_of(peer, &height, note);
    light_free(s->light);
    s->light = light_copy(s->base);
    if (e == ERR_OK)
        e = follow(s->light, peer, height, note);
    uint64_t now = now_ms(), at = light_header(s->light)->time_ms;
    if (e == ERR_OK && now > at + STALE_MS)
        e = note_set(note, ERR_EXPIRED, "its newest block, %" PRIu64 ", is %" PRIu64 " s old: it shows an old state",
                     height, (now - at) / 1000);
    return e;
}

static void say_of(const struct cli *peer, const struct note *note)
{
    fprintf(stderr, "kith: %s is not believed: %s\n", peer->url ? peer->url : "the daemon", note->text);
}

/* -- records -- */

struct record {
    bool found;
    struct buf value;
};

/* What the state has under class and key, proven by this peer. */
static enum err record_ask(struct session *s, const struct cli *peer, const char *class_name, enum state_class cls,
                           struct bytes key, struct record *out, struct note *note)
{
    json_t *reply = NULL, *waited = NULL;
    struct buf proof = {0};
    char hex[2 * 255 + 1];
    uint64_t header;
    hex_put(hex, key.p, key.n);
    buf_reset(&out->value);
    enum err e = ask(peer, &reply, note, "/kith/v1/proof?class=%s&key=%s", class_name, hex);
    if (e == ERR_OK && (!get_count(reply, "header", &header) || !get_bytes(reply, "value", &out->value) ||
                        !get_bytes(reply, "proof", &proof)))
        e = note_set(note, ERR_PROTOCOL, "its proof lacks a part");
    if (e == ERR_OK && header > light_header(s->light)->height) {
        e = ask(peer, &waited, note, "/kith/v1/chain/wait?height=%" PRIu64 "&wait=%d", header, WAIT_S);
        if (e == ERR_OK)
            e = follow(s->light, peer, header, note);
    }
    if (e == ERR_OK && header != light_header(s->light)->height)
        e = note_set(note, ERR_MISMATCH, "it proves a state of height %" PRIu64 ", its newest block is %" PRIu64,
                     header, light_header(s->light)->height);
    if (e == ERR_OK) {
        out->found = json_is_true(json_object_get(reply, "found"));
        struct bytes value = out->value.n ? bytes_of_buf(&out->value) : bytes_of("", 0);
        e = light_check_record(s->light, cls, key, out->found ? value : (struct bytes){0}, bytes_of_buf(&proof), note);
    }
    buf_clear(&proof);
    json_decref(reply);
    json_decref(waited);
    return e;
}

/* -- the others -- */

static int conflict(struct session *s, const struct cli *peer, const struct light *other)
{
    struct buf raw = {0}, path = {0};
    char kind[48];
    struct note note = {{0}};
    uint64_t height = light_header(other)->height;
    light_conflict_put(&raw, &(struct light_conflict){light_raw(s->light), light_raw(other)});
    snprintf(kind, sizeof kind, "conflict-%" PRIu64, height);
    path_put(s, kind, &path);
    bool is_kept = file_keep(s, kind, bytes_of_buf(&raw), &note) == ERR_OK;
    int rc = cli_fail(s->cli, CLI_REFUSED,
                      "%s and %s prove two different blocks %" PRIu64
                      ": a third of the validators or more signed both. Nothing is shown. The two are kept in %s: "
                      "show them to others, they name who did it",
                      s->peers[s->primary].url, peer->url, height, is_kept ? buf_text(&path) : note.text);
    buf_clear(&raw);
    buf_clear(&path);
    return rc;
}

/* Every other peer must not prove another block of this height. */
static int compare(struct session *s)
{
    uint64_t height = light_header(s->light)->height;
    struct hash id = light_id(s->light);
    int rc = CLI_DONE;
    for (unsigned i = 0; rc == CLI_DONE && i < s->peers_n; i++) {
        struct note note = {{0}};
        if (i == s->primary)
            continue;
        struct light *other = light_copy(s->base);
        enum err e = follow(other, &s->peers[i], height, &note);
        struct hash theirs = light_id(other);
        if (e != ERR_OK)
            say_of(&s->peers[i], &note);
        else if (!hash_equal(&theirs, &id))
            rc = conflict(s, &s->peers[i], other);
        light_free(other);
    }
    return rc;
}

/* -- what is shown -- */

static void show_proof(const struct session *s)
{
    const struct header *h = light_header(s->light);
    char hex[65];
    struct hash id = light_id(s->light);
    hex_put(hex, id.b, sizeof id.b);
    printf("proven by block %" PRIu64 "  %s\n", h->height, hex);
}

static json_t *proof_json(const struct session *s, json_t *object)
{
    char hex[65];
    struct hash id = light_id(s->light);
    hex_put(hex, id.b, sizeof id.b);
    json_object_set_new(object, "proven", json_true());
    json_object_set_new(object, "height", json_integer((json_int_t)light_header(s->light)->height));
    json_object_set_new(object, "block", json_string(hex));
    return object;
}

/* A record's own JSON form. */
static json_t *record_json(const struct buf *text)
{
    return json_parse(bytes_of_buf(text), NULL);
}

static int show_record(const struct session *s, const char *what, const struct record *r, const struct buf *json)
{
    if (s->cli->json) {
        json_t *o = json_object();
        json_object_set_new(o, what, r->found ? record_json(json) : json_null());
        out_json_take(proof_json(s, o));
        return CLI_DONE;
    }
    if (r->found)
        out_untrusted((const char *)json->p, json->n);
    else
        printf("there is no such %s", what);
    printf("\n");
    show_proof(s);
    return CLI_DONE;
}

/* Asks peer after peer until one proves it, then compares with the others. */
typedef enum err (*question_fn)(struct session *s, const struct cli *peer, void *arg, struct note *note);
static int question(struct session *s, question_fn fn, void *arg)
{
    struct note note = {{0}};
    enum err e = ERR_NOT_FOUND;
    for (s->primary = 0; s->primary < s->peers_n; s->primary++) {
        const struct cli *peer = &s->peers[s->primary];
        note.text[0] = 0;
        e = follow_newest(s, peer, &note);
        if (e == ERR_OK)
            e = fn(s, peer, arg, &note);
        if (e == ERR_OK)
            break;
        if (s->primary + 1 < s->peers_n)
            say_of(peer, &note);
    }
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND || e == ERR_CLOSED || e == ERR_TIMEOUT
                   ? client_fail(s->cli, e, &note)
                   : cli_fail(s->cli, CLI_REFUSED, "%s", note.text);
    int rc = compare(s);
    struct buf raw = {0};
    if (rc == CLI_DONE) {
        light_store(s->light, &raw);
        if (file_keep(s, "trust", bytes_of_buf(&raw), &note) != ERR_OK)
            fprintf(stderr, "kith: %s\n", note.text);
    }
    buf_clear(&raw);
    return rc;
}

/* -- commands -- */

struct lookup {
    const char *class_name;
    enum state_class cls;
    uint8_t key[255];
    size_t n;
    struct record record;
};

static enum err lookup_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    struct lookup *l = arg;
    return record_ask(s, peer, l->class_name, l->cls, bytes_of(l->key, l->n), &l->record, note);
}

static enum err newest_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    (void)s;
    (void)peer;
    (void)arg;
    (void)note;
    return ERR_OK;
}

static int run_info(struct session *s, const struct args *args)
{
    (void)args;
    int rc = question(s, newest_ask, NULL);
    if (rc != CLI_DONE)
        return rc;
    if (s->cli->json)
        out_json_take(proof_json(s, json_object()));
    else
        show_proof(s);
    return CLI_DONE;
}

static int run_balance(struct session *s, const struct args *args)
{
    struct lookup l = {.class_name = "account", .cls = STATE_ACCOUNT, .n = 32};
    struct pubkey key;
    struct rec_account account = {0};
    struct buf json = {0};
    const char *word = args_word(args, 0);
    if (!word)
        return cli_fail(s->cli, CLI_USAGE, "say whose: kith --light wallet balance ADDRESS");
    if (!hex_get(word, key.b, sizeof key.b)) {
        struct note note = {{0}};
        enum err e = address_get(word, s->genesis.prefix.s, &key, &note);
        if (e != ERR_OK)
            return cli_fail_note(s->cli, e, &note);
    }
    memcpy(l.key, key.b, 32);
    int rc = question(s, lookup_ask, &l);
    struct cursor c = cursor_of(bytes_of_buf(&l.record.value));
    if (rc == CLI_DONE && l.record.found) {
        rec_account_get(&c, &account);
        if (!cursor_end(&c))
            rc = cli_fail(s->cli, CLI_REFUSED, "the account's record is of a newer version than this program");
    }
    if (rc == CLI_DONE && s->cli->json) {
        rec_account_json(&json, &account);
        show_record(s, "account", &(struct record){.found = true}, &json);
    } else if (rc == CLI_DONE) {
        char text[AMOUNT_TEXT_ROOM];
        amount_print(account.balance, text);
        printf("%s KITH\n", text);
        show_proof(s);
    }
    buf_clear(&json);
    buf_clear(&l.record.value);
    return rc;
}

/* By root, or by name: then the name's own record is proven first. */
static enum err model_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    struct lookup *l = arg;
    struct lookup root = {.n = 32};
    struct hash id = hash_once(HASH_STATE_KEY, l->key, l->n);
    if (l->cls == STATE_MODEL)
        return lookup_ask(s, peer, l, note);
    enum err e = record_ask(s, peer, "name", STATE_NAME, bytes_of(id.b, sizeof id.b), &root.record, note);
    if (e == ERR_OK && root.record.found && root.record.value.n == 32)
        e = record_ask(s, peer, "model", STATE_MODEL, bytes_of_buf(&root.record.value), &l->record, note);
    else if (e == ERR_OK)
        l->record.found = false;
    buf_clear(&root.record.value);
    return e;
}

static int run_model(struct session *s, const struct args *args)
{
    struct lookup l = {.class_name = "model", .cls = STATE_MODEL, .n = 32};
    struct rec_model model;
    struct buf json = {0};
    const char *word = args_word(args, 0);
    if (!hex_get(word, l.key, 32)) {
        l.cls = STATE_NAME;
        l.n = strlen(word) < sizeof l.key ? strlen(word) : 0;
        memcpy(l.key, word, l.n);
    }
    int rc = question(s, model_ask, &l);
    struct cursor c = cursor_of(bytes_of_buf(&l.record.value));
    if (rc == CLI_DONE && l.record.found) {
        rec_model_get(&c, &model);
        if (cursor_end(&c))
            rec_model_json(&json, &model);
        else
            rc = cli_fail(s->cli, CLI_REFUSED, "the model's record is of a newer version than this program");
    }
    if (rc == CLI_DONE)
        rc = show_record(s, "model", &l.record, &json);
    buf_clear(&json);
    buf_clear(&l.record.value);
    return rc;
}

struct receipt_lookup {
    struct lookup settlement;
    uint32_t index;
    struct signed_receipt receipt;
};

static enum err receipt_ask(struct session *s, const struct cli *peer, void *arg, struct note *note)
{
    struct receipt_lookup *l = arg;
    struct rec_settlement rec;
    struct buf raw = {0}, proof = {0};
    json_t *reply = NULL;
    char hex[65];
    enum err e = lookup_ask(s, peer, &l->settlement, note);
    if (e == ERR_OK && !l->settlement.record.found)
        return ERR_OK; /* proven: there is none */
    struct cursor c = cursor_of(bytes_of_buf(&l->settlement.record.value));
    if (e == ERR_OK) {
        rec_settlement_get(&c, &rec);
        if (!cursor_end(&c))
            e = note_set(note, ERR_UNSUPPORTED, "the settlement's record is of a newer version than this program");
    }
    hex_put(hex, l->settlement.key, 32);
    if (e == ERR_OK)
        e = ask(peer, &reply, note, "/kith/v1/receipt?settlement=%s&index=%u", hex, l->index);
    if (e == ERR_OK && (!get_bytes(reply, "receipt", &raw) || !get_bytes(reply, "proof", &proof)))
        e = note_set(note, ERR_PROTOCOL, "its receipt lacks a part");
    if (e == ERR_OK) {
        c = cursor_of(bytes_of_buf(&raw));
        signed_receipt_get(&c, &l->receipt);
        e = cursor_end(&c) ? light_check_receipt(&rec, l->index, &l->receipt, bytes_of_buf(&proof), note)
                           : note_set(note, ERR_FORMAT, "its receipt does not decode");
    }
    buf_clear(&raw);
    buf_clear(&proof);
    json_decref(reply);
    return e;
}

static int run_receipt(struct session *s, const struct args *args)
{
    struct receipt_lookup l = {.settlement = {.class_name = "settlement", .cls = STATE_SETTLEMENT, .n = 32}};
    struct buf json = {0};
    const char *index = args_word(args, 1);
    if (!hex_get(args_word(args, 0), l.settlement.key, 32))
        return cli_fail(s->cli, CLI_USAGE, "\"%.70s\" is not a settlement's id: 64 hexadecimal digits",
                        args_word(args, 0));
    if (!*index || strlen(index) > 7 || strspn(index, "0123456789") != strlen(index))
        return cli_fail(s->cli, CLI_USAGE, "\"%.40s\" is not the number of a receipt: 0, 1, 2...", index);
    l.index = (uint32_t)strtoul(index, NULL, 10);
    int rc = question(s, receipt_ask, &l);
    if (rc == CLI_DONE && l.settlement.record.found)
        receipt_json(&json, &l.receipt.receipt);
    if (rc == CLI_DONE)
        rc = show_record(s, l.settlement.record.found ? "receipt" : "settlement", &l.settlement.record, &json);
    buf_clear(&json);
    buf_clear(&l.settlement.record.value);
    return rc;
}

static const char class_names[] =
#define C(byte, name, listed) " " #name
    STATE_CLASS_LIST(C)
#undef C
    ;

/* Any record, as its bytes. */
static int run_proof(struct session *s, const struct args *args)
{
    struct lookup l = {.class_name = args_word(args, 0)};
    const char *hex = args_word(args, 1) ? args_word(args, 1) : "";
    struct buf json = {0};
    l.n = strlen(hex) / 2;
    if (!state_class_find(l.class_name, &l.cls))
        return cli_fail(s->cli, CLI_USAGE, "\"%.40s\" is no class of records; these are:%s", l.class_name, class_names);
    if (l.n > sizeof l.key || !hex_get(hex, l.key, l.n))
        return cli_fail(s->cli, CLI_USAGE, "\"%.80s\" is not a key: hexadecimal digits", hex);
    int rc = question(s, lookup_ask, &l);
    if (rc == CLI_DONE) {
        char *digits = mem_array(2 * l.record.value.n + 1, 1);
        hex_put(digits, l.record.value.p, l.record.value.n);
        buf_add_format(&json, "\"%s\"", digits);
        free(digits);
        rc = show_record(s, "record", &l.record, &json);
    }
    buf_clear(&json);
    buf_clear(&l.record.value);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct session *s, const struct args *args);
} commands[] = {
    {"chain info", run_info}, {"wallet balance", run_balance}, {"model show", run_model}, {"receipt show", run_receipt},
    {"proof", run_proof},
};

/* -- begin -- */

static int session_peers(struct session *s, const struct args *args)
{
    struct cli own = *s->cli;
    own.answer_max = ANSWER_MAX;
    for (unsigned i = 0; args_nth(args, "peer", i); i++) {
        if (i == PEERS_ASKED)
            return cli_fail(s->cli, CLI_USAGE, "at most %u --peer", PEERS_ASKED);
        s->peers[s->peers_n] = own;
        s->peers[s->peers_n++].url = args_nth(args, "peer", i);
    }
    if (s->peers_n == 0)
        s->peers[s->peers_n++] = own; /* --url, or the daemon of this home */
    return CLI_DONE;
}

static int session_trust(struct session *s, const struct args *args)
{
    struct note note = {{0}};
    struct hash id;
    char *end;
    s->base = light_new(&s->chain, s->genesis.params.unbonding_ms);
    const char *point = args_text(args, "checkpoint");
    if (point) {
        uint64_t height = strtoull(point, &end, 10);
        if (*point < '1' || *point > '9' || *end != ':' || !hex_get(end + 1, id.b, sizeof id.b))
            return cli_fail(s->cli, CLI_USAGE,
                            "--checkpoint %.100s: HEIGHT:BLOCK is needed, a number and 64 hexadecimal digits", point);
        light_trust_checkpoint(s->base, height, &id);
        return CLI_DONE;
    }
    enum err e = trust_read(s, &note);
    if (e == ERR_NOT_FOUND)
        e = light_trust_genesis(s->base, &s->genesis, &note);
    return e == ERR_OK ? CLI_DONE : cli_fail_note(s->cli, e, &note);
}

static int session_open(struct session *s, const struct args *args)
{
    struct note note = {{0}};
    struct buf path = {0};
    if (args_text(args, "genesis"))
        buf_add_text(&path, args_text(args, "genesis"));
    else
        buf_add_format(&path, "%s/genesis.json", s->cli->home);
    enum err e = genesis_read(buf_text(&path), &s->genesis, &s->room, &note);
    buf_clear(&path);
    if (e != ERR_OK) {
        note_add(&note, " (a light client needs the chain's genesis: --genesis FILE)");
        return cli_fail_note(s->cli, e, &note);
    }
    s->chain = genesis_chain_id(&s->genesis);
    int rc = session_peers(s, args);
    return rc == CLI_DONE ? session_trust(s, args) : rc;
}

int light_run(const struct cli *cli, const struct command *command, const struct args *args)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, command->name) != 0)
            continue;
        struct session *s = mem_new(sizeof *s);
        s->cli = cli;
        int rc = session_open(s, args);
        if (rc == CLI_DONE)
            rc = commands[i].run(s, args);
        light_free(s->base);
        light_free(s->light);
        buf_clear(&s->room);
        free(s);
        return rc;
    }
    return cli_fail(cli, CLI_USAGE,
                    "`kith %s` needs a daemon: --light answers chain info, wallet balance, model show, "
                    "receipt show and proof",
                    command->name);
}

int cmd_light_only(const struct cli *cli, const struct args *args)
{
    (void)args;
    return cli_fail(cli, CLI_USAGE, "this shows what was proven: kith --light --peer http://HOST:PORT ...");
}

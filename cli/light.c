/* The light client's connections, files and lines.
 *
 * What was believed last is kept in HOME/light/CHAIN.trust, so that the next question begins there. Two blocks of one
 * height that were both believed are kept in HOME/light/CHAIN.conflict-HEIGHT. An answer may have ANSWER_MAX bytes and
 * take ANSWER_MS; the memory of all of it stays under 32 MiB. */
#include "cli/light.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/light_in.h"
#include "cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ANSWER_MAX    (512u << 10) /* a light block is 64 KiB, twice that in digits */
#define ANSWER_MS     15000
#define WAIT_S        40     /* for the header that carries a root: a heartbeat and some */
#define OTHERS_WAIT_S 5      /* for one that is a few blocks behind */
#define STALE_MS      600000 /* a newest block older than that is an old state shown for a new one */

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
    struct note why = {{0}};
    e = e == ERR_OK ? light_load(s->base, bytes_of_buf(&raw), &why) : ERR_NOT_FOUND;
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        note_set(note, e, "%.150s: %.200s", buf_text(&path), why.text);
    buf_clear(&path);
    buf_clear(&raw);
    return e;
}

/* -- questions -- */

enum err light_ask(const struct cli *peer, json_t **reply, struct note *note, const char *format, ...)
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

bool light_get_bytes(const json_t *object, const char *name, struct buf *out)
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
        e = light_ask(peer, &reply, note, "/kith/v1/light/%" PRIu64, wanted);
        if (e == ERR_OK && !light_get_bytes(reply, "block", &raw))
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
    enum err e = light_ask(peer, &reply, note, "/kith/v1/chain/wait?height=1&wait=%d", WAIT_S);
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
    cli_remark("%s is not believed: %s", peer->url ? peer->url : "the daemon", note->text);
}

/* -- records -- */

enum err light_ask_record(struct session *s, const struct cli *peer, const char *class_name, enum state_class cls,
                          struct bytes key, struct record *out, struct note *note)
{
    json_t *reply = NULL, *waited = NULL;
    struct buf proof = {0};
    char hex[2 * 255 + 1];
    uint64_t header;
    hex_put(hex, key.p, key.n);
    buf_reset(&out->value);
    enum err e = light_ask(peer, &reply, note, "/kith/v1/proof?class=%s&key=%s", class_name, hex);
    if (e == ERR_OK && (!get_count(reply, "header", &header) || !light_get_bytes(reply, "value", &out->value) ||
                        !light_get_bytes(reply, "proof", &proof)))
        e = note_set(note, ERR_PROTOCOL, "its proof lacks a part");
    if (e == ERR_OK && header > light_header(s->light)->height) {
        e = light_ask(peer, &waited, note, "/kith/v1/chain/wait?height=%" PRIu64 "&wait=%d", header, WAIT_S);
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

static void replace(struct light **at, struct light *take)
{
    light_free(*at);
    *at = take;
}

/* To the first height at which two histories differ: until there both sides had the same validators, so who signed for
 * both can be named. As far as both peers still show their headers. */
static void narrow(struct session *s, const struct cli *peer, struct light **mine, struct light **other)
{
    struct light *same = light_copy(s->base);
    bool is_shown = true;
    while (is_shown && light_header(*mine)->height - light_header(same)->height > 1) {
        struct note note;
        uint64_t low = light_header(same)->height, middle = low + (light_header(*mine)->height - low) / 2;
        struct light *a = light_copy(same), *b = light_copy(same);
        is_shown =
            follow(a, &s->peers[s->primary], middle, &note) == ERR_OK && follow(b, peer, middle, &note) == ERR_OK;
        struct hash id = light_id(a), theirs = light_id(b);
        if (is_shown && !hash_equal(&id, &theirs)) {
            replace(mine, a);
            replace(other, b);
            continue;
        }
        light_free(b);
        replace(&same, a);
    }
    light_free(same);
}

static int conflict(struct session *s, const struct cli *peer, const struct light *mine, const struct light *other)
{
    struct buf raw = {0}, path = {0};
    char kind[48];
    struct note note = {{0}};
    uint64_t height = light_header(other)->height;
    light_conflict_put(&raw, &(struct light_conflict){light_raw(mine), light_raw(other)});
    snprintf(kind, sizeof kind, "conflict-%" PRIu64, height);
    path_put(s, kind, &path);
    bool is_kept = file_keep(s, kind, bytes_of_buf(&raw), &note) == ERR_OK;
    int rc =
        cli_fail(s->cli, CLI_REFUSED,
                 "%s and %s prove two different blocks %" PRIu64
                 ": a third of the validators or more is to blame. Nothing is shown. The two are kept in %s; "
                 "`kith chain blame` of that file names who signed both, with what `kith --url NODE chain testimony "
                 "%" PRIu64 "` of both adds, whoever it was",
                 s->peers[s->primary].url, peer->url, height, is_kept ? buf_text(&path) : note.text, height);
    buf_clear(&raw);
    buf_clear(&path);
    return rc;
}

/* The height at which a peer can be compared: ours, or where it stays behind, its own. */
static enum err height_shared(const struct cli *peer, uint64_t ours, uint64_t *height, struct note *note)
{
    json_t *reply = NULL;
    enum err e = light_ask(peer, &reply, note, "/kith/v1/chain/wait?height=%" PRIu64 "&wait=%d", ours, OTHERS_WAIT_S);
    if (e == ERR_OK && !get_count(reply, "height", height))
        e = note_set(note, ERR_PROTOCOL, "it does not say its height");
    if (e == ERR_OK && *height > ours)
        *height = ours;
    json_decref(reply);
    return e;
}

/* Does this peer prove another block than the one that answered, of the highest height that both have? Both sides of a
 * fork need not be equally high. */
static int compare_with(struct session *s, const struct cli *peer)
{
    struct light *mine = light_copy(s->base), *other = light_copy(s->base);
    struct note note = {{0}};
    uint64_t height, ours = light_header(s->light)->height;
    int rc = CLI_DONE;
    enum err e = height_shared(peer, ours, &height, &note);
    if (e == ERR_OK && height < ours && height <= light_header(s->base)->height)
        e = note_set(&note, ERR_STATE, "it is at height %" PRIu64 ", which says nothing new", height);
    if (e == ERR_OK)
        e = follow(mine, &s->peers[s->primary], height, &note);
    if (e == ERR_OK)
        e = follow(other, peer, height, &note);
    struct hash id = light_id(mine), theirs = light_id(other);
    if (e != ERR_OK)
        say_of(peer, &note);
    else if (!hash_equal(&theirs, &id)) {
        narrow(s, peer, &mine, &other);
        rc = conflict(s, peer, mine, other);
    }
    light_free(mine);
    light_free(other);
    return rc;
}

static int compare(struct session *s)
{
    int rc = CLI_DONE;
    for (unsigned i = 0; rc == CLI_DONE && i < s->peers_n; i++)
        if (i != s->primary)
            rc = compare_with(s, &s->peers[i]);
    return rc;
}

/* -- a question -- */

int light_question(struct session *s, question_fn fn, void *arg)
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
            cli_remark("%s", note.text);
    }
    buf_clear(&raw);
    return rc;
}

static const struct {
    const char *name;
    int (*run)(struct session *s, const struct args *args);
} commands[] = {
    {"chain info", light_run_info},  {"wallet balance", light_run_balance},
    {"model show", light_run_model}, {"receipt show", light_run_receipt},
    {"proof", light_run_proof},
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

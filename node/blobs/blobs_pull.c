/* Parts of blobs: checking what is there, asking peers for the rest; and answering peers. */
#include "node/blobs/blobs_in.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_AT_ONCE 64u                       /* leaves hashed in one turn of the loop: about 2 ms */
#define ASK_AGAIN_MS  3000                      /* while nobody has it, at first... */
#define ASK_AGAIN_MAX 5u                        /* ...twice as long each time, so often */
#define STALLED_MS    60000                     /* nothing came, whoever says that he has it: others are asked, too */
#define SERVE_QUEUE   (PEER_SEND_QUEUE_MAX / 2) /* over this a peer's questions go unanswered: it is too slow */

static void pull_pump(struct item *it);
static void give_places_soon(struct blobs *b);
static void check_turn(void *arg);

static void log_item(enum log_level level, const struct item *it, const char *event, const char *why)
{
    char hex[65];
    hex_put(hex, it->root.b, sizeof it->root.b);
    log_event(level, "blobs", event, "root=%.16s size=%" PRIu64 "%s%s", hex, it->size, *why ? " why=" : "", why);
}

/* -- the files of a part -- */

static void close_files(struct item *it)
{
    host_file_close(it->file);
    host_file_close(it->have);
    it->file = it->have = NULL;
}

void blobs_part_close(struct item *it)
{
    host_timer_cancel(it->owner->host, &it->timer);
    close_files(it);
    it->kept = it->fetch ? blob_fetch_here(it->fetch) : it->kept;
    blob_fetch_free(it->fetch);
    it->fetch = NULL;
    free(it->leaves);
    it->leaves = NULL;
    it->pulling = it->checking = it->own = false;
    if (it->placed)
        give_places_soon(it->owner);
    it->placed = false;
}

static enum err open_files(struct item *it, struct note *note)
{
    char *part = blobs_item_path(it, "part"), *have = blobs_item_path(it, "have");
    close_files(it);
    enum err e = host_file_open(it->owner->host, part, HOST_WRITE, &it->file, note);
    if (e == ERR_OK)
        e = host_file_open(it->owner->host, have, HOST_WRITE, &it->have, note);
    free(part);
    free(have);
    return e;
}

static enum err write_head(struct item *it)
{
    uint8_t head[BLOB_HEAD_SIZE];
    blob_head_put(head, &(struct blob_head){.size = it->size});
    return host_file_put(it->have, 0, head, sizeof head);
}

/* The pull cannot go on here; what came stays on the disk for the next one. */
static void pull_fail(struct item *it, enum err e, const struct note *note)
{
    log_item(LOG_ODD, it, "pull failed", note->text);
    blobs_item_tell(it, e, note);
    blobs_part_close(it);
}

static void finish(struct item *it)
{
    struct note note = {{0}};
    enum err e = blobs_item_finish(it, &note);
    if (e == ERR_OK)
        blobs_item_tell(it, ERR_OK, NULL);
    else
        pull_fail(it, e, &note);
}

/* -- checking -- */

/* Nothing of it is here: not even its size is known. */
static void begin_anew(struct item *it)
{
    free(it->leaves);
    blob_fetch_free(it->fetch);
    it->leaves = NULL;
    it->fetch = blob_fetch_new(&it->root);
    it->size = 0;
}

/* Reads what came before. */
void blobs_part_check(struct item *it)
{
    struct note note = {{0}};
    struct blob_head head;
    char *have = blobs_item_path(it, "have");
    enum err e = blob_leaves_read(it->owner->host, have, &head, &it->leaves, &note);
    free(have);
    it->fetch = blob_fetch_new(&it->root);
    it->size = 0;
    if (e != ERR_OK)
        return;
    it->size = head.size;
    blob_fetch_set_size(it->fetch, head.size);
    it->check_next = 0;
    if (open_files(it, &note) != ERR_OK) {
        log_item(LOG_ODD, it, "not checked", note.text);
        return;
    }
    it->checking = true;
    host_timer_set(it->owner->host, &it->timer, 0, check_turn, it);
}

static void check_leaf(struct item *it, uint64_t i)
{
    uint8_t bytes[LEAF_SIZE];
    uint32_t n = merkle_leaf_size(it->size, i);
    if (hash_is_zero(&it->leaves[i]))
        return;
    if (host_file_get(it->file, i * LEAF_SIZE, bytes, n) == ERR_OK) {
        struct hash got = merkle_leaf_hash(bytes, n);
        if (hash_equal(&got, &it->leaves[i])) {
            blob_fetch_set_here(it->fetch, i);
            return;
        }
    }
    it->leaves[i] = (struct hash){{0}};
}

static void check_turn(void *arg)
{
    struct item *it = arg;
    uint64_t leaves = merkle_leaves(it->size), end = it->check_next + CHECK_AT_ONCE;
    for (; it->check_next < leaves && it->check_next < end; it->check_next++)
        check_leaf(it, it->check_next);
    if (it->check_next < leaves) {
        host_timer_set(it->owner->host, &it->timer, 0, check_turn, it);
        return;
    }
    it->checking = false;
    log_item(LOG_INFO, it, "checked", "");
    if (blob_fetch_here(it->fetch) == 0 && leaves > 0)
        begin_anew(it);
    if (blob_fetch_is_done(it->fetch))
        finish(it);
    else if (it->pulling)
        pull_pump(it);
}

/* -- pulling -- */

static void send_body(struct blobs *b, const struct pubkey *to, enum msg_type type, struct buf *body_take)
{
    enum err e = peers_send(b->peers, to, type, bytes_of_buf(body_take));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "blobs", "not sent", "what=%s err=%s", msg_rule((uint8_t)type)->name, err_name(e));
    buf_clear(body_take);
}

static void ask_who_has(struct item *it, const struct pubkey *one)
{
    struct buf body = {0};
    blob_have_get_put(&body, &(struct blob_have_get){it->root});
    it->asked_ms = host_now_ms(it->owner->host);
    if (one) {
        it->asked++;
        send_body(it->owner, one, MSG_BLOB_HAVE_GET, &body);
        return;
    }
    it->asked = peers_broadcast(it->owner->peers, MSG_BLOB_HAVE_GET, bytes_of_buf(&body), NULL);
    it->in_vain++;
    buf_clear(&body);
}

/* -- places -- */

static bool waits_for_place(const struct item *it)
{
    return it->pulling && !it->checking && !it->placed && blob_fetch_sources(it->fetch) > 0;
}

static struct item *first_in_line(const struct blobs *b)
{
    struct item *first = NULL;
    for (struct item *it = b->items; it; it = it->next)
        if (waits_for_place(it) && (!first || it->line < first->line))
            first = it;
    return first;
}

static unsigned count_places(const struct blobs *b)
{
    unsigned n = 0;
    for (const struct item *it = b->items; it; it = it->next)
        n += it->placed;
    return n;
}

static void give_places(void *arg)
{
    struct blobs *b = arg;
    struct item *it;
    for (unsigned n = count_places(b); n < BLOB_PULLS_MAX && (it = first_in_line(b)); n++) {
        it->placed = true;
        it->placed_ms = host_now_ms(b->host);
        pull_pump(it);
    }
}

static void give_places_soon(struct blobs *b)
{
    host_timer_set(b->host, &b->place_timer, 0, give_places, b);
}

/* Somebody who has it came, or went; others wait longer than it has been placed. What it has asked for still comes. */
static void find_place(struct item *it)
{
    struct blobs *b = it->owner;
    const bool has_source = blob_fetch_sources(it->fetch) > 0;
    if (it->placed && (!has_source || (host_now_ms(b->host) - it->placed_ms >= BLOB_TURN_MS && first_in_line(b)))) {
        it->placed = false;
        it->line = ++b->line;
        give_places_soon(b);
    } else if (!it->placed && has_source && count_places(b) < BLOB_PULLS_MAX) {
        give_places_soon(b);
    }
}

/* Too long for whoever waits. Who says that he has it and gives nothing does not count. True: it is over. */
static bool nobody_gives_it(struct item *it)
{
    struct note note = {{0}};
    const uint64_t ms = it->owner->nobody_ms;
    if (!it->waiters || host_now_ms(it->owner->host) - it->since_ms < ms)
        return false;
    (void)note_set(&note, ERR_NOT_FOUND,
                   "nobody in reach gave any of it for %" PRIu64
                   " s (%u peers were asked last): what came so far is kept, "
                   "pull it again when somebody has it",
                   ms / 1000, it->asked);
    if (it->own)
        blobs_item_tell(it, ERR_NOT_FOUND, &note);
    else
        pull_fail(it, ERR_NOT_FOUND, &note);
    return !it->pulling;
}

static void pull_timer(void *arg)
{
    struct item *it = arg;
    const uint64_t now_ms = host_now_ms(it->owner->host);
    blob_fetch_tick(it->fetch, now_ms);
    if (nobody_gives_it(it))
        return;
    bool stalls = now_ms - it->since_ms >= STALLED_MS && now_ms - it->asked_ms >= STALLED_MS;
    if (stalls || blob_fetch_sources(it->fetch) == 0)
        ask_who_has(it, NULL);
    pull_pump(it);
}

static uint64_t ask_again_ms(const struct item *it)
{
    uint64_t in_vain = it->in_vain > 1 ? it->in_vain - 1 : 0;
    return (uint64_t)ASK_AGAIN_MS << (in_vain < ASK_AGAIN_MAX ? in_vain : ASK_AGAIN_MAX);
}

/* Sends the questions that may be sent now, and sets the timer for what may come late. */
static void pull_pump(struct item *it)
{
    struct host *host = it->owner->host;
    struct blob_ask ask;
    if (!it->pulling || it->checking)
        return;
    find_place(it);
    while (it->placed && blob_fetch_next(it->fetch, host_now_ms(host), &ask)) {
        struct buf body = {0};
        leaf_get_put(&body, &(struct leaf_get){it->root, ask.index});
        send_body(it->owner, &ask.source, MSG_LEAF_GET, &body);
    }
    uint64_t at_ms = blob_fetch_timeout_ms(it->fetch), now_ms = host_now_ms(host);
    uint64_t wait_ms = at_ms == UINT64_MAX ? ask_again_ms(it) : at_ms > now_ms ? at_ms - now_ms : 0;
    host_timer_set(host, &it->timer, wait_ms, pull_timer, it);
}

static enum err store_leaf(struct item *it, const struct leaf *m, struct note *note)
{
    bool first = !it->leaves;
    uint64_t size = 0;
    if (first) {
        CHECK(blob_fetch_size(it->fetch, &size));
        it->size = size;
        it->leaves = mem_array(merkle_leaves(size), sizeof *it->leaves);
    }
    struct hash leaf = merkle_leaf_hash(m->bytes.p, m->bytes.n);
    enum err e = first ? write_head(it) : ERR_OK;
    if (e == ERR_OK)
        e = host_file_put(it->file, m->index * LEAF_SIZE, m->bytes.p, m->bytes.n);
    if (e == ERR_OK)
        e = host_file_put(it->have, BLOB_HEAD_SIZE + m->index * HASH_SIZE, leaf.b, sizeof leaf.b);
    if (e == ERR_OK) {
        it->leaves[m->index] = leaf;
        return ERR_OK;
    }
    blob_fetch_set_missing(it->fetch, m->index);
    return note_set(note, e, "cannot store a leaf in %s: %s (what came so far is kept: pull again)",
                    it->owner->dir[it->kind], err_text(e));
}

/* All that was wanted: the part stays as it is for whoever wants more. */
static void head_is_here(struct item *it)
{
    blobs_item_tell(it, ERR_OK, NULL);
    it->pulling = it->placed = false;
    host_timer_cancel(it->owner->host, &it->timer);
    give_places_soon(it->owner);
}

static enum err on_leaf(void *arg, const struct pubkey *from, struct bytes body)
{
    struct blobs *b = arg;
    struct leaf m;
    struct note note = {{0}};
    if (!MSG_GET(leaf, body, &m))
        return ERR_FORMAT;
    struct item *it = blobs_item(b, &m.root);
    if (!it || !it->pulling)
        return ERR_DUPLICATE; /* of a pull that has ended */
    enum err e = blob_fetch_step(it->fetch, from, &m);
    if (e == ERR_OK) {
        it->since_ms = host_now_ms(b->host);
        e = store_leaf(it, &m, &note);
        if (e != ERR_OK) {
            pull_fail(it, e, &note);
            return ERR_OK;
        }
        if (blob_fetch_is_done(it->fetch)) {
            finish(it);
            return ERR_OK;
        }
        if (it->head && blob_fetch_front(it->fetch) >= it->head) {
            head_is_here(it);
            return ERR_OK;
        }
    }
    pull_pump(it);
    return e == ERR_CORRUPT || e == ERR_PROTOCOL ? e : ERR_OK;
}

static enum err on_blob_have(void *arg, const struct pubkey *from, struct bytes body)
{
    struct blobs *b = arg;
    struct blob_have m;
    if (!MSG_GET(blob_have, body, &m))
        return ERR_FORMAT;
    struct item *it = blobs_item(b, &m.root);
    if (!it || !it->pulling)
        return ERR_DUPLICATE;
    if (!m.have)
        return ERR_OK;
    enum err e = blob_fetch_add(it->fetch, from, m.size);
    if (e == ERR_OK)
        it->in_vain = 0;
    if (e == ERR_OK && blob_fetch_is_done(it->fetch)) { /* empty */
        struct note note = {{0}};
        it->leaves = it->leaves ? it->leaves : mem_new(sizeof *it->leaves);
        e = write_head(it);
        if (e == ERR_OK)
            finish(it);
        else
            pull_fail(it, note_set(&note, e, "cannot store it: %s", err_text(e)), &note);
        return ERR_OK;
    }
    if (e == ERR_OK)
        pull_pump(it);
    return e == ERR_MISMATCH && blob_fetch_here(it->fetch) > 0 ? ERR_MISMATCH : ERR_OK;
}

static unsigned count_pulls(const struct blobs *b)
{
    unsigned n = 0;
    for (const struct item *it = b->items; it; it = it->next)
        n += it->pulling;
    return n;
}

static enum err pull(struct item *it, struct note *note)
{
    if (count_pulls(it->owner) >= BLOB_WANTED_MAX)
        return note_set(note, ERR_BUSY, "%u pulls are under way: wait for one of them, or cancel one", BLOB_WANTED_MAX);
    if (!it->fetch)
        blobs_part_check(it);
    enum err e = it->file && it->have ? ERR_OK : open_files(it, note);
    if (e != ERR_OK)
        return e;
    it->pulling = true;
    it->since_ms = host_now_ms(it->owner->host);
    it->line = ++it->owner->line;
    it->in_vain = 0;
    ask_who_has(it, NULL);
    pull_pump(it);
    return ERR_OK;
}

/* head 0: the whole */
static void want(struct blobs *b, enum blob_kind kind, const struct hash *root, uint64_t head, blobs_done_fn done,
                 void *arg)
{
    struct note note = {{0}};
    struct item *it = blobs_item(b, root);
    struct item none = {.owner = b, .root = *root};
    if (!it)
        it = blobs_item_new(b, kind, root);
    enum err e = ERR_OK;
    if (!it) {
        e = note_set(&note, ERR_FULL, "the store holds %u blobs already: remove one first", BLOBS_MAX);
        it = &none;
    }
    blobs_item_wait(it, done, arg);
    it->own |= !done;
    if (e == ERR_OK && !it->whole) {
        it->head = !it->pulling ? head : head == 0 || it->head == 0 ? 0 : head > it->head ? head : it->head;
        if (!it->pulling)
            e = pull(it, &note);
        if (e == ERR_OK) {
            blob_fetch_set_limit(it->fetch, it->head ? it->head : UINT64_MAX);
            pull_pump(it);
        }
    }
    if (e != ERR_OK || it->whole)
        blobs_item_tell(it, e, &note);
    else if (it->head && blob_fetch_front(it->fetch) >= it->head)
        head_is_here(it);
}

void blobs_pull(struct blobs *b, enum blob_kind kind, const struct hash *root, blobs_done_fn done, void *arg)
{
    want(b, kind, root, 0, done, arg);
}

void blobs_pull_head(struct blobs *b, enum blob_kind kind, const struct hash *root, uint64_t leaves, blobs_done_fn done,
                     void *arg)
{
    want(b, kind, root, leaves ? leaves : 1, done, arg);
}

enum err blobs_head_fd(const struct blobs *b, const struct hash *root, int *fd, struct note *note)
{
    const struct item *it = blobs_item(b, root);
    if (blobs_path(b, root))
        return blobs_fd(b, root, fd, note);
    *fd = -1;
    if (!it || !it->fetch || blob_fetch_front(it->fetch) == 0)
        return note_set(note, ERR_NOT_FOUND, "nothing of this model is on this machine");
    char *part = blobs_item_path(it, "part");
    *fd = open(part, O_RDONLY | O_CLOEXEC);
    enum err e = *fd >= 0 ? ERR_OK : note_set(note, ERR_IO, "cannot open %s: %s", part, strerror(errno));
    free(part);
    return e;
}

void blobs_pull_cancel(struct blobs *b, const struct hash *root)
{
    struct item *it = blobs_item(b, root);
    if (!it || !it->pulling)
        return;
    blobs_item_tell(it, ERR_CANCELLED, NULL);
    blobs_part_close(it);
}

void blobs_pull_leave(struct blobs *b, const struct hash *root, blobs_done_fn done, void *arg)
{
    struct item *it = blobs_item(b, root);
    struct waiter **at = it ? &it->waiters : NULL;
    while (at && *at && ((*at)->fn != done || (*at)->arg != arg))
        at = &(*at)->next;
    if (!at || !*at) {
        blobs_untell(b, root, done, arg); /* the pull may be over, and that on its way */
        return;
    }
    struct waiter *gone = *at;
    *at = gone->next;
    free(gone);
    if (!it->waiters && it->pulling && !it->own)
        blobs_part_close(it);
}

void blobs_set_nobody_ms(struct blobs *b, uint64_t ms)
{
    b->nobody_ms = ms;
}

static void on_change(void *arg, const struct pubkey *peer, bool up)
{
    struct blobs *b = arg;
    for (struct item *it = b->items; it; it = it->next) {
        if (!it->pulling)
            continue;
        if (up) {
            ask_who_has(it, peer);
        } else {
            blob_fetch_remove(it->fetch, peer);
            pull_pump(it);
        }
    }
}

/* -- answering -- */

static enum err on_blob_have_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct blobs *b = arg;
    struct blob_have_get ask;
    struct buf out = {0};
    if (!MSG_GET(blob_have_get, body, &ask))
        return ERR_FORMAT;
    const struct item *it = blobs_item(b, &ask.root);
    struct blob_have answer = {.root = ask.root, .have = it && it->whole};
    answer.size = answer.have ? it->size : 0;
    blob_have_put(&out, &answer);
    send_body(b, from, MSG_BLOB_HAVE, &out);
    return ERR_OK;
}

bool blobs_item_read(void *arg, uint64_t at, void *p, size_t n)
{
    struct item *it = arg;
    if (!it->file && host_file_open(it->owner->host, it->path, HOST_READ, &it->file, NULL) != ERR_OK)
        return false;
    return host_file_get(it->file, at, p, n) == ERR_OK;
}

static enum err on_leaf_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct blobs *b = arg;
    struct leaf_get ask;
    struct buf out = {0};
    if (!MSG_GET(leaf_get, body, &ask))
        return ERR_FORMAT;
    if (peers_queued(b->peers, from) > SERVE_QUEUE)
        return ERR_OK;
    struct item *it = blobs_item(b, &ask.root);
    blob_answer(it && it->whole ? it->tree : NULL, blobs_item_read, it, &ask, &out);
    send_body(b, from, MSG_LEAF, &out);
    return ERR_OK;
}

void blobs_pull_stop(struct blobs *b)
{
    host_timer_cancel(b->host, &b->place_timer);
}

void blobs_pull_start(struct blobs *b)
{
    b->nobody_ms = BLOB_NOBODY_MS;
    peers_on(b->peers, MSG_BLOB_HAVE_GET, on_blob_have_get, b);
    peers_on(b->peers, MSG_BLOB_HAVE, on_blob_have, b);
    peers_on(b->peers, MSG_LEAF_GET, on_leaf_get, b);
    peers_on(b->peers, MSG_LEAF, on_leaf, b);
    peers_on_change(b->peers, on_change, b);
}

/* Whom to dial, and when: configured peers for ever, with a growing pause; peers that the node wants to
 * reach now; and some of the address book while there are few outgoing connections. */
#include "node/net/peers_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS      5000  /* between looks into the address book */
#define BOOK_SAVE_MS 60000 /* between saves of a book that changed */
#define BOOK_BYTES   (BOOK_MAX * 300u)
#define WANTED_TRIES 3 /* for peers that are not configured; the last where the book says */

static void look(void *arg);

static struct target *find_target(const struct peers *p, const struct pubkey *key)
{
    struct target *t = p->targets;
    while (t && !pubkey_equal(&t->key, key))
        t = t->next;
    return t;
}

bool peers_is_configured(const struct peers *p, const struct pubkey *key)
{
    const struct target *t = find_target(p, key);
    return t && t->keep;
}

/* Through relays, each try through the next of them. */
static bool dial(struct peers *p, const struct pubkey *key, const char *text, unsigned try)
{
    struct way way;
    char at[ENDPOINT_TEXT_ROOM];
    if (way_parse(text, &way, NULL) != ERR_OK || (way.relays > 0 && !p->circuit))
        return false;
    way = way_only(&way, way.relays > 0 ? try % way.relays : 0);
    way_print(&way, at);
    struct link *l = peers_link_new(p, at);
    l->expected = *key;
    endpoint_print(&way.at[0], at);
    peers_link_dialled(l, way.relays > 0 ? p->circuit(p->circuit_arg, &way.relay[0], at, key, &peers_conn_calls, l)
                                         : transport_dial(p->transport, &way.at[0], &peers_conn_calls, l));
    return true;
}

/* The pause before another try: doubles, and differs between nodes so that they do not dial in step. */
static uint64_t pause_ms(struct peers *p, uint32_t failures)
{
    uint64_t ms = PEER_BACKOFF_MS;
    uint8_t chance;
    for (uint32_t i = 1; i < failures && ms < PEER_BACKOFF_MAX_MS; i++)
        ms *= 2;
    host_random(p->host, &chance, 1);
    if (ms > PEER_BACKOFF_MAX_MS)
        ms = PEER_BACKOFF_MAX_MS;
    return ms / 2 + ms * chance / 512;
}

void peers_dial_soon(struct peers *p)
{
    host_timer_set(p->host, &p->dial_timer, 0, look, p);
}

static bool dial_target(struct peers *p, struct target *t)
{
    struct addr known;
    char at[ENDPOINT_TEXT_ROOM];
    bool by_book = !t->keep && t->failures + 1 == WANTED_TRIES && book_find(p->book, &t->key, &known);
    snprintf(at, sizeof at, "%s", t->once[0] ? t->once : by_book ? known.endpoint.s : t->endpoint);
    t->once[0] = 0;
    return dial(p, &t->key, at, t->failures);
}

static void dial_targets(struct peers *p, uint64_t now_ms, uint64_t *next_ms)
{
    for (struct target *t = p->targets; t; t = t->next) {
        if (peers_link_any(p, &t->key))
            continue;
        if (t->retry_at_ms <= now_ms && !peers_is_banned(p, &t->key) && dial_target(p, t))
            continue;
        if (t->retry_at_ms < *next_ms)
            *next_ms = t->retry_at_ms > now_ms ? t->retry_at_ms : now_ms + PEER_BACKOFF_MS;
    }
}

/* One outgoing connection for a network of the world: networks cost money, addresses in them do not. */
static bool network_is_dialled(const struct peers *p, const struct endpoint *to)
{
    struct way way;
    struct bytes group = endpoint_group(to);
    if (endpoint_is_private(to))
        return false;
    for (const struct link *l = p->links; l; l = l->next)
        if (l->dialled && !l->gone && way_parse(l->endpoint, &way, NULL) == ERR_OK &&
            bytes_equal(endpoint_group(&way.at[0]), group))
            return true;
    return false;
}

static void dial_book(struct peers *p)
{
    unsigned outgoing = 0;
    struct addr a;
    struct way way;
    uint64_t chance;
    for (const struct link *l = p->links; l; l = l->next)
        outgoing += l->dialled && !l->gone;
    host_random(p->host, &chance, sizeof chance);
    if (outgoing >= PEERS_WANT || !book_pick(p->book, chance, &a) || pubkey_equal(&a.key, &p->self) ||
        peers_link_any(p, &a.key) || peers_is_banned(p, &a.key) || find_target(p, &a.key))
        return;
    /* Relays are for those who want something of this one: connections that only pass news on are had without. */
    if (way_parse(a.endpoint.s, &way, NULL) == ERR_OK && way.relays == 0 && !network_is_dialled(p, &way.at[0]))
        (void)dial(p, &a.key, a.endpoint.s, 0);
}

static void look(void *arg)
{
    struct peers *p = arg;
    uint64_t now_ms = host_now_ms(p->host), next_ms = now_ms + LOOK_MS;
    dial_targets(p, now_ms, &next_ms);
    dial_book(p);
    host_timer_set(p->host, &p->dial_timer, next_ms - now_ms, look, p);
}

static void remove_target(struct peers *p, struct target *gone)
{
    struct target **at = &p->targets;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    p->targets_n--;
    free(gone);
}

static struct target *add_target(struct peers *p, const struct pubkey *key, const char *endpoint)
{
    struct target *t = find_target(p, key);
    if (!t) {
        if (p->targets_n >= PEERS_ADDED_MAX)
            return NULL;
        t = mem_new(sizeof *t);
        t->key = *key;
        t->next = p->targets;
        p->targets = t;
        p->targets_n++;
    }
    snprintf(t->endpoint, sizeof t->endpoint, "%s", endpoint);
    t->retry_at_ms = 0;
    return t;
}

enum err peers_add(struct peers *p, const char *address, struct note *note)
{
    struct pubkey key;
    struct way way;
    char text[ENDPOINT_TEXT_ROOM];
    enum err e = way_parse_peer(address, &key, &way, note);
    if (e != ERR_OK)
        return e;
    if (pubkey_equal(&key, &p->self))
        return note_set(note, ERR_DUPLICATE, "%.80s is this node itself: name another one", address);
    way_print(&way, text);
    struct target *t = add_target(p, &key, text);
    if (!t)
        return note_set(note, ERR_FULL, "%u peers are configured already, no more are kept", PEERS_ADDED_MAX);
    t->keep = true;
    peers_dial_soon(p);
    return ERR_OK;
}

enum err peers_reach(struct peers *p, const struct pubkey *key, const char *endpoint)
{
    struct addr known;
    struct way parsed;
    if (pubkey_equal(key, &p->self))
        return ERR_DUPLICATE;
    if (peers_link_up(p, key))
        return ERR_OK;
    const struct target *t = find_target(p, key);
    if (!endpoint || !endpoint[0])
        endpoint = t ? t->endpoint : book_find(p->book, key, &known) ? known.endpoint.s : NULL;
    if (!endpoint || way_parse(endpoint, &parsed, NULL) != ERR_OK || (parsed.relays > 0 && !p->circuit))
        return ERR_NOT_FOUND;
    if (peers_is_banned(p, key))
        return ERR_REFUSED;
    if (!(t && t->keep) && !add_target(p, key, endpoint))
        return ERR_FULL;
    struct target *again = find_target(p, key);
    if (again->keep && strcmp(again->endpoint, endpoint) != 0)
        snprintf(again->once, sizeof again->once, "%s", endpoint);
    again->retry_at_ms = 0;
    peers_dial_soon(p);
    return ERR_OK;
}

/* -- what became of a link -- */

static struct addr addr_of(const struct link *l)
{
    struct addr a = {.key = l->expected};
    if (!text255_set(&a.endpoint, l->endpoint))
        a.endpoint = (struct text255){0};
    return a;
}

void peers_dial_up(struct peers *p, struct link *l)
{
    struct addr a = addr_of(l);
    struct target *t = find_target(p, &l->expected);
    if (t) {
        t->failures = 0;
        if (!t->keep)
            remove_target(p, t);
    }
    book_good(p->book, &a, host_wall_ms(p->host));
    p->book_changed = true;
    if (peer_send(l->peer, MSG_ADDRS_GET, (struct bytes){0}) == ERR_OK)
        l->addrs_asked = true;
}

void peers_dial_down(struct peers *p, struct link *l, bool was_up)
{
    struct target *t = find_target(p, &l->expected);
    if (!was_up && l->gone_reason != ERR_DUPLICATE) {
        book_bad(p->book, &l->expected);
        p->book_changed = true;
    }
    if (!t)
        return;
    t->failures = was_up ? 1 : t->failures + 1;
    if (!t->keep && t->failures >= WANTED_TRIES) {
        remove_target(p, t);
        return;
    }
    t->retry_at_ms = host_now_ms(p->host) + pause_ms(p, t->failures);
    host_timer_set(p->host, &p->dial_timer, PEER_BACKOFF_MS / 4, look, p);
}

/* -- addresses that peers tell -- */

static enum err on_addrs_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct peers *p = arg;
    struct addr some[ADDRS_MAX];
    struct buf out = {0};
    uint64_t chance;
    if (body.n != 0)
        return ERR_FORMAT;
    host_random(p->host, &chance, sizeof chance);
    unsigned n = book_sample(p->book, chance, some, ADDRS_MAX);
    for (unsigned i = 0; i < n; i++)
        addr_put(&out, &some[i]);
    enum err e = peers_send(p, from, MSG_ADDRS, bytes_of_buf(&out));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "peers", "no answer", "what=ADDRS err=%s", err_name(e));
    buf_clear(&out);
    return ERR_OK;
}

static enum err on_addrs(void *arg, const struct pubkey *from, struct bytes body)
{
    struct peers *p = arg;
    struct cursor c = cursor_of(body);
    struct link *l = peers_link_up(p, from);
    struct way teller;
    if (!l || !l->addrs_asked)
        return ERR_PROTOCOL;
    if (way_parse(l->endpoint, &teller, NULL) != ERR_OK)
        return ERR_OK;
    l->addrs_asked = false;
    for (unsigned n = 0; cursor_ok(&c) && c.n > 0; n++) {
        struct addr a;
        addr_get(&c, &a);
        if (!cursor_ok(&c) || n == ADDRS_MAX)
            return ERR_FORMAT;
        if (!pubkey_equal(&a.key, &p->self))
            book_add(p->book, &teller.at[0], &a);
    }
    p->book_changed = true;
    return ERR_OK;
}

/* The way that one who dialled us told; of ":PORT" the host is the one that it came from. */
static bool told_way(const struct link *l, const struct endpoint *from, char text[ENDPOINT_TEXT_ROOM])
{
    struct endpoint listens;
    struct way way;
    const char *told = peer_hello(l->peer)->listen.s;
    if (way_is_relayed(told)) {
        snprintf(text, ENDPOINT_TEXT_ROOM, "%s", told);
        return way_parse(told, &way, NULL) == ERR_OK;
    }
    if (endpoint_parse(told, &listens, NULL) != ERR_OK || (l->relayed && !listens.host[0]))
        return false;
    if (!listens.host[0])
        memcpy(listens.host, from->host, sizeof listens.host);
    endpoint_print(&listens, text);
    return true;
}

/* One that dialled us says where it listens: hearsay of its own. */
static void on_change(void *arg, const struct pubkey *key, bool up)
{
    struct peers *p = arg;
    struct link *l = peers_link_up(p, key);
    struct way from;
    char text[ENDPOINT_TEXT_ROOM];
    if (!up || !l || l->dialled || way_parse(l->endpoint, &from, NULL) != ERR_OK || !told_way(l, &from.at[0], text))
        return;
    struct addr a = {.key = *key};
    if (text255_set(&a.endpoint, text))
        book_add(p->book, &from.at[0], &a);
    p->book_changed = true;
}

/* -- the book's file -- */

static void save_book(struct peers *p)
{
    struct note note;
    struct buf out = {0};
    if (!p->book_path || !p->book_changed)
        return;
    book_put(p->book, &out);
    if (host_write(p->host, p->book_path, 0600, bytes_of_buf(&out), &note) != ERR_OK)
        log_event(LOG_ODD, "peers", "book not saved", "why=%s", note.text);
    else
        p->book_changed = false;
    buf_clear(&out);
}

/* -- anchors: who surrounds a node with his own while it is away would have to have been among these before -- */

static bool is_anchor(const struct link *l)
{
    return l->up && !l->gone && l->dialled && !l->relayed && !peers_is_configured(l->owner, &l->expected);
}

/* That stood longest, but those that are in the list. */
static const struct link *next_anchor(const struct peers *p, const struct link *const *taken, unsigned n)
{
    const struct link *best = NULL;
    for (const struct link *l = p->links; l; l = l->next) {
        bool is_taken = false;
        for (unsigned i = 0; i < n; i++)
            is_taken |= taken[i] == l;
        if (is_anchor(l) && !is_taken && (!best || l->up_at_ms < best->up_at_ms))
            best = l;
    }
    return best;
}

/* None, as while the network is away, leaves those of before. */
static void save_anchors(struct peers *p)
{
    const struct link *anchors[PEERS_ANCHORS];
    struct note note;
    struct buf out = {0};
    unsigned n = 0;
    while (p->anchors_path && n < PEERS_ANCHORS && (anchors[n] = next_anchor(p, anchors, n))) {
        struct addr a = addr_of(anchors[n++]);
        addr_put(&out, &a);
    }
    if (n > 0 && host_write(p->host, p->anchors_path, 0600, bytes_of_buf(&out), &note) != ERR_OK)
        log_event(LOG_ODD, "peers", "anchors not saved", "why=%s", note.text);
    buf_clear(&out);
}

static void dial_anchors(struct peers *p)
{
    struct note note;
    struct buf in = {0};
    if (!p->anchors_path)
        return;
    enum err e = host_read(p->host, p->anchors_path, 4096, &in, &note);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        log_event(LOG_ODD, "peers", "anchors not read", "why=%s", note.text);
    struct cursor c = cursor_of(bytes_of_buf(&in));
    for (unsigned n = 0; e == ERR_OK && c.n > 0 && n < PEERS_ANCHORS; n++) {
        struct addr a;
        addr_get(&c, &a);
        if (!cursor_ok(&c) || peers_reach(p, &a.key, a.endpoint.s) != ERR_OK)
            log_event(LOG_ODD, "peers", "anchor not dialled", "path=%s", p->anchors_path);
    }
    buf_clear(&in);
}

static void save_due(void *arg)
{
    struct peers *p = arg;
    save_anchors(p);
    save_book(p);
    host_timer_set(p->host, &p->book_timer, BOOK_SAVE_MS, save_due, p);
}

static void load_book(struct peers *p)
{
    struct note note;
    struct buf in = {0};
    if (!p->book_path)
        return;
    enum err e = host_read(p->host, p->book_path, BOOK_BYTES, &in, &note);
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        log_event(LOG_ODD, "peers", "book not read", "why=%s", note.text);
    else if (e == ERR_OK && !book_get(p->book, bytes_of_buf(&in)))
        log_event(LOG_ODD, "peers", "book malformed", "path=%s kept=%u", p->book_path, book_count(p->book));
    buf_clear(&in);
}

void peers_dial_start(struct peers *p)
{
    load_book(p);
    peers_on(p, MSG_ADDRS_GET, on_addrs_get, p);
    peers_on(p, MSG_ADDRS, on_addrs, p);
    peers_on_change(p, on_change, p);
    dial_anchors(p);
    host_timer_set(p->host, &p->dial_timer, 0, look, p);
    host_timer_set(p->host, &p->book_timer, BOOK_SAVE_MS, save_due, p);
}

void peers_dial_stop(struct peers *p)
{
    save_anchors(p);
    save_book(p);
    host_timer_cancel(p->host, &p->dial_timer);
    host_timer_cancel(p->host, &p->book_timer);
    while (p->targets)
        remove_target(p, p->targets);
}

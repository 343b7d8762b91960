/* Access to data: hashes of plain leaves between nodes, one-time keys, released keys. */
#include "node/access.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/secret.h"
#include "chain/market_records.h"
#include "chain/tx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE          (64u << 10) /* bytes of hashes in one message */
#define GIVING_IDLE_MS 30000       /* who takes nothing for so long is let go */
#define ASK_IDLE_MS    10000       /* who gives nothing for so long is not asked on */
#define ROUND_MS       1000        /* between asking all peers and asking them again */

/* Hashes on their way to a peer. */
struct giving {
    struct access *access;
    struct giving *next;
    uint64_t stream;
    struct pubkey to;
    FILE *file;
    struct timer timer;
};

struct fetching {
    struct access *access;
    struct fetching *next;
    struct data_facts facts;
    access_done_fn done;
    void *arg;
    struct pubkey *peer; /* of this round */
    size_t peers_n, peers_room, asked;
    uint64_t stream; /* 0: none is asked */
    struct buf got;
    struct timer timer;
    uint64_t until_ms;
    enum err e; /* of checking what came, on a thread */
    struct note note;
};

struct access {
    struct access_options o;
    char *home;
    struct giving *giving;
    unsigned giving_n;
    struct fetching *fetching;
};

/* -- giving -- */

static void giving_free(struct giving *g)
{
    struct access *a = g->access;
    for (struct giving **at = &a->giving; *at; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            a->giving_n--;
            break;
        }
    host_timer_cancel(a->o.host, &g->timer);
    fclose(g->file);
    free(g);
}

static void giving_end(struct giving *g, enum err e, const char *why)
{
    streams_close(g->access->o.streams, g->stream, e, why);
    giving_free(g);
}

static void giving_idle(void *arg)
{
    giving_end(arg, ERR_TIMEOUT, "nothing was taken for too long");
}

static void give(void *arg)
{
    struct giving *g = arg;
    uint8_t *piece = mem_new(PIECE);
    size_t n;
    enum err e = ERR_OK;
    while (e == ERR_OK && (n = fread(piece, 1, PIECE, g->file)) > 0) {
        e = streams_send(g->access->o.streams, g->stream, bytes_of(piece, n));
        if (e == ERR_BUSY && fseeko(g->file, -(off_t)n, SEEK_CUR) != 0)
            e = ERR_IO;
    }
    free(piece);
    if (e == ERR_BUSY)
        host_timer_set(g->access->o.host, &g->timer, GIVING_IDLE_MS, giving_idle, g);
    else
        giving_end(g, e, e == ERR_OK ? "" : "cannot send");
}

static void giving_ready(void *arg, uint64_t stream)
{
    (void)stream;
    give(arg);
}

static void giving_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    (void)stream, (void)reason, (void)text;
    giving_free(arg);
}

/* Whoever asks says nothing more. */
static void giving_data(void *arg, uint64_t stream, struct bytes message)
{
    (void)stream, (void)message;
    giving_end(arg, ERR_PROTOCOL, "nothing is to be said here");
}

static const struct stream_calls giving_calls = {.data = giving_data, .ready = giving_ready, .closed = giving_closed};

static enum err on_asked(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                         const struct stream_calls **calls, void **calls_arg)
{
    struct access *a = arg;
    struct hash root;
    if (body.n != sizeof root.b)
        return ERR_FORMAT;
    memcpy(root.b, body.p, sizeof root.b);
    for (struct giving *g = a->giving; g; g = g->next)
        if (pubkey_equal(&g->to, from))
            return ERR_BUSY;
    if (a->giving_n >= ACCESS_GIVING_MAX)
        return ERR_BUSY;
    char *path = data_plain_path(a->home, &root);
    FILE *file = fopen(path, "rbe");
    free(path);
    if (!file)
        return ERR_NOT_FOUND;
    struct giving *g = mem_new(sizeof *g);
    *g = (struct giving){.access = a, .next = a->giving, .stream = stream, .to = *from, .file = file};
    a->giving = g;
    a->giving_n++;
    host_timer_set(a->o.host, &g->timer, 0, give, g);
    *calls = &giving_calls;
    *calls_arg = g;
    return ERR_OK;
}

/* -- fetching -- */

static const struct stream_calls asking_calls;
static void ask_next(struct fetching *x);

static void fetching_free(struct fetching *x)
{
    struct access *a = x->access;
    for (struct fetching **at = &a->fetching; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    if (x->stream)
        streams_close(a->o.streams, x->stream, ERR_OK, "");
    host_timer_cancel(a->o.host, &x->timer);
    buf_clear(&x->got);
    free(x->peer);
    free(x);
}

static void fetched(struct fetching *x, enum err e, const struct note *note)
{
    x->done(x->arg, e, note);
    fetching_free(x);
}

static void add_peer(void *arg, const struct peers_info *info)
{
    struct fetching *x = arg;
    if (!info->up)
        return;
    if (x->peers_n == x->peers_room) {
        x->peers_room = x->peers_room ? 2 * x->peers_room : 16;
        x->peer = mem_resize(x->peer, x->peers_room, sizeof *x->peer);
    }
    x->peer[x->peers_n++] = info->key;
}

static void give_up_on(struct fetching *x)
{
    if (x->stream)
        streams_close(x->access->o.streams, x->stream, ERR_OK, "");
    x->stream = 0;
    buf_reset(&x->got);
    ask_next(x);
}

static void ask_idle(void *arg)
{
    give_up_on(arg);
}

/* All that are up, from the first on. */
static void ask_all(void *arg)
{
    struct fetching *x = arg;
    x->asked = x->peers_n = 0;
    peers_list(x->access->o.peers, add_peer, x);
    ask_next(x);
}

/* The next peer; behind the last all of them again after a pause, until the time is over. */
static void ask_next(struct fetching *x)
{
    struct access *a = x->access;
    while (x->asked < x->peers_n) {
        const struct pubkey *to = &x->peer[x->asked++];
        if (streams_open(a->o.streams, to, NULL, STREAM_HASHES,
                         bytes_of(x->facts.plain_root.b, sizeof x->facts.plain_root.b), &asking_calls, x,
                         &x->stream) != ERR_OK)
            continue;
        host_timer_set(a->o.host, &x->timer, ASK_IDLE_MS, ask_idle, x);
        return;
    }
    if (host_now_ms(a->o.host) < x->until_ms) {
        host_timer_set(a->o.host, &x->timer, ROUND_MS, ask_all, x);
        return;
    }
    struct note note;
    fetched(x,
            note_set(&note, ERR_TIMEOUT,
                     "no peer has the hashes of the plain data, without which a wrong key could not be proven: its "
                     "contributor's node must be online"),
            &note);
}

static void check_work(void *arg)
{
    struct fetching *x = arg;
    const size_t n = merkle_leaves(x->facts.size);
    struct hash *leaves = mem_array(n, sizeof *leaves);
    memcpy(leaves, x->got.p, n * sizeof *leaves);
    x->e = data_plain_write(x->access->home, &x->facts, leaves, &x->note);
    free(leaves);
}

static void check_done(void *arg)
{
    struct fetching *x = arg;
    if (x->e == ERR_MISMATCH)
        give_up_on(x); /* the next one may have better ones */
    else
        fetched(x, x->e, &x->note);
}

static size_t hashes_bytes(const struct fetching *x)
{
    return merkle_leaves(x->facts.size) * sizeof(struct hash);
}

static void asking_data(void *arg, uint64_t stream, struct bytes message)
{
    struct fetching *x = arg;
    (void)stream;
    if (message.n == 0 || message.n > hashes_bytes(x) - x->got.n) {
        give_up_on(x);
        return;
    }
    buf_add(&x->got, message.p, message.n);
    host_timer_set(x->access->o.host, &x->timer, ASK_IDLE_MS, ask_idle, x);
}

static void asking_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct fetching *x = arg;
    (void)stream, (void)text;
    x->stream = 0;
    host_timer_cancel(x->access->o.host, &x->timer);
    if (reason == ERR_OK && x->got.n == hashes_bytes(x))
        host_submit(x->access->o.host, check_work, check_done, x);
    else
        give_up_on(x);
}

static const struct stream_calls asking_calls = {.data = asking_data, .closed = asking_closed};

static void on_pulled(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct fetching *x = arg;
    struct blobs_info info;
    struct hash *leaves;
    struct note why;
    if (e == ERR_OK && (!blobs_find(x->access->o.blobs, root, &info) || info.size != x->facts.size))
        e = note_set(&why, ERR_MISMATCH, "the blob has another size than the ledger says: this data cannot be bought");
    else if (e == ERR_OK && data_plain_read(x->access->home, &x->facts, &leaves, NULL) == ERR_OK)
        free(leaves);
    else if (e == ERR_OK) {
        x->until_ms = host_now_ms(x->access->o.host) + ACCESS_HASHES_MS;
        ask_all(x);
        return;
    }
    fetched(x, e, e == ERR_MISMATCH ? &why : note);
}

void access_fetch(struct access *a, const struct data_facts *f, access_done_fn done, void *arg)
{
    struct fetching *x = mem_new(sizeof *x);
    *x = (struct fetching){.access = a, .next = a->fetching, .facts = *f, .done = done, .arg = arg};
    a->fetching = x;
    blobs_pull(a->o.blobs, BLOB_DATA, &f->cipher_root, on_pulled, x);
}

/* -- keys -- */

static char *secret_path(const struct access *a, const struct pubkey *key)
{
    char hex[65];
    struct buf b = {0};
    hex_put(hex, key->b, sizeof key->b);
    buf_add_format(&b, "%s/data/%s.once", a->home, hex);
    char *path = mem_string(buf_text(&b));
    buf_clear(&b);
    return path;
}

enum err access_key_new(struct access *a, struct pubkey *out, struct note *note)
{
    struct seckey secret;
    do
        host_random(a->o.host, secret.b, sizeof secret.b);
    while (!key_is_valid(&secret));
    key_derive(&secret, out);
    char *path = secret_path(a, out);
    enum err e = file_write(path, 0600, bytes_of(secret.b, sizeof secret.b), note);
    secret_wipe(&secret, sizeof secret);
    free(path);
    return e;
}

static enum err secret_read(const struct access *a, const struct pubkey *key, struct seckey *out, struct note *note)
{
    struct buf raw = {0};
    struct pubkey own;
    char *path = secret_path(a, key);
    enum err e = file_read(path, sizeof out->b, &raw, note);
    if (e == ERR_OK && raw.n == sizeof out->b)
        memcpy(out->b, raw.p, sizeof out->b);
    if (e == ERR_OK && (raw.n != sizeof out->b || !key_is_valid(out)))
        e = ERR_CORRUPT;
    if (e == ERR_OK) {
        key_derive(out, &own);
        e = pubkey_equal(&own, key) ? ERR_OK : ERR_CORRUPT;
    }
    if (e == ERR_CORRUPT)
        note_set(note, e, "%s is not the secret that its name says: its disk changed it", path);
    if (raw.p)
        secret_wipe(raw.p, raw.n);
    buf_clear(&raw);
    free(path);
    return e;
}

bool access_has_secret(const struct access *a, const struct pubkey *key)
{
    char *path = secret_path(a, key);
    bool is_there = access(path, R_OK) == 0;
    free(path);
    return is_there;
}

static struct data_facts facts_of(const struct rec_data *d)
{
    return (struct data_facts){.cipher_root = d->cipher_root, .plain_root = d->plain_root, .size = d->size};
}

/* Does the key open the first leaf? A disk that changed a key must not cost its owner a bond. */
static enum err try_key(struct access *a, const struct data_facts *f, const uint8_t key[DATA_KEY_SIZE],
                        struct note *note)
{
    struct hash *leaves;
    int fd;
    uint8_t leaf[LEAF_SIZE];
    const uint32_t n = merkle_leaf_size(f->size, 0);
    enum err e = data_plain_read(a->home, f, &leaves, note);
    if (e != ERR_OK)
        return e;
    e = blobs_fd(a->o.blobs, &f->cipher_root, &fd, note);
    if (e == ERR_OK) {
        if (pread(fd, leaf, n, 0) != (ssize_t)n)
            e = note_set(note, ERR_IO, "the encrypted data cannot be read");
        close(fd);
    }
    if (e == ERR_OK) {
        seal_stream(leaf, key, 0, leaf, n);
        struct hash h = data_leaf_hash(key, 0, leaf, n);
        if (!hash_equal(&h, &leaves[0]))
            e = note_set(note, ERR_CORRUPT,
                         "the key that is here does not open the data: its disk changed it, put back a copy of it");
        secret_wipe(leaf, sizeof leaf);
    }
    free(leaves);
    return e;
}

enum err access_seal(struct access *a, const struct rec_grant *g, struct buf *sealed, struct note *note)
{
    struct rec_data d;
    struct seckey ephemeral;
    uint8_t key[DATA_KEY_SIZE];
    if (!ledger_data(a->o.ledger, &g->data, &d))
        return note_set(note, ERR_NOT_FOUND, "the data of this grant is not on the ledger");
    const struct data_facts f = facts_of(&d);
    enum err e = data_key_read(a->home, &g->data, key, note);
    if (e == ERR_NOT_FOUND)
        return note_set(note, e, "the key of %s is not on this node: release it from the node that encrypted the data",
                        d.name.s);
    if (e == ERR_OK)
        e = try_key(a, &f, key, note);
    if (e == ERR_OK) {
        do
            host_random(a->o.host, ephemeral.b, sizeof ephemeral.b);
        while (!key_is_valid(&ephemeral));
        if (!seal_to_key(sealed, &g->key, &ephemeral, key, sizeof key))
            e = note_set(note, ERR_FORMAT, "the buyer's key is no key");
        secret_wipe(&ephemeral, sizeof ephemeral);
    }
    secret_wipe(key, sizeof key);
    return e;
}

/* -- released keys -- */

struct checking {
    struct access *access;
    struct hash data;
    uint8_t key[DATA_KEY_SIZE];
    access_verdict_fn done;
    void *arg;
};

static void verdict(struct checking *x, enum err e, bool fits, struct bytes dispute, const struct note *note)
{
    x->done(x->arg, e, fits, dispute, note);
    secret_wipe(x->key, sizeof x->key);
    free(x);
}

static void on_opened(void *arg, enum err e, const struct data_opened *o, const struct note *note)
{
    struct checking *x = arg;
    struct note why = *note;
    if (e == ERR_OK && o->fits)
        e = data_key_write(x->access->home, &x->data, x->key, &why);
    verdict(x, e, e == ERR_OK && o->fits, bytes_of_buf(&o->dispute), &why);
}

/* The sealed key does not open at all: then the secret is all the proof. */
static void refuse_sealed(struct checking *x, const struct rec_grant *g, const struct seckey *secret)
{
    struct buf body = {0};
    struct tx_data_dispute d = {.grant = g->id};
    memcpy(d.secret.b, secret->b, sizeof d.secret.b);
    tx_data_dispute_put(&body, &d);
    verdict(x, ERR_OK, false, bytes_of_buf(&body), &(struct note){{0}});
    buf_clear(&body);
}

static void open_released(struct checking *x, const struct rec_grant *g, const struct rec_data *d,
                          const struct seckey *secret)
{
    struct buf plain = {0};
    if (!seal_open(&plain, secret, g->sealed.p, g->sealed.n) || plain.n != DATA_KEY_SIZE) {
        buf_clear(&plain);
        refuse_sealed(x, g, secret);
        return;
    }
    struct data_opening o = {.facts = facts_of(d), .proves = true, .grant = g->id, .secret = *secret};
    memcpy(x->key, plain.p, sizeof x->key);
    memcpy(o.key, plain.p, sizeof o.key);
    secret_wipe(plain.p, plain.n);
    buf_clear(&plain);
    data_open(x->access->o.host, x->access->o.blobs, x->access->home, &o, on_opened, x);
    secret_wipe(&o, sizeof o);
}

void access_check(struct access *a, const struct rec_grant *g, access_verdict_fn done, void *arg)
{
    struct checking *x = mem_new(sizeof *x);
    struct rec_data d;
    struct seckey secret;
    struct note note = {{0}};
    *x = (struct checking){.access = a, .data = g->data, .done = done, .arg = arg};
    enum err e = ERR_OK;
    if (g->state != GRANT_RELEASED)
        e = note_set(&note, ERR_STATE, "no key is released for this grant%s",
                     g->state == GRANT_PAID ? " any more: its time to be disputed is over" : " yet");
    else if (!ledger_data(a->o.ledger, &g->data, &d))
        e = note_set(&note, ERR_NOT_FOUND, "the data of this grant is not on the ledger");
    else if ((e = secret_read(a, &g->key, &secret, &note)) == ERR_NOT_FOUND)
        (void)note_set(&note, e, "the secret for this grant is on the node that it was bought from, not here");
    if (e != ERR_OK) {
        verdict(x, e, false, (struct bytes){0}, &note);
        return;
    }
    open_released(x, g, &d, &secret);
    secret_wipe(&secret, sizeof secret);
}

static void on_own(void *arg, enum err e, bool fits, struct bytes dispute, const struct note *note)
{
    (void)arg, (void)dispute;
    if (e != ERR_OK)
        log_event(LOG_ODD, "access", "released key not checked", "why=%s", note->text);
    else if (fits)
        log_event(LOG_INFO, "access", "released key kept", "fits=yes");
    else
        log_event(LOG_ODD, "access", "released key does not open the data",
                  "remedy=`kith data get` disputes it, while there is time");
}

/* If it is for us. */
static void take_released(struct access *a, const struct rec_grant *g)
{
    uint8_t key[DATA_KEY_SIZE];
    if (g->state != GRANT_RELEASED || !access_has_secret(a, &g->key) ||
        data_key_read(a->home, &g->data, key, NULL) == ERR_OK)
        return;
    access_check(a, g, on_own, NULL);
}

void access_on_event(struct access *a, const struct ledger_event *e)
{
    struct rec_grant g;
    if (e->kind == LEDGER_KEY_RELEASED && ledger_grant(a->o.ledger, &e->id, &g))
        take_released(a, &g);
}

/* -- the whole -- */

struct access *access_new(const struct access_options *o)
{
    struct access *a = mem_new(sizeof *a);
    struct rec_grant g;
    struct hash last;
    *a = (struct access){.o = *o, .home = mem_string(o->home)};
    streams_on(o->streams, STREAM_HASHES, on_asked, a);
    for (const struct hash *after = NULL; ledger_grant_next(o->ledger, after, &g); after = &last) {
        last = g.id;
        take_released(a, &g);
    }
    return a;
}

void access_free(struct access *a)
{
    if (!a)
        return;
    while (a->giving)
        giving_end(a->giving, ERR_CLOSED, "the node stops");
    while (a->fetching)
        fetching_free(a->fetching);
    free(a->home);
    free(a);
}

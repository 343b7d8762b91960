/* Hashes of plain leaves, from node to node: giving those that are here, and fetching those of a set that is to be
 * bought, behind its ciphertext. */
#include "node/data/access_in.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum err access_on_asked(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
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

/* -- the end -- */

void access_hashes_stop(struct access *a)
{
    while (a->giving)
        giving_end(a->giving, ERR_CLOSED, "the node stops");
    while (a->fetching)
        fetching_free(a->fetching);
}

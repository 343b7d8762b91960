/* Access to data: one-time keys, keys sealed for buyers, released keys. */
#include "node/data/access_in.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/secret.h"
#include "chain/market_records.h"
#include "chain/tx.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    const struct data_facts f = data_facts_of(&d);
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
    struct data_opening o = {.facts = data_facts_of(d), .proves = true, .grant = g->id, .secret = *secret};
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

static bool is_here(const struct access *a, const struct rec_grant *g)
{
    uint8_t key[DATA_KEY_SIZE];
    bool here = data_key_read(a->home, &g->data, key, NULL) == ERR_OK;
    secret_wipe(key, sizeof key);
    return here;
}

/* If it is for us. */
static void take_released(struct access *a, const struct rec_grant *g)
{
    if (g->state != GRANT_RELEASED || !access_has_secret(a, &g->key) || is_here(a, g))
        return;
    access_check(a, g, on_own, NULL);
}

void access_on_event(struct access *a, const struct ledger_event *e)
{
    struct rec_grant g;
    if (e->kind == LEDGER_KEY_RELEASED && ledger_grant(a->o.ledger, &e->id, &g))
        take_released(a, &g);
}

bool access_waits(const struct access *a)
{
    struct rec_grant g;
    struct hash last;
    for (const struct hash *after = NULL; ledger_grant_next(a->o.ledger, after, &g); after = &last) {
        last = g.id;
        if (g.state == GRANT_OPEN && access_has_secret(a, &g.key) && !is_here(a, &g))
            return true;
    }
    return false;
}

/* -- the whole -- */

struct access *access_new(const struct access_options *o)
{
    struct access *a = mem_new(sizeof *a);
    struct rec_grant g;
    struct hash last;
    *a = (struct access){.o = *o, .home = mem_string(o->home)};
    streams_on(o->streams, STREAM_HASHES, access_on_asked, a);
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
    access_hashes_stop(a);
    free(a->home);
    free(a);
}

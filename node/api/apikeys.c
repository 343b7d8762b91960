#include "node/api/apikeys.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(apikey, APIKEY_FIELDS)

#define FILE_BYTES_MAX (256u << 10) /* each key is at most 160 bytes */

static const char mark[] = "kith_";

/* A job that is not over, paid for by a key. */
struct charge {
    struct apikeys *owner;
    struct charge *next;
    struct job_watch *watch;
    struct hash key;
    struct amount taken;
};

struct apikeys {
    struct host *host;
    char *path;
    struct apikey key[APIKEYS_MAX];
    size_t n;
    struct charge *charges;
};

/* -- the file: the keys, then a hash of them -- */

static enum err save(struct apikeys *a, struct note *note)
{
    struct buf b = {0};
    for (size_t i = 0; i < a->n; i++)
        apikey_put(&b, &a->key[i]);
    struct hash check = hash_once(HASH_FILE, b.p, b.n);
    buf_add(&b, check.b, sizeof check.b);
    enum err e = host_write(a->host, a->path, 0600, bytes_of_buf(&b), note);
    buf_clear(&b);
    return e;
}

static enum err load(struct apikeys *a, struct bytes raw, struct note *note)
{
    struct cursor c = cursor_of(bytes_of(raw.p, raw.n < HASH_SIZE ? 0 : raw.n - HASH_SIZE));
    struct hash check = hash_once(HASH_FILE, raw.p, c.n);
    bool good = raw.n >= HASH_SIZE && memcmp(check.b, raw.p + c.n, HASH_SIZE) == 0;
    while (good && cursor_ok(&c) && c.n > 0 && a->n < APIKEYS_MAX)
        apikey_get(&c, &a->key[a->n++]);
    if (good && cursor_end(&c))
        return ERR_OK;
    return note_set(note, ERR_CORRUPT, "%.200s is damaged: remove it, and make the keys again with `kith key new`",
                    a->path);
}

enum err apikeys_open(struct host *host, const char *path, struct apikeys **out, struct note *note)
{
    struct apikeys *a = mem_new(sizeof *a);
    struct buf raw = {0};
    a->host = host;
    a->path = mem_string(path);
    enum err e = host_read(host, path, FILE_BYTES_MAX, &raw, note);
    e = e == ERR_NOT_FOUND ? ERR_OK : e == ERR_OK ? load(a, bytes_of_buf(&raw), note) : e;
    buf_clear(&raw);
    if (e != ERR_OK) {
        apikeys_close(a);
        return e;
    }
    *out = a;
    return ERR_OK;
}

static void charge_free(struct charge *c)
{
    for (struct charge **at = &c->owner->charges; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    free(c);
}

void apikeys_close(struct apikeys *a)
{
    if (!a)
        return;
    while (a->charges) {
        jobs_unwatch(a->charges->watch);
        charge_free(a->charges);
    }
    free(a->path);
    free(a);
}

/* -- keys -- */

static struct hash hash_of(const char *text)
{
    return hash_once(HASH_APIKEY, text, strlen(text));
}

static struct apikey *find(struct apikeys *a, const struct hash *hash)
{
    for (size_t i = 0; i < a->n; i++)
        if (hash_equal(&a->key[i].hash, hash))
            return &a->key[i];
    return NULL;
}

enum err apikeys_add(struct apikeys *a, const char *name, unsigned scopes, const struct amount *cap,
                     char text[APIKEY_TEXT_ROOM], struct note *note)
{
    struct apikey k = {.scopes = (uint8_t)scopes, .capped = cap != NULL, .made_ms = host_wall_ms(a->host)};
    uint8_t secret[32];
    if (a->n == APIKEYS_MAX)
        return note_set(note, ERR_LIMIT, "there are %d keys already: remove one with `kith key rm`", APIKEYS_MAX);
    if (!text64_set(&k.name, name))
        return note_set(note, ERR_FORMAT, "the name must be plain text of at most 64 bytes");
    if (cap)
        k.cap = *cap;
    host_random(a->host, secret, sizeof secret);
    memcpy(text, mark, sizeof mark - 1);
    hex_put(text + sizeof mark - 1, secret, sizeof secret);
    k.hash = hash_of(text);
    a->key[a->n++] = k;
    enum err e = save(a, note);
    if (e != ERR_OK)
        a->n--;
    return e;
}

enum err apikeys_remove(struct apikeys *a, const char *id, struct note *note)
{
    char hex[65];
    size_t n = strlen(id), i = 0;
    for (; i < a->n; i++) {
        hex_put(hex, a->key[i].hash.b, HASH_SIZE);
        if (n >= APIKEY_ID_ROOM - 1 && n <= 64 && strncmp(hex, id, n) == 0)
            break;
    }
    if (i == a->n)
        return note_set(note, ERR_NOT_FOUND, "no key has the id \"%.64s\": `kith key ls` lists them", id);
    struct apikey gone = a->key[i];
    a->key[i] = a->key[--a->n];
    enum err e = save(a, note);
    if (e != ERR_OK)
        a->key[a->n++] = gone;
    return e;
}

const struct apikey *apikeys_get(const struct apikeys *a, const struct hash *hash)
{
    for (size_t i = 0; i < a->n; i++)
        if (hash_equal(&a->key[i].hash, hash))
            return &a->key[i];
    return NULL;
}

const struct apikey *apikeys_find(const struct apikeys *a, const char *text)
{
    struct hash h = hash_of(text);
    return apikeys_get(a, &h);
}

bool apikeys_looks_like_key(const char *text)
{
    return strncmp(text, mark, sizeof mark - 1) == 0;
}

void apikeys_id(const struct apikey *k, char id[APIKEY_ID_ROOM])
{
    hex_put(id, k->hash.b, (APIKEY_ID_ROOM - 1) / 2);
}

void apikeys_each(const struct apikeys *a, apikeys_fn fn, void *arg)
{
    for (size_t i = 0; i < a->n; i++)
        fn(arg, &a->key[i]);
}

/* -- spending -- */

struct amount apikeys_left(const struct apikey *k)
{
    struct amount left = {0};
    if (!k->capped)
        return amount_of(UINT64_MAX);
    return amount_sub(&left, k->cap, k->spent) ? left : amount_of(0);
}

static void on_job(void *arg, const struct job_view *v)
{
    struct charge *c = arg;
    struct apikey *k = find(c->owner, &c->key);
    struct amount rest, spent;
    if (v->state < JOB_DONE)
        return;
    /* A key that is gone has nothing to give back to. */
    if (k && amount_sub(&rest, c->taken, v->cost) && rest.mote && amount_sub(&spent, k->spent, rest)) {
        k->spent = spent;
        (void)!save(c->owner, NULL); /* on a full disk it stays taken */
    }
    charge_free(c);
}

enum err apikeys_charge(struct apikeys *a, const struct hash *key, struct jobs *jobs, const struct hash *job,
                        struct amount most, struct note *note)
{
    struct apikey *k = find(a, key);
    struct job_view v;
    char id[APIKEY_ID_ROOM], left[AMOUNT_TEXT_ROOM];
    if (!k || !k->capped || !jobs_find(jobs, job, &v) || v.is_local)
        return ERR_OK;
    if (most.mote == 0 || amount_compare(apikeys_left(k), most) < 0) {
        apikeys_id(k, id);
        amount_print(apikeys_left(k), left);
        return note_set(note, ERR_FUNDS, "the key %s has %s KITH left, too little for this", id, left);
    }
    struct amount before = k->spent;
    CHECK(amount_add(&k->spent, k->spent, most));
    enum err e = save(a, note);
    if (e != ERR_OK) {
        k->spent = before;
        return e;
    }
    struct charge *c = mem_new(sizeof *c);
    *c = (struct charge){.owner = a, .next = a->charges, .key = *key, .taken = most};
    a->charges = c;
    c->watch = jobs_watch(jobs, job, on_job, c);
    return ERR_OK;
}

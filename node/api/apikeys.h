/* Keys of the HTTP API: who may ask for what from elsewhere than this machine, and for how much. What one key's holder
 * asked is nobody else's, but the node's user's.
 *
 * A key is "kith_" and 64 hexadecimal digits, shown once, when it is made; its hash is kept, in HOME/keys (mode 0600,
 * written whole and synced). A key with a cap pays for no more than that in all: what a job may cost at most is taken
 * before it starts, and what it did not cost given back when it is over. Over a restart of the node in between it stays
 * taken: rather too little can be spent than too much. */
#ifndef KITH_NODE_APIKEYS_H
#define KITH_NODE_APIKEYS_H

#include "base/codec.h"
#include "node/host/host.h"
#include "node/market/jobs.h"

#define APIKEY_TEXT_ROOM (5 + 64 + 1)
#define APIKEY_ID_ROOM   (8 + 1)

enum apikeys_scope {
    APIKEY_USE = 1,  /* ask models: /v1, jobs, tasks */
    APIKEY_READ = 2, /* look: chain, accounts, models, peers, metrics */
    APIKEY_POST = 4, /* hand in signed transactions */
    APIKEY_ALL = 7,
};

#define APIKEY_FIELDS(F)                                                                                               \
    F(hash, hash) F(text64, name) F(u8, scopes) F(flag, capped) F(amount, cap) F(amount, spent) F(u64, made_ms)
RECORD_DECLARE(apikey, APIKEY_FIELDS)

struct apikeys;

/* ERR_CORRUPT for a file that was not written as it stands: better no node than one that lets anybody in. */
enum err apikeys_open(struct host *host, const char *path, struct apikeys **out, struct note *note) MUST_USE;
/* Before the jobs are closed. NULL is fine. */
void apikeys_close(struct apikeys *a);

/* A new key; its text is nowhere else. ERR_LIMIT: there are APIKEYS_MAX; ERR_FORMAT: the name. */
enum err apikeys_add(struct apikeys *a, const char *name, unsigned scopes, const struct amount *cap,
                     char text[APIKEY_TEXT_ROOM], struct note *note) MUST_USE;
/* By the first digits of its hash, at least 8 of them. ERR_NOT_FOUND. */
enum err apikeys_remove(struct apikeys *a, const char *id, struct note *note) MUST_USE;
/* The key with that text, or NULL. Borrowed until keys come or go. */
const struct apikey *apikeys_find(const struct apikeys *a, const char *text);
/* The key with that hash, or NULL, borrowed the same. */
const struct apikey *apikeys_get(const struct apikeys *a, const struct hash *hash);
bool apikeys_looks_like_key(const char *text);
/* The first digits of its hash, by which people name it. */
void apikeys_id(const struct apikey *k, char id[APIKEY_ID_ROOM]);
typedef void (*apikeys_fn)(void *arg, const struct apikey *k);
void apikeys_each(const struct apikeys *a, apikeys_fn fn, void *arg);

/* What it may still cost; all there is of one without a cap. */
struct amount apikeys_left(const struct apikey *k);
/* Takes `most` from the key for a job that was just made, and gives back the rest when it is over. ERR_FUNDS when the
 * cap does not hold it: cancel the job. A job on this machine costs nothing. */
enum err apikeys_charge(struct apikeys *a, const struct hash *key, struct jobs *jobs, const struct hash *job,
                        struct amount most, struct note *note) MUST_USE;

#endif

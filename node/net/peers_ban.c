/* Whom this node has nothing to do with: peers that broke the protocol, for a while, and those that its owner keeps
 * out, until he says otherwise. The owner's are in HOME/peers.bans, a checksum behind them, written before they hold.
 */
#include "node/net/peers_in.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(peer_kept_out, PEER_KEPT_OUT_FIELDS)

#define FILE_MAX (PEERS_KEPT_OUT_MAX * 128u)

static struct peer_kept_out *find(const struct peers *p, const struct pubkey *key)
{
    for (unsigned i = 0; i < p->kept_out_n; i++)
        if (pubkey_equal(&p->kept_out[i].key, key))
            return &p->kept_out[i];
    return NULL;
}

bool peers_is_kept_out(const struct peers *p, const struct pubkey *key)
{
    return find(p, key) != NULL;
}

bool peers_is_banned(const struct peers *p, const struct pubkey *key)
{
    uint64_t now_ms = host_now_ms(p->host);
    for (unsigned i = 0; i < PEER_BANS_MAX; i++)
        if (p->bans[i].until_ms > now_ms && pubkey_equal(&p->bans[i].key, key))
            return true;
    return find(p, key) != NULL;
}

void peers_ban_for_a_while(struct peers *p, const struct pubkey *key)
{
    struct ban *b = &p->bans[p->bans_next];
    p->bans_next = (p->bans_next + 1) % PEER_BANS_MAX;
    *b = (struct ban){*key, host_now_ms(p->host) + PEER_BAN_MS};
}

/* -- the owner's -- */

static enum err store(struct peers *p, const struct peer_kept_out *list, unsigned n, struct note *note)
{
    struct buf out = {0};
    if (!p->bans_path)
        return ERR_OK;
    for (unsigned i = 0; i < n; i++)
        peer_kept_out_put(&out, &list[i]);
    const struct hash sum = hash_once(HASH_FILE, out.p, out.n);
    buf_add(&out, sum.b, sizeof sum.b);
    enum err e = host_write(p->host, p->bans_path, 0600, bytes_of_buf(&out), note);
    buf_clear(&out);
    return e;
}

/* The list in what was stored; false: it is no such, whole. */
static bool take(struct peers *p, struct bytes raw)
{
    if (raw.n < HASH_SIZE)
        return false;
    struct cursor c = cursor_of(bytes_of(raw.p, raw.n - HASH_SIZE));
    const struct hash sum = hash_once(HASH_FILE, c.p, c.n);
    if (memcmp(sum.b, raw.p + c.n, HASH_SIZE) != 0)
        return false;
    while (cursor_ok(&c) && c.n && p->kept_out_n < PEERS_KEPT_OUT_MAX) {
        p->kept_out = mem_resize(p->kept_out, p->kept_out_n + 1, sizeof *p->kept_out);
        peer_kept_out_get(&c, &p->kept_out[p->kept_out_n]);
        p->kept_out_n += cursor_ok(&c);
    }
    return cursor_end(&c);
}

/* What cannot be read is not started with: whoever was kept out would be let in. */
enum err peers_bans_load(struct peers *p, struct note *note)
{
    struct buf in = {0};
    if (!p->bans_path)
        return ERR_OK;
    enum err e = host_read(p->host, p->bans_path, FILE_MAX, &in, note);
    if (e == ERR_OK && !take(p, bytes_of_buf(&in)))
        e = note_set(note, ERR_CORRUPT, "%s is damaged: remove it, and say again who is kept out with kith peer ban",
                     p->bans_path);
    buf_clear(&in);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

void peers_bans_clear(struct peers *p)
{
    free(p->kept_out);
    free(p->bans_path);
}

enum err peers_ban(struct peers *p, const struct pubkey *key, const char *reason, struct note *note)
{
    struct peer_kept_out out = {.key = *key, .since_ms = host_wall_ms(p->host)};
    const struct peer_kept_out *old = find(p, key);
    const unsigned n = p->kept_out_n + !old;
    if (pubkey_equal(key, &p->self))
        return note_set(note, ERR_FORMAT, "that is this node itself");
    if (!text64_set(&out.reason, reason))
        return note_set(note, ERR_FORMAT, "a reason has at most 64 bytes of plain text");
    if (n > PEERS_KEPT_OUT_MAX)
        return note_set(note, ERR_FULL, "%u nodes are kept out already, no more are kept: kith peer unban",
                        PEERS_KEPT_OUT_MAX);
    struct peer_kept_out *list = mem_array(n, sizeof *list);
    for (unsigned i = 0; i < p->kept_out_n; i++)
        list[i] = p->kept_out[i];
    list[old ? (unsigned)(old - p->kept_out) : n - 1] = out;
    enum err e = store(p, list, n, note);
    if (e != ERR_OK) {
        free(list);
        return e;
    }
    free(p->kept_out);
    p->kept_out = list;
    p->kept_out_n = n;
    peers_drop(p, key, ERR_REFUSED, "kept out by the owner of this node");
    return ERR_OK;
}

enum err peers_unban(struct peers *p, const struct pubkey *key, struct note *note)
{
    const struct peer_kept_out *old = find(p, key);
    if (!old)
        return note_set(note, ERR_NOT_FOUND, "that node is not kept out: kith peer ls lists those that are");
    struct peer_kept_out was = *old;
    unsigned at = (unsigned)(old - p->kept_out);
    p->kept_out[at] = p->kept_out[--p->kept_out_n];
    enum err e = store(p, p->kept_out, p->kept_out_n, note);
    if (e != ERR_OK) {
        p->kept_out[p->kept_out_n++] = p->kept_out[at];
        p->kept_out[at] = was;
        return e;
    }
    peers_dial_soon(p);
    return ERR_OK;
}

void peers_bans(const struct peers *p, peers_ban_fn fn, void *arg)
{
    for (unsigned i = 0; i < p->kept_out_n; i++)
        fn(arg, &p->kept_out[i]);
}

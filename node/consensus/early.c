/* A ring: usually empty, so nothing but its places is looked through. */
#include "node/consensus/early.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdlib.h>

struct kept {
    struct pubkey signer;
    uint64_t nonce, until_ms;
    struct buf tx; /* empty: free */
};

struct early {
    struct kept kept[EARLY_MAX];
    uint32_t next, n; /* next: the oldest place */
    size_t bytes;
};

struct early *early_new(void)
{
    return mem_new(sizeof(struct early));
}

static void drop(struct early *e, struct kept *k)
{
    if (!k->tx.n)
        return;
    e->bytes -= k->tx.n;
    buf_clear(&k->tx);
    e->n--;
}

void early_free(struct early *e)
{
    for (uint32_t i = 0; e && i < EARLY_MAX; i++)
        buf_clear(&e->kept[i].tx);
    free(e);
}

static struct kept *find(struct early *e, const struct pubkey *signer, uint64_t nonce)
{
    for (uint32_t i = 0; e->n && i < EARLY_MAX; i++)
        if (e->kept[i].tx.n && e->kept[i].nonce == nonce && pubkey_equal(&e->kept[i].signer, signer))
            return &e->kept[i];
    return NULL;
}

static struct kept *place_for(struct early *e, size_t size)
{
    for (uint32_t i = 0; i < EARLY_MAX && e->bytes + size > EARLY_BYTES_MAX; i++)
        drop(e, &e->kept[(e->next + i) % EARLY_MAX]);
    struct kept *k = &e->kept[e->next];
    e->next = (e->next + 1) % EARLY_MAX;
    drop(e, k);
    return k;
}

void early_add(struct early *e, const struct pubkey *signer, uint64_t nonce, uint64_t next, struct bytes tx,
               uint64_t now_ms)
{
    if (nonce <= next || nonce - next > EARLY_AHEAD || !tx.n)
        return;
    struct kept *k = find(e, signer, nonce);
    if (k)
        drop(e, k); /* another one of the same nonce: the latest stays */
    k = place_for(e, tx.n);
    *k = (struct kept){.signer = *signer, .nonce = nonce, .until_ms = now_ms + EARLY_MS};
    buf_add(&k->tx, tx.p, tx.n);
    e->n++;
    e->bytes += tx.n;
}

bool early_take(struct early *e, const struct pubkey *signer, uint64_t nonce, uint64_t now_ms, struct buf *tx)
{
    struct kept *k = find(e, signer, nonce);
    bool is_good = k && k->until_ms > now_ms;
    if (is_good)
        buf_add(tx, k->tx.p, k->tx.n);
    if (k)
        drop(e, k);
    return is_good;
}

uint32_t early_count(const struct early *e)
{
    return e->n;
}

/* Headers to follow. */
#include "tests/headers.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct headers *headers_new(uint32_t validators, uint32_t every)
{
    struct headers *h = mem_new(sizeof *h);
    h->n = validators;
    h->every = every;
    h->start_ms = 1000000;
    h->step_ms = 1000;
    h->chain.b[0] = 7;
    h->state.b[0] = 9;
    for (uint32_t i = 0; i < HEADERS_POOL; i++) {
        memset(h->secret[i].b, (int)(i + 1), sizeof h->secret[i].b);
        key_derive(&h->secret[i], &h->key[i]);
    }
    h->at[0].time_ms = h->start_ms;
    return h;
}

struct valset *headers_set(const struct headers *h, uint32_t height)
{
    struct valset *s = mem_new(sizeof *s);
    struct valset_entry e[HEADERS_POOL];
    uint32_t first = h->every ? height / h->every : 0;
    for (uint32_t i = 0; i < h->n; i++) {
        uint32_t who = (first + i) % HEADERS_POOL;
        e[i] = (struct valset_entry){h->key[who], 100 + who};
    }
    CHECK(valset_init(s, e, h->n, NULL) == ERR_OK);
    return s;
}

static struct hash set_hash(const struct headers *h, uint32_t height)
{
    struct valset *s = headers_set(h, height);
    struct hash hash = valset_hash(s);
    free(s);
    return hash;
}

void headers_grow(struct headers *h, uint32_t height, uint64_t salt)
{
    CHECK(height <= HEADERS_MAX);
    while (h->height < height) {
        uint32_t at = ++h->height;
        h->at[at] = (struct header){.version = BLOCK_VERSION,
                                    .chain = h->chain,
                                    .height = at,
                                    .time_ms = h->start_ms + at * h->step_ms + salt,
                                    .prev = at > 1 ? block_id(&h->at[at - 1]) : (struct hash){{0}},
                                    .state = h->state,
                                    .validators = set_hash(h, at),
                                    .next_validators = set_hash(h, at + 1)};
    }
}

static const struct seckey *secret_of(const struct headers *h, const struct pubkey *key)
{
    for (uint32_t i = 0; i < HEADERS_POOL; i++)
        if (pubkey_equal(&h->key[i], key))
            return &h->secret[i];
    return NULL;
}

void headers_put_as(const struct headers *h, const struct header *header, const struct valset *set, uint32_t signers,
                    struct buf *out)
{
    struct buf sigs = {0}, commit = {0}, list = {0};
    struct hash id = block_id(header);
    struct vote v = {.kind = VOTE_PRECOMMIT, .height = header->height, .value = id, .valid_round = VOTE_NO_ROUND};
    struct hash what = vote_hash(&v, &h->chain);
    for (uint32_t i = 0; i < set->n && i < signers; i++) {
        struct commit_sig s = {.index = (uint16_t)i};
        const struct seckey *secret = secret_of(h, &set->v[i].key);
        if (secret)
            key_sign_hash(secret, &what, NULL, &s.sig);
        commit_sig_put(&sigs, &s);
    }
    commit_put(&commit, &(struct commit){.height = header->height, .value = id, .sigs = bytes_of_buf(&sigs)});
    light_put_validators(&list, set);
    light_block_put(out, &(struct light_block){*header, bytes_of_buf(&commit), bytes_of_buf(&list)});
    buf_clear(&sigs);
    buf_clear(&commit);
    buf_clear(&list);
}

void headers_put(const struct headers *h, uint32_t height, uint32_t signers, struct buf *out)
{
    struct valset *set = headers_set(h, height);
    headers_put_as(h, &h->at[height], set, signers, out);
    free(set);
}

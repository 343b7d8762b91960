/* Counting votes. */
#include "chain/bft_votes.h"

#include "base/mem.h"
#include "chain/block.h"

#include <stdlib.h>

static bool bit_get(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void bit_set(uint8_t *bits, uint32_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

void bft_votes_clear(struct bft_votes *v)
{
    free(v->votes);
    free(v->tallies);
    *v = (struct bft_votes){0};
}

static struct bft_tally *tally_find(const struct bft_votes *v, const struct vote *vote)
{
    for (uint32_t i = 0; i < v->tallies_n; i++)
        if (hash_equal(&v->tallies[i].value, &vote->value) && v->tallies[i].valid_round == vote->valid_round)
            return &v->tallies[i];
    return NULL;
}

bool bft_votes_has(const struct bft_votes *v, const struct vote *vote)
{
    const struct bft_tally *t = tally_find(v, vote);
    return t ? bit_get(t->voted, vote->index) : false;
}

static struct bft_tally *tally_add(struct bft_votes *v, const struct vote *vote)
{
    if (v->tallies_n == v->tallies_room) {
        v->tallies_room = v->tallies_room ? 2 * v->tallies_room : 2;
        v->tallies = mem_resize(v->tallies, v->tallies_room, sizeof *v->tallies);
    }
    struct bft_tally *t = &v->tallies[v->tallies_n++];
    *t = (struct bft_tally){.value = vote->value, .valid_round = vote->valid_round};
    return t;
}

enum bft_votes_added bft_votes_add(struct bft_votes *v, const struct valset *s, const struct vote *vote,
                                   struct vote *first)
{
    CHECK(vote->index < s->n);
    bool is_first = !bit_get(v->voted, vote->index);
    struct bft_tally *t = tally_find(v, vote);
    for (uint32_t i = 0; !is_first && i < v->n; i++)
        if (v->votes[i].index == vote->index) {
            *first = v->votes[i];
            break;
        }
    if (!t && !is_first)
        return BFT_VOTE_CONFLICT;
    if (!t)
        t = tally_add(v, vote);
    if (v->n == v->room) {
        v->room = v->room ? 2 * v->room : 4;
        v->votes = mem_resize(v->votes, v->room, sizeof *v->votes);
    }
    v->votes[v->n++] = *vote;
    bit_set(t->voted, vote->index);
    t->power += s->v[vote->index].power;
    if (!is_first)
        return BFT_VOTE_CONFLICT;
    bit_set(v->voted, vote->index);
    v->power += s->v[vote->index].power;
    return BFT_VOTE_NEW;
}

const struct bft_tally *bft_votes_quorum(const struct bft_votes *v, const struct valset *s, const struct hash *value)
{
    for (uint32_t i = 0; i < v->tallies_n; i++)
        if (hash_equal(&v->tallies[i].value, value) && valset_is_quorum(s, v->tallies[i].power))
            return &v->tallies[i];
    return NULL;
}

const struct bft_tally *bft_votes_decided(const struct bft_votes *v, const struct valset *s)
{
    for (uint32_t i = 0; i < v->tallies_n; i++)
        if (!hash_is_zero(&v->tallies[i].value) && valset_is_quorum(s, v->tallies[i].power))
            return &v->tallies[i];
    return NULL;
}

uint32_t bft_votes_sigs(const struct bft_votes *v, const struct hash *value, uint32_t valid_round, struct buf *sigs)
{
    uint32_t n = 0;
    for (uint32_t index = 0; index < VALIDATORS_MAX; index++)
        for (uint32_t i = 0; i < v->n; i++) {
            const struct vote *vote = &v->votes[i];
            if (vote->index != index || vote->valid_round != valid_round || !hash_equal(&vote->value, value))
                continue;
            commit_sig_put(sigs, &(struct commit_sig){vote->index, vote->sig});
            n++;
            break;
        }
    return n;
}

/* Claims: who published first is decided by who said so before anybody could see it.
 *
 *             claim                           publication, claim_blocks later or more
 *     (none) --------> (claimed, claim_ms) ---------------------------------------------> (none): used
 *                                         `-----------------------------------------> (none): forgotten (apply_due.c)
 *
 * A publication is for everybody to see before it is in a block, and whoever puts it into a block chooses the order. So
 * it must have been claimed: a hash of all that it says, salted, claim_blocks before. A copycat sees it in the pool at
 * the earliest, and his claim is that much too young: the publication has so many blocks to get into one. Of
 * two that were claimed early enough the first in a block wins. That cannot be a copy, for what it copied from was in
 * no pool when it was claimed; and an older claim would not have to win, since who publishes as soon as his claim
 * allows is behind nobody who learned of it later.
 *
 * A claim's time is up by the clock, but it ends by the blocks after that. What waits in a pool is seen already; were
 * it refused because the chain stood still meanwhile, its publisher and whoever copied it would claim side by side.
 *
 * The hash covers the whole body and not the root alone: under a root of no worth, claimed in time, one could otherwise
 * register the tensors or take the name that somebody else's publication shows. For the same reason a name that was
 * taken meanwhile is no failure (apply_model.c): a publication that fails has shown everything for nothing. */
#include "chain/apply.h"

#include <inttypes.h>

struct hash rec_claim_id(const struct pubkey *by, const struct hash *commit)
{
    struct hasher h;
    hash_start(&h, HASH_STATE_KEY);
    hash_add(&h, by->b, sizeof by->b);
    hash_add(&h, commit->b, sizeof commit->b);
    return hash_end(&h);
}

enum err apply_tx_claim(struct apply *a, const struct tx_claim *body)
{
    struct rec_claim known, c = {a->signer, body->commit, a->height, a->clock_ms + a->params.claim_ms, 0};
    struct hash id = rec_claim_id(&a->signer, &body->commit);
    if (a->params.claim_blocks == 0)
        return note_set(a->note, ERR_STATE, "publications need no claim on this chain");
    if (state_get_claim(a->s, &id, &known))
        return note_set(a->note, ERR_DUPLICATE, "this is claimed since block %" PRIu64 ": publish it", known.height);
    state_put_claim(a->s, &id, &c);
    state_put_due(a->s, &(struct due){c.until_ms, DUE_CLAIM, id, {a->signer, 0}});
    state_put_young(a->s, &(struct rec_young){a->height});
    return ERR_OK;
}

static bool find(const struct apply *a, const struct tx *t, struct hash *id, struct rec_claim *c)
{
    struct hash commit = tx_claim_commitment(&a->chain, &t->signer, t->kind, t->body);
    *id = rec_claim_id(&t->signer, &commit);
    return state_get_claim(a->s, id, c);
}

enum err apply_claim_use(struct apply *a, const struct tx *t)
{
    struct rec_claim c;
    struct hash id;
    if (a->params.claim_blocks == 0 || !tx_is_claimed(t->kind))
        return ERR_OK;
    if (!find(a, t, &id, &c))
        return note_set(a->note, ERR_NOT_FOUND,
                        "this publication was not claimed by its signer, or its claim is over: claim it as it is, and "
                        "publish it %" PRIu64 " blocks later",
                        a->params.claim_blocks);
    if (c.last && a->height > c.last) /* its end may wait for its turn */
        return note_set(a->note, ERR_EXPIRED, "the claim of block %" PRIu64 " is over: claim it again", c.height);
    if (a->height - c.height < a->params.claim_blocks)
        return note_set(a->note, ERR_STATE,
                        "claimed in block %" PRIu64 ": it may be published from block %" PRIu64 " on", c.height,
                        c.height + a->params.claim_blocks);
    state_remove_claim(a->s, &id);
    state_remove_due(a->s, &(struct due){c.until_ms, DUE_CLAIM, id, {c.by, 0}});
    return ERR_OK;
}

void apply_claim_due(struct apply *a, const struct hash *id)
{
    struct rec_claim c;
    CHECK(state_get_claim(a->s, id, &c));
    uint64_t from = c.height + a->params.claim_blocks;
    if (c.last == 0)
        c.last = (from > a->height ? from : a->height) + CLAIM_LAST_BLOCKS;
    if (a->height > c.last) {
        state_remove_claim(a->s, id);
        return;
    }
    c.until_ms = a->clock_ms + (c.last + 1 - a->height) * 1000; /* to be looked at again */
    state_put_claim(a->s, id, &c);
    state_put_due(a->s, &(struct due){c.until_ms, DUE_CLAIM, *id, {c.by, 0}});
}

uint64_t apply_claim_waits(const struct apply *a, const struct tx *t)
{
    struct rec_claim c;
    struct hash id;
    if (a->params.claim_blocks == 0 || !tx_is_claimed(t->kind) || !find(a, t, &id, &c))
        return 0;
    uint64_t from = c.height + a->params.claim_blocks;
    return a->height < from ? from : 0;
}

/* Evidence against a validator: checked, and punished once for each height.
 *
 * What answers is all of its validator stake, bonded or being withdrawn: a part of it is slashed, a part of that goes
 * to the reporter, so that reporting oneself loses money, and the rest burns. What stays bonded is withdrawn, so the
 * validator leaves office, and its key is never bonded again: whoever holds a key that contradicts itself must take
 * another.
 *
 * Nobody is framed: the two signatures alone convict (evidence.h). That the validator was in office then, and lately,
 * bounds what is looked at. */
#include "chain/apply.h"

#include "base/mem.h"

#include <inttypes.h>

static bool is_punished(const struct rec_office *rec, uint64_t height)
{
    for (size_t at = 0; at + 8 <= rec->punished.n; at += 8)
        if (load_le64(rec->punished.p + at) == height)
            return true;
    return false;
}

enum err apply_evidence_check(const struct apply *a, const struct evidence *e, struct rec_office *rec)
{
    struct apply_text who = apply_text_id(e->validator.b);
    if (!evidence_is_sane(e))
        return note_set(a->note, ERR_FORMAT, "no evidence: the two do not contradict, or stand in the wrong order");
    if (!state_get_office(a->s, &e->validator, rec))
        return note_set(a->note, ERR_NOT_FOUND, "%s... was never a validator", who.s);
    if (e->height > a->height)
        return note_set(a->note, ERR_RANGE, "evidence of height %" PRIu64 ", which is to come", e->height);
    if (e->height < rec->from_height || (rec->until_height && e->height >= rec->until_height))
        return note_set(a->note, ERR_RANGE, "%s... was no validator at height %" PRIu64, who.s, e->height);
    if (e->height < apply_office_oldest(a))
        return note_set(a->note, ERR_EXPIRED, "evidence of height %" PRIu64 ": the unbonding period has passed",
                        e->height);
    if (is_punished(rec, e->height) || rec->punished.n >= 8 * PUNISHED_MAX)
        return note_set(a->note, ERR_DUPLICATE, "%s... was punished for height %" PRIu64 " already", who.s, e->height);
    if (!evidence_verify(e, &a->chain))
        return note_set(a->note, ERR_AUTH, "%s... did not sign both", who.s);
    return ERR_OK;
}

/* What is left of the bond, as if it were withdrawn now. */
static void unbond_rest(struct apply *a, const struct pubkey *owner)
{
    struct amount left = state_get_bond(a->s, BOND_VALIDATOR, owner);
    if (left.mote == 0)
        return;
    struct rec_unbonding u = {*owner, BOND_VALIDATOR, left, a->clock_ms + a->params.unbonding_ms};
    state_put_bond(a->s, BOND_VALIDATOR, owner, amount_of(0));
    state_put_unbonding(a->s, &a->id, &u);
    state_put_due(a->s, &(struct due){u.until_ms, DUE_UNBOND, a->id, {*owner, BOND_VALIDATOR}});
}

static void convict(struct apply *a, const struct evidence *e, const struct rec_office *rec)
{
    struct rec_office after = *rec;
    struct buf punished = {0};
    uint8_t height[8];
    store_le64(height, e->height);
    buf_add(&punished, rec->punished.p, rec->punished.n);
    buf_add(&punished, height, sizeof height);
    after.banned = true;
    after.punished = bytes_of_buf(&punished);
    state_put_office(a->s, &e->validator, &after);
    a->s->validators_changed = true;
    buf_clear(&punished);
}

enum err apply_tx_evidence(struct apply *a, const struct tx_evidence *body)
{
    const struct evidence *e = &body->evidence;
    struct rec_office rec;
    enum err bad = apply_evidence_check(a, e, &rec);
    if (bad)
        return bad;
    struct amount stake = apply_stake(a->s, BOND_VALIDATOR, &e->validator), burn;
    struct amount taken =
        apply_take_stake(a, BOND_VALIDATOR, &e->validator, amount_share(stake, a->params.evidence_slash_bps));
    struct amount reward = amount_share(taken, a->params.evidence_reporter_bps);
    CHECK(amount_sub(&burn, taken, reward));
    state_credit(a->s, POT_LOCKED, &a->signer, reward);
    state_shift(a->s, POT_LOCKED, POT_BURNED, burn);
    unbond_rest(a, &e->validator);
    convict(a, e, &rec);
    apply_tell_slashed(a, &a->id, BOND_VALIDATOR, &e->validator, taken);
    return ERR_OK;
}

/* The signer's record: the only place where votes and proposals get their signatures. */
#include "chain/signer.h"

#include <string.h>

RECORD_DEFINE(signer, SIGNER_FIELDS)

#define COPY_CHECKSUM_AT (SIGNER_COPY_SIZE - HASH_SIZE)

void signer_init(struct signer *s, uint64_t height)
{
    *s = (struct signer){.height = height, .locked_round = VOTE_NO_ROUND};
}

/* -1, 0, 1 as the asked (height, round, step) lies before, at or behind what was signed last. */
static int place(const struct signer *s, uint64_t height, uint32_t round, uint8_t step)
{
    if (height != s->height)
        return height < s->height ? -1 : 1;
    if (round != s->round)
        return round < s->round ? -1 : 1;
    return (step > s->step) - (step < s->step);
}

static enum err sign(struct signer *s, const struct seckey *key, uint64_t height, uint32_t round, uint8_t step,
                     const struct hash *content, struct sig *sig, bool *fresh)
{
    *fresh = false;
    int at = place(s, height, round, step);
    if (at == 0 && hash_equal(&s->content, content)) {
        *sig = s->sig;
        return ERR_OK;
    }
    if (at <= 0)
        return ERR_STATE;
    s->sequence++;
    s->height = height;
    s->round = round;
    s->step = step;
    s->content = *content;
    key_sign_hash(key, content, NULL, &s->sig);
    *sig = s->sig;
    *fresh = true;
    return ERR_OK;
}

/* A prevote for what had no quorum since our lock: evidence against us (evidence.h). */
static bool forgets(const struct signer *s, const struct vote *v)
{
    bool is_locked = s->locked_height == v->height && s->locked_round != VOTE_NO_ROUND && s->locked_round < v->round;
    return is_locked && v->kind == VOTE_PREVOTE && !hash_is_zero(&v->value) &&
           (v->valid_round == VOTE_NO_ROUND || v->valid_round < s->locked_round);
}

enum err signer_sign_vote(struct signer *s, const struct seckey *key, const struct hash *chain, struct vote *v,
                          bool *fresh)
{
    CHECK(vote_is_sane(v));
    struct hash content = vote_hash(v, chain);
    if (forgets(s, v))
        return ERR_STATE;
    uint8_t step = v->kind == VOTE_PREVOTE ? SIGNER_PREVOTE : SIGNER_PRECOMMIT;
    enum err e = sign(s, key, v->height, v->round, step, &content, &v->sig, fresh);
    if (e == ERR_OK && *fresh && v->kind == VOTE_PRECOMMIT && !hash_is_zero(&v->value)) {
        s->locked_height = v->height;
        s->locked_round = v->round;
        s->locked_value = v->value;
    }
    return e;
}

enum err signer_sign_proposal(struct signer *s, const struct seckey *key, const struct hash *chain, struct proposal *p,
                              bool *fresh)
{
    CHECK(proposal_is_sane(p));
    struct hash content = proposal_hash(p, chain);
    return sign(s, key, p->height, p->round, SIGNER_PROPOSAL, &content, &p->sig, fresh);
}

/* A copy: the record, zeros, the checksum. */
static void copy_put(const struct signer *s, uint8_t copy[SIGNER_COPY_SIZE])
{
    struct buf b = {0};
    signer_put(&b, s);
    CHECK(b.n <= COPY_CHECKSUM_AT);
    memset(copy, 0, SIGNER_COPY_SIZE);
    memcpy(copy, b.p, b.n);
    buf_clear(&b);
    struct hash sum = hash_once(HASH_FILE, copy, COPY_CHECKSUM_AT);
    memcpy(copy + COPY_CHECKSUM_AT, sum.b, HASH_SIZE);
}

uint64_t signer_put_slot(const struct signer *s, uint8_t slot[SIGNER_SLOT_SIZE])
{
    copy_put(s, slot);
    copy_put(s, slot + SIGNER_COPY_SIZE);
    return s->sequence % 2 * SIGNER_SLOT_SIZE;
}

/* A copy that was never written reads as nothing signed: sequence 0. */
static bool copy_get(struct signer *s, const uint8_t *copy)
{
    static const uint8_t never[SIGNER_COPY_SIZE];
    *s = (struct signer){0};
    if (memcmp(copy, never, sizeof never) == 0)
        return true;
    struct hash sum = hash_once(HASH_FILE, copy, COPY_CHECKSUM_AT);
    struct cursor c = cursor_of(bytes_of(copy, COPY_CHECKSUM_AT));
    signer_get(&c, s);
    return memcmp(sum.b, copy + COPY_CHECKSUM_AT, HASH_SIZE) == 0 && cursor_ok(&c) && s->step <= SIGNER_PRECOMMIT;
}

/* Of the two copies the newer: the first is written first, and what it says may be believed though the second is torn.
 */
static bool slot_get(struct signer *s, const uint8_t *slot)
{
    struct signer a, b;
    bool a_is_whole = copy_get(&a, slot), b_is_whole = copy_get(&b, slot + SIGNER_COPY_SIZE);
    *s = a_is_whole && (!b_is_whole || a.sequence > b.sequence) ? a : b;
    return a_is_whole || b_is_whole;
}

/* A write that was torn leaves a whole copy in its slot, so a slot without one was damaged, and may have been the
 * newer. */
enum err signer_get_file(struct signer *s, struct bytes file)
{
    if (file.n != SIGNER_FILE_SIZE)
        return ERR_FORMAT;
    struct signer a, b;
    if (!slot_get(&a, file.p) || !slot_get(&b, file.p + SIGNER_SLOT_SIZE))
        return ERR_CORRUPT;
    *s = a.sequence > b.sequence ? a : b;
    return s->sequence ? ERR_OK : ERR_CORRUPT;
}

bool signer_mend_file(uint8_t file[SIGNER_FILE_SIZE])
{
    uint8_t old[SIGNER_FILE_SIZE];
    memcpy(old, file, sizeof old);
    for (size_t at = 0; at < SIGNER_FILE_SIZE; at += SIGNER_SLOT_SIZE) {
        struct signer s;
        if (slot_get(&s, file + at) && s.sequence > 0)
            signer_put_slot(&s, file + at);
    }
    return memcmp(old, file, sizeof old) != 0;
}

void signer_make_file(struct signer *s, uint8_t file[SIGNER_FILE_SIZE])
{
    memset(file, 0, SIGNER_FILE_SIZE);
    s->sequence = 1;
    uint64_t at = signer_put_slot(s, file);
    if (at != 0) {
        memcpy(file + at, file, SIGNER_SLOT_SIZE);
        memset(file, 0, SIGNER_SLOT_SIZE);
    }
}

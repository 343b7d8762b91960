/* Who is to blame for a fork: from what nodes kept of a height that two of them decided differently, the validators
 * that contradicted themselves, each with the evidence that convicts it.
 *
 * Of a height that it decided, a node keeps a testimony: the validators, the commit, and every quorum of prevotes for a
 * value that it had seen, through the valid rounds down to the first. Two commits of different values, in rounds r <=
 * s:
 *
 *   r = s: the two quorums of precommits share more than a third of the power, who precommitted twice.
 *   r < s: behind the later commit stands a quorum of prevotes for its value in round s, on a ground g.
 *          g < r (or none): it shares more than a third with the precommits of round r, who forgot their lock.
 *          g = r: the two quorums of prevotes in r share more than a third, who prevoted twice.
 *          g > r: the same question again for the quorum of round g, which its honest members had seen.
 *
 * So more than a third of the power contradicted itself, wherever the later commit had one honest member whose
 * testimony is here. What is named is found in pairs of signatures alone: an honest validator never is, whatever the
 * testimonies hold.
 */
#ifndef KITH_CHAIN_BLAME_H
#define KITH_CHAIN_BLAME_H

#include "chain/bft.h"
#include "chain/block.h"

#define TESTIMONY_VERSION 1

/* Prevotes of one round for one value on one ground. sigs: commit_sig one behind the other, ordered by index. */
#define KEPT_QUORUM_FIELDS(F) F(u32, round) F(hash, value) F(u32, valid_round) F(blob, sigs)
RECORD_DECLARE(kept_quorum, KEPT_QUORUM_FIELDS)

/* validators: valset_entry's (key, power u64) ordered by key; commit: a commit; quorums: kept_quorum one behind the
 * other, ordered by (round, value, valid round). */
#define TESTIMONY_FIELDS(F)                                                                                            \
    F(u16, version) F(hash, chain) F(u64, height) F(blob, validators) F(blob, commit) F(blob, quorums)
RECORD_DECLARE(testimony, TESTIMONY_FIELDS)

/* Appends the testimony of a machine that has just decided this commit; `validators` are those of its height. The last
 * TESTIMONY_QUORUMS_MAX quorums, if there are more. */
void blame_put_testimony(struct buf *out, const struct hash *chain, const struct valset *validators,
                         const struct commit *commit, const struct bft *b);
/* The whole of `raw`, every list in order and within its bounds, which are checked; no signature is. */
enum err blame_get_testimony(struct bytes raw, struct testimony *t, struct note *note) MUST_USE;

/* What a light client kept of two blocks of one height that it believed both (light_conflict), as two testimonies
 * without prevotes, one appended to each of `out`. Where both were decided in one round that is enough; else nodes must
 * testify besides. */
enum err blame_get_conflict(struct bytes raw, struct buf out[2], struct note *note) MUST_USE;

/* Fills out[VALIDATORS_MAX] with those of a decoded testimony; how many. */
uint32_t blame_validators(const struct testimony *t, struct valset_entry *out);

struct blame {
    uint64_t total, power; /* of all validators, of those named */
    uint32_t n;            /* evidence of different validators, ordered by index */
    struct evidence evidence[VALIDATORS_MAX];
};
/* From decoded testimonies, of which at least two decided differently: ERR_OK if those named hold more than a third of
 * the power. ERR_NOT_FOUND: prevotes are missing, more nodes must testify (*out has who was found so far). ERR_STATE:
 * no fork. ERR_CHAIN, ERR_RANGE: not of one chain and height with one set. ERR_AUTH: a commit is not signed by a
 * quorum; a bad signature among the prevotes is passed over. The set is that of the testimonies: whether it was the
 * chain's is for the caller to know. */
enum err blame_find(const struct testimony *const *t, uint32_t n, struct blame *out, struct note *note) MUST_USE;

#endif

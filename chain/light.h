/* The light client: follows a chain by its headers alone, over skipped heights, and checks what a node that it does
 * not trust says about the state. Pure: bytes and the time go in, heights to ask for come out; whoever has a
 * connection (kith --light, a node that joins) carries them.
 *
 * A light block is a header, the commit that decided it, and the validators of its height. What is trusted is one of
 * them; from it a later one is believed if
 *     - more than two thirds of its own validators signed it, and
 *     - more than a third of the power of the trusted block's validators did too (then one honest one is among them),
 * or it follows directly and has the validators that the trusted header named for it;
 *     - the trusted block is younger than the unbonding period, since older signers have nothing left to lose;
 *     - it is not from the future.
 * Where too few of the trusted validators signed, a block half-way is asked for first:
 *
 *     trusted t ---------------- h          h: signed by its own, but by too few of t's
 *     trusted t ------ m ------- h          m = t + (h - t) / 2: believed, or halved again
 *                      t'------- h          with m trusted, h is tried again
 *
 * Invariants: `pending` holds blocks that their own validators signed, heights falling from the target, each later than
 * what is trusted; at most 64 of them, since each is at most half-way to the one before. Everything a server says is
 * checked before it is kept; each target may cost LIGHT_STEPS_MAX blocks.
 */
#ifndef KITH_CHAIN_LIGHT_H
#define KITH_CHAIN_LIGHT_H

#include "chain/block.h"
#include "chain/genesis.h"
#include "chain/market_records.h"
#include "chain/records.h"

/* validators: light_validator one behind the other, ordered by key. */
#define LIGHT_BLOCK_FIELDS(F) F(header, header) F(blob, commit) F(blob, validators)
RECORD_DECLARE(light_block, LIGHT_BLOCK_FIELDS)
#define LIGHT_VALIDATOR_FIELDS(F) F(pubkey, key) F(u64, power)
RECORD_DECLARE(light_validator, LIGHT_VALIDATOR_FIELDS)
#define LIGHT_VALIDATOR_SIZE 40

/* Two blocks of one height that were both believed: light blocks as they came. What a tool needs to name those who
 * signed both, or broke a lock in between. */
#define LIGHT_CONFLICT_FIELDS(F) F(blob, a) F(blob, b)
RECORD_DECLARE(light_conflict, LIGHT_CONFLICT_FIELDS)

/* The validators' part of a light block. */
void light_put_validators(struct buf *out, const struct valset *s);
/* Decodes the whole of `raw`: within bounds, validators in order and those of the header. Signatures are not looked at.
 * `s` may be NULL. *b borrows from raw. */
enum err light_block_decode(struct bytes raw, struct light_block *b, struct valset *s, struct note *note) MUST_USE;

struct light;

struct light *light_new(const struct hash *chain, uint64_t unbonding_ms);
void light_free(struct light *l);
/* A second client that trusts the same and wants nothing: for another server. */
struct light *light_copy(const struct light *l);

/* -- where trust begins: one of these -- */

/* The genesis's validators, as of its time. */
enum err light_trust_genesis(struct light *l, const struct genesis *g, struct note *note) MUST_USE;
/* A block that somebody trusted named: it is asked for first, and must have this id. */
void light_trust_checkpoint(struct light *l, uint64_t height, const struct hash *id);
/* What light_store kept. ERR_CORRUPT where it is damaged, ERR_CHAIN where it is of another chain. */
enum err light_load(struct light *l, struct bytes raw, struct note *note) MUST_USE;
void light_store(const struct light *l, struct buf *out);

/* -- following -- */

/* Wants this height. ERR_STATE before trust began, ERR_RANGE for a height before what is trusted. */
enum err light_seek(struct light *l, uint64_t height, struct note *note) MUST_USE;
/* The height to ask a server for; false when the one sought is reached. */
bool light_wants(const struct light *l, uint64_t *height);
/* A server's light block for the wanted height. Anything but ERR_OK: the server is not to be believed (the note says
 * why), except ERR_EXPIRED: what we trust is too old, no server can help. Nothing was taken then; light_forget
 * drops what that server gave before. */
enum err light_take(struct light *l, struct bytes raw, uint64_t now_ms, struct note *note) MUST_USE;
/* Back to what is trusted, as before light_seek: for another server. */
void light_forget(struct light *l);

/* The newest block that is believed: zeroed before there is one (height 0: the genesis). */
const struct header *light_header(const struct light *l);
struct hash light_id(const struct light *l);
/* As it came; empty for the genesis. */
struct bytes light_raw(const struct light *l);
const struct valset *light_validators(const struct light *l);

/* -- what a server says of the state that the newest header carries -- */

/* ERR_OK if the record under class and key has this value, or, with value.p NULL, does not exist. */
enum err light_check_record(const struct light *l, enum state_class cls, struct bytes key, struct bytes value,
                            struct bytes proof, struct note *note) MUST_USE;
/* ERR_OK if this is receipt number `index` of the settlement, signed by its provider. */
enum err light_check_receipt(const struct rec_settlement *s, uint32_t index, const struct signed_receipt *r,
                             struct bytes proof, struct note *note) MUST_USE;

#endif

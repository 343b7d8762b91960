/* A transaction on its way to those who sign for it, as a file that people carry: made where the chain is known
 * (`kith tx build`), signed where the keys are, sent where the network is. The signing machine needs nothing but the
 * file.
 *
 *     {"kith":"transaction to sign","version":1,"prefix":"kith","partial":"<hex of a tx_partial>"}
 *
 * All that is signed is in the partial (chain/tx.h); the prefix says only how addresses are shown.
 */
#ifndef KITH_WALLET_OFFLINE_H
#define KITH_WALLET_OFFLINE_H

#include "chain/tx.h"
#include "wallet/address.h"

struct offline {
    char prefix[ADDRESS_PREFIX_MAX + 1];
    struct buf partial;
    struct tx_partial p; /* decoded, and checked with every signature; these borrow from `partial` */
    struct tx tx;
};

/* Of an account with a rule k is over 0. Fields of `t` as tx_partial_begin wants them. */
enum err offline_begin(struct offline *o, const char *prefix, const struct tx *t, uint8_t k, const struct hashes *keys,
                       struct note *note) MUST_USE;
void offline_clear(struct offline *o);
/* Total over hostile input; *o is cleared on failure. */
enum err offline_get(struct bytes file, struct offline *o, struct note *note) MUST_USE;
void offline_put(struct buf *out, const struct offline *o);
enum err offline_read(const char *path, struct offline *o, struct note *note) MUST_USE;
enum err offline_write(const char *path, const struct offline *o, struct note *note) MUST_USE;

/* May this key sign, and has it not yet? */
bool offline_wants(const struct offline *o, const struct pubkey *key);
/* Adds its signature; as tx_partial_sign. */
enum err offline_sign(struct offline *o, const struct seckey *secret, struct note *note) MUST_USE;
/* Adds the signatures of a copy that another signed. ERR_MISMATCH where it is another transaction. */
enum err offline_merge(struct offline *o, const struct offline *copy, struct note *note) MUST_USE;

/* In words, for who is to sign: what it does, from where, for which fee, on which chain; lines that end in a newline.
 */
void offline_describe(struct buf *out, const struct offline *o);

#endif

/* Making a signed transaction: the terms of the chain, the fee that it offers, the signature. */
#ifndef KITH_WALLET_SIGN_H
#define KITH_WALLET_SIGN_H

#include "chain/tx.h"

/* What a signer must know of the chain and its account; all of it is public. */
struct sign_terms {
    struct hash chain;
    uint64_t nonce;
    struct amount fee_per_byte, fee_per_work;
};

/* Appends the signed encoding to `out`. *fee is what it pays, *id its id; either may be NULL. ERR_FORMAT when `body` is
 * not a record of that kind, ERR_LIMIT when it is too large for a transaction. */
enum err sign_tx(struct buf *out, const struct seckey *secret, const struct sign_terms *terms, enum tx_kind kind,
                 struct bytes body, struct amount *fee, struct hash *id, struct note *note) MUST_USE;

/* What sign_tx will pay: asked before the password is. */
enum err sign_fee(const struct sign_terms *terms, enum tx_kind kind, struct bytes body, struct amount *fee,
                  struct note *note) MUST_USE;

#endif

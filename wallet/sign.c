/* Signing. A transaction's size does not depend on its fee, so it is built once to be measured and once for good. */
#include "wallet/sign.h"

/* Any key makes a transaction of the same size. */
static const struct seckey stand_in = {{[31] = 1}};

enum err sign_fee(const struct sign_terms *terms, enum tx_kind kind, struct bytes body, struct amount *fee,
                  struct note *note)
{
    struct tx t;
    struct buf draft = {0};
    tx_build(&draft, &terms->chain, &stand_in, terms->nonce, amount_of(0), kind, body);
    enum err e = tx_decode(bytes_of_buf(&draft), &t, note);
    if (e == ERR_OK)
        *fee = tx_fee_offer(tx_fee_min(draft.n, tx_work(&t), terms->fee_per_byte, terms->fee_per_work));
    buf_clear(&draft);
    return e;
}

enum err sign_tx(struct buf *out, const struct seckey *secret, const struct sign_terms *terms, enum tx_kind kind,
                 struct bytes body, struct amount *fee, struct hash *id, struct note *note)
{
    struct tx t;
    struct amount offer;
    size_t start = out->n;
    enum err e = sign_fee(terms, kind, body, &offer, note);
    if (e != ERR_OK)
        return e;
    tx_build(out, &terms->chain, secret, terms->nonce, offer, kind, body);
    e = tx_decode(bytes_of(out->p + start, out->n - start), &t, note);
    if (e == ERR_OK && id)
        *id = tx_id(&t);
    if (fee)
        *fee = offer;
    return e;
}

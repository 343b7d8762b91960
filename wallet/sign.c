/* Signing. A transaction's size does not depend on its fee, so it is built once to be measured and once for good. */
#include "wallet/sign.h"

enum err sign_tx(struct buf *out, const struct seckey *secret, const struct sign_terms *terms, enum tx_kind kind,
                 struct bytes body, struct amount *fee, struct hash *id, struct note *note)
{
    struct tx t;
    struct buf draft = {0};
    tx_build(&draft, &terms->chain, secret, terms->nonce, amount_of(0), kind, body);
    enum err e = tx_decode(bytes_of_buf(&draft), &t, note);
    if (e == ERR_OK) {
        struct amount least = tx_fee_min(draft.n, tx_work(&t), terms->fee_per_byte, terms->fee_per_work);
        size_t start = out->n;
        tx_build(out, &terms->chain, secret, terms->nonce, least, kind, body);
        e = tx_decode(bytes_of(out->p + start, out->n - start), &t, note);
        if (e == ERR_OK && id)
            *id = tx_id(&t);
        if (fee)
            *fee = least;
    }
    buf_clear(&draft);
    return e;
}

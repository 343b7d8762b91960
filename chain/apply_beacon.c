/* Keys of validators' random functions. A key holds from the second epoch after the one in which it was registered, so
 * that nobody can choose it knowing what it will be asked: by then blocks of others have entered the beacon. */
#include "chain/apply.h"

static uint64_t holds_from(uint64_t height, uint64_t epoch)
{
    return (height / epoch + 2) * epoch;
}

enum err apply_tx_beacon_key(struct apply *a, const struct tx_beacon_key *body)
{
    struct rec_beacon_key rec;
    if (state_get_bond(a->s, BOND_VALIDATOR, &a->signer).mote == 0)
        return note_set(a->note, ERR_STATE, "%s... is no validator: bond as one first", apply_text_id(a->signer.b).s);
    if (!vrf_public_is_valid(&body->key))
        return note_set(a->note, ERR_FORMAT, "%s... is no key of a random function", apply_text_id(body->key.b).s);
    state_get_beacon_key(a->s, &a->signer, &rec);
    if (rec.next_from_height != 0 && a->height >= rec.next_from_height) {
        rec.key = rec.next;
        rec.from_height = rec.next_from_height;
    }
    rec.next = body->key;
    rec.next_from_height = holds_from(a->height, a->params.beacon_epoch);
    state_put_beacon_key(a->s, &a->signer, &rec);
    return ERR_OK;
}

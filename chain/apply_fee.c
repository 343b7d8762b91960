/* The prices of bytes and of work: they follow the load.
 *
 * Each block compares what it held with half of what a block may hold. Fuller, and the price rises by up to
 * fee_change_bps, in proportion; emptier, and it falls likewise, not below the genesis' own. So a price stays where
 * blocks are half full, a burst finds room at once, and filling blocks to keep others out costs an eighth more with
 * each one (docs/ledger.md has the curve).
 *
 *     price' = price +- max(1, floor(price x distance / target x change))       distance at most the target
 *
 * Bytes and work have each their own. Integers only: the same on every machine. */
#include "chain/apply.h"

static struct amount price_next(struct amount price, struct amount floor, uint64_t used, uint64_t target, uint16_t bps)
{
    uint64_t distance = used > target ? used - target : target - used;
    struct amount change, next;
    if (bps == 0 || distance == 0)
        return price;
    if (distance > target)
        distance = target;
    CHECK(amount_scale(&change, price, distance * bps, target * BPS_ALL));
    if (change.mote == 0)
        change = amount_of(1);
    if (used > target) {
        CHECK(amount_add(&next, price, change));
        return next.mote < FEE_PRICE_MAX ? next : amount_of(FEE_PRICE_MAX);
    }
    return amount_sub(&next, price, change) && amount_compare(next, floor) > 0 ? next : floor;
}

void apply_fees(struct apply *a)
{
    const struct params *p = &a->params;
    struct rec_fees *f = &a->s->fees;
    f->per_byte = price_next(f->per_byte, p->fee_byte, a->size, BLOCK_SIZE_MAX / 2, p->fee_change_bps);
    f->per_work = price_next(f->per_work, p->fee_work, a->work, BLOCK_WORK_MAX / 2, p->fee_change_bps);
}

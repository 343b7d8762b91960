/* How long the chain stood still while something waited, and what that does to withdrawn bonds.
 *
 * A withdrawn bond answers for unbonding_ms, which is longer than the longest way to a verdict. Both are block time,
 * and block time goes on while no block is made: the first block after a halt that is longer than both would return the
 * bond and only then draw the committee that slashes it. So the state has the sum of all time for which blocks were
 * late, a withdrawal remembers what the sum was, and the bond returns no sooner than unbonding_ms later and
 * params_verdict_ms of time in which the chain ran.
 *
 * Late is a block behind what it was to be made for: a draw that waited (blocks follow each other at once), or the
 * first timed effect. An idle chain has neither, and is not late however long it rests. Each block may be
 * BLOCK_LATE_MS late, as params_verdict_ms allows; a queue that the last block did not get to the end of is none of
 * the auditors' time at all. So for a settlement, from its block to its verdict,
 *
 *     time - time that the chain stood <= params_verdict_ms
 *
 * whatever halts there were, since each step of it is: a draw after AUDIT_DRAW_BLOCKS blocks, each of which
 * takes at most BLOCK_LATE_MS of the left side; the end of a window in a block that is at most that late.
 *
 * A block's time is within seconds of its voters' clocks, so nobody makes a halt of a date alone, and holding a
 * bond for a day beyond its time takes keeping the chain from running for as long as the slack between the two periods
 * and a day. docs/ledger.md has the bounds. */
#include "chain/apply.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void apply_stood(struct apply *a)
{
    uint64_t height, late_ms = 0;
    struct hash settlement;
    struct due d;
    bool is_behind = false;
    if (state_first_draw(a->s, &height, &settlement)) {
        late_ms = a->time_ms - a->before_ms;
        is_behind = height < a->height;
    }
    if (state_first_due(a->s, &d) && d.time_ms <= a->time_ms) {
        late_ms = later(late_ms, a->time_ms - later(d.time_ms, a->before_ms));
        is_behind = is_behind || d.time_ms <= a->before_ms;
    }
    uint64_t allowed = is_behind ? 0 : BLOCK_LATE_MS;
    if (late_ms > allowed)
        state_put_stood(a->s, &(struct rec_stood){state_get_stood(a->s).stood_ms + late_ms - allowed});
}

bool apply_unbonding_held(const struct apply *a, struct rec_unbonding *u)
{
    uint64_t verdict_ms = params_verdict_ms(&a->params), stood_ms = state_get_stood(a->s).stood_ms;
    uint64_t slack_ms = a->params.unbonding_ms > verdict_ms ? a->params.unbonding_ms - verdict_ms : 0;
    if (stood_ms - u->stood_ms > slack_ms) {
        u->until_ms += stood_ms - u->stood_ms - slack_ms;
        u->stood_ms = stood_ms - slack_ms;
    }
    return u->until_ms > a->time_ms;
}

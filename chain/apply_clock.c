/* The ledger's clock: block time without the time for which the chain stood still. All windows and periods are in it.
 *
 * Block time goes on while no block is made. In it, the first block after a halt would end everything that waited to be
 * answered before any answer that waits in a pool: a payer's early close would take what the provider has vouchers for,
 * a settlement that auditors found wrong would be paid, a data key that does not fit as well, and a withdrawn bond
 * would return before the committee is drawn that slashes it. So the state has the sum of all time for which the chain
 * stood, and
 *
 *     clock = block time - sum
 *
 * which goes on, from block to block,
 *   - not at all, where the last block left something undone whose time had come: a full queue is nobody's time;
 *   - not at all, where more than params.gap_ms lie between the two: an idle chain makes a block with each heartbeat,
 *     so one without any stood, and nobody knows since when;
 *   - else as block time does, but by BLOCK_LATE_MS at most beyond what the block was to be made for: a draw that
 *     waited (such blocks follow each other at once), or the first timed effect.
 *
 * So for a settlement, from its block to its verdict, the clock goes on by params_verdict_ms at most, whatever halts
 * there are: each step of it is a draw after AUDIT_DRAW_BLOCKS blocks, or the end of a window. A halt costs everybody
 * its own length and params.gap_ms, and no more. The first block ends none, however old the genesis is. docs/ledger.md
 * has the bounds. */
#include "chain/apply.h"

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How far the clock goes on. */
static uint64_t step_of(const struct apply *a, uint64_t before_ms)
{
    uint64_t height, step_ms = a->time_ms - a->before_ms;
    struct hash settlement;
    struct due d;
    if (a->height > 1 && step_ms > a->params.gap_ms)
        return 0;
    if (state_first_draw(a->s, &height, &settlement))
        step_ms = height < a->height ? 0 : less(step_ms, BLOCK_LATE_MS);
    if (state_first_due(a->s, &d))
        step_ms = d.time_ms <= before_ms ? 0 : less(step_ms, d.time_ms - before_ms + BLOCK_LATE_MS);
    return step_ms;
}

void apply_clock(struct apply *a)
{
    uint64_t stood_ms = state_get_stood(a->s).stood_ms, before_ms = a->before_ms - stood_ms;
    uint64_t gap_ms = a->time_ms - a->before_ms, step_ms = step_of(a, before_ms);
    if (step_ms < gap_ms)
        state_put_stood(a->s, &(struct rec_stood){stood_ms + gap_ms - step_ms});
    a->clock_ms = before_ms + step_ms;
}

uint64_t apply_date(const struct apply *a, uint64_t clock_ms)
{
    return clock_ms + (a->time_ms - a->clock_ms);
}

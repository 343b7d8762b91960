/* What an account earned, summed from its history (node/consensus/history.h): by reason, by day and by what it was for.
 * Each payout is one entry of the history, and is counted once. */
#ifndef KITH_NODE_EARNINGS_H
#define KITH_NODE_EARNINGS_H

#include "node/consensus/history.h"

/* In the order of payout_reason, then what comes otherwise. */
enum earning {
    EARNED_PROVIDER,
    EARNED_PUBLISHER,
    EARNED_PARENT,
    EARNED_DATA,
    EARNED_AUDITOR,
    EARNED_GRANT,  /* somebody bought access to data */
    EARNED_BOUNTY, /* something that was offered was accepted */
    EARNINGS
};
const char *earning_name(enum earning e);

#define DAY_MS              UINT64_C(86400000)
#define EARNINGS_READ_MAX   100000u /* entries of the history in one sum: some tenths of a second, in steps */
#define EARNINGS_DAYS_MAX   3660u
#define EARNINGS_MODELS_MAX 1000u /* beyond these they are in the sums alone */

struct earnings_day {
    uint64_t day; /* since 1970, UTC */
    struct amount sums[EARNINGS];
};

struct earnings_source {
    struct hash root; /* of a model, or a data set */
    struct amount sum;
    uint64_t payouts;
};

struct earnings {
    uint64_t from; /* all blocks from this height on are in it, as far as they are not before since_ms */
    bool is_whole; /* nothing since since_ms is missing; false: something may be, as the history alone knows */
    struct amount sums[EARNINGS];
    uint64_t payouts;
    struct earnings_day *days; /* those on which something was earned, newest first */
    unsigned days_n;
    struct earnings_source *sources;
    unsigned sources_n;
};

/* Sums stay at the most that an amount can be: money goes round, and who pays himself earns more than there is. */
void earnings_add(struct amount *sum, struct amount more);
struct amount earnings_total(const struct amount sums[EARNINGS]);

/* All that was earned in blocks of since_ms or later, summed in steps, so that others have their turn in between.
 * Begin, then step until is_done; what comes into the history meanwhile is in no sum. */
#define EARNINGS_STEP 500u /* entries: about a millisecond */
struct earnings_reading {
    const struct history *history;
    struct pubkey account;
    uint64_t since_ms;
    struct history_place at; /* of the last entry that was read */
    uint32_t read;
    bool is_done;
    struct earnings sum; /* the caller clears it */
};
void earnings_begin(struct earnings_reading *r, const struct history *h, const struct pubkey *account,
                    uint64_t since_ms);
enum err earnings_step(struct earnings_reading *r, struct note *note) MUST_USE;
void earnings_clear(struct earnings *e);

#endif

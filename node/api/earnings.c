#include "node/api/earnings.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const char *earning_name(enum earning e)
{
    if (e < (enum earning)PAYOUT_REASONS)
        return ledger_payout_name((enum payout_reason)e);
    return e == EARNED_GRANT ? "grant" : "bounty";
}

void earnings_add(struct amount *sum, struct amount more)
{
    if (!amount_add(sum, *sum, more))
        *sum = amount_of(UINT64_MAX);
}

struct amount earnings_total(const struct amount sums[EARNINGS])
{
    struct amount total = {0};
    for (int i = 0; i < EARNINGS; i++)
        earnings_add(&total, sums[i]);
    return total;
}

static bool earning_of(const struct history_entry *h, enum earning *out)
{
    if (h->what == HISTORY_PAYOUT && h->code < PAYOUT_REASONS)
        *out = (enum earning)h->code;
    else if (h->what == HISTORY_GRANT_PAID)
        *out = EARNED_GRANT;
    else if (h->what == HISTORY_BOUNTY_PAID)
        *out = EARNED_BOUNTY;
    else
        return false;
    return true;
}

/* Entries come newest first, so that a day's stand together. */
static struct earnings_day *day_of(struct earnings *e, uint64_t day)
{
    if (e->days_n && e->days[e->days_n - 1].day == day)
        return &e->days[e->days_n - 1];
    if (e->days_n == EARNINGS_DAYS_MAX)
        return NULL;
    e->days = mem_resize(e->days, e->days_n + 1, sizeof *e->days);
    e->days[e->days_n] = (struct earnings_day){.day = day};
    return &e->days[e->days_n++];
}

static struct earnings_source *source_of(struct earnings *e, const struct hash *root)
{
    for (unsigned i = 0; i < e->sources_n; i++)
        if (hash_equal(&e->sources[i].root, root))
            return &e->sources[i];
    if (e->sources_n == EARNINGS_MODELS_MAX)
        return NULL;
    e->sources = mem_resize(e->sources, e->sources_n + 1, sizeof *e->sources);
    e->sources[e->sources_n] = (struct earnings_source){.root = *root};
    return &e->sources[e->sources_n++];
}

static void count(struct earnings *e, const struct history_entry *h)
{
    enum earning kind;
    if (!earning_of(h, &kind))
        return;
    struct earnings_day *day = day_of(e, h->time_ms / DAY_MS);
    struct earnings_source *source = source_of(e, &h->subject);
    e->payouts++;
    earnings_add(&e->sums[kind], h->amount);
    if (day)
        earnings_add(&day->sums[kind], h->amount);
    if (source) {
        source->payouts++;
        earnings_add(&source->sum, h->amount);
    }
}

void earnings_begin(struct earnings_reading *r, const struct history *h, const struct pubkey *account,
                    uint64_t since_ms)
{
    *r = (struct earnings_reading){.history = h,
                                   .account = *account,
                                   .since_ms = since_ms,
                                   .at = {UINT64_MAX, UINT32_MAX},
                                   .sum = {.from = history_from(h)}};
}

/* False: nothing older counts. `passed`: by an entry of before since_ms. */
static bool count_page(struct earnings_reading *r, const struct history_entry *page, uint32_t n, bool *passed)
{
    for (uint32_t i = 0; i < n; i++) {
        /* Entries of before a gap are history, but no part of a sum that is whole from a height on. */
        *passed = page[i].time_ms < r->since_ms && page[i].height >= r->sum.from;
        if (*passed || page[i].height < r->sum.from)
            return false;
        count(&r->sum, &page[i]);
    }
    return true;
}

enum err earnings_step(struct earnings_reading *r, struct note *note)
{
    struct history_entry *page = mem_array(EARNINGS_STEP, sizeof *page);
    struct earnings *out = &r->sum;
    bool passed = false;
    uint32_t n = 0;
    CHECK(!r->is_done);
    enum err e = history_read(r->history, &r->account, r->at, page, EARNINGS_STEP, &n, note);
    if (e == ERR_OK) {
        const bool more = count_page(r, page, n, &passed) && n == EARNINGS_STEP;
        if (n)
            r->at = (struct history_place){page[n - 1].height, page[n - 1].place};
        r->read += n;
        const bool cut = more && r->read >= EARNINGS_READ_MAX;
        if (cut) /* of the last height read, some may be missing */
            out->from = r->at.height + 1;
        r->is_done = !more || cut;
        out->is_whole = r->is_done && !cut && (out->from <= 1 || passed);
    }
    free(page);
    return e;
}

void earnings_clear(struct earnings *e)
{
    free(e->days);
    free(e->sources);
    *e = (struct earnings){0};
}

/* Sets of validators and the rotation of proposers. */
#include "chain/valset.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare_entries(const void *a, const void *b)
{
    const struct valset_entry *x = a, *y = b;
    return pubkey_compare(&x->key, &y->key);
}

/* Members without priorities. */
static enum err fill(struct valset *s, const struct valset_entry *entries, uint32_t n, struct note *note)
{
    if (n == 0 || n > VALIDATORS_MAX)
        return note_set(note, ERR_RANGE, "%u validators: a chain has 1 to %u", n, VALIDATORS_MAX);
    struct valset_entry sorted[VALIDATORS_MAX];
    memcpy(sorted, entries, n * sizeof *entries);
    qsort(sorted, n, sizeof *sorted, compare_entries);
    *s = (struct valset){.n = n};
    for (uint32_t i = 0; i < n; i++) {
        if (i && pubkey_equal(&sorted[i - 1].key, &sorted[i].key))
            return note_set(note, ERR_RANGE, "a validator stands in its set twice");
        if (sorted[i].power == 0 || sorted[i].power > POWER_SUM_MAX - s->total)
            return note_set(note, ERR_RANGE,
                            "power %" PRIu64 " of a validator: from 1, and at most %" PRIu64 " for all",
                            sorted[i].power, POWER_SUM_MAX);
        s->total += sorted[i].power;
        s->v[i] = (struct validator){.key = sorted[i].key, .power = sorted[i].power};
    }
    return ERR_OK;
}

/* Priorities at most 2 sums apart, then centred on 0. With sums up to 2^59 every value here and in the step
 * after it stays under 2^62. */
static void settle(struct valset *s)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 0; i < s->n; i++) {
        least = s->v[i].priority < least ? s->v[i].priority : least;
        most = s->v[i].priority > most ? s->v[i].priority : most;
    }
    uint64_t apart = (uint64_t)most - (uint64_t)least, allowed = 2 * s->total;
    int64_t ratio = apart > allowed ? (int64_t)((apart + allowed - 1) / allowed) : 1;
    int64_t mean = 0, rest = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        s->v[i].priority /= ratio;
        mean += s->v[i].priority / (int64_t)s->n;
        rest += s->v[i].priority % (int64_t)s->n;
    }
    mean += rest / (int64_t)s->n;
    for (uint32_t i = 0; i < s->n; i++)
        s->v[i].priority -= mean;
}

enum err valset_init(struct valset *s, const struct valset_entry *entries, uint32_t n, struct note *note)
{
    return fill(s, entries, n, note);
}

enum err valset_update(struct valset *s, const struct valset_entry *entries, uint32_t n, struct note *note)
{
    struct valset *fresh = mem_new(sizeof *fresh);
    enum err e = fill(fresh, entries, n, note);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        int old = valset_find(s, &fresh->v[i].key);
        fresh->v[i].priority = old >= 0 ? s->v[old].priority : -(int64_t)(fresh->total + fresh->total / 8);
    }
    if (e == ERR_OK) {
        settle(fresh);
        *s = *fresh;
    }
    free(fresh);
    return e;
}

struct change {
    struct pubkey key;
    uint64_t power, want;
};

/* Both lists as one, ordered by key; returns its length. */
static uint32_t changes_merge(const struct valset_entry *now, uint32_t now_n, const struct valset_entry *want,
                              uint32_t want_n, struct change *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0, k = 0; i < now_n || k < want_n; n++) {
        int order = i == now_n ? 1 : k == want_n ? -1 : pubkey_compare(&now[i].key, &want[k].key);
        out[n].key = order <= 0 ? now[i].key : want[k].key;
        out[n].power = order <= 0 ? now[i++].power : 0;
        out[n].want = order >= 0 ? want[k++].power : 0;
    }
    return n;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Takes up to `budget` from those who lose: first from those who leave altogether. Something is always left. */
static uint64_t take_power(struct change *c, uint32_t n, uint64_t total, uint64_t budget, uint32_t *members)
{
    uint64_t left = least_of(budget, total ? total - 1 : 0), taken = 0;
    for (int leaving = 1; leaving >= 0; leaving--)
        for (uint32_t i = 0; i < n; i++) {
            if (c[i].want >= c[i].power || (c[i].want == 0) != (leaving == 1))
                continue;
            uint64_t part = least_of(c[i].power - c[i].want, left - taken);
            c[i].power -= part;
            taken += part;
            *members -= c[i].power == 0;
        }
    return taken;
}

static void give_power(struct change *c, uint32_t n, uint64_t budget, uint32_t *members)
{
    for (uint32_t i = 0; i < n; i++) {
        if (c[i].want <= c[i].power || (c[i].power == 0 && *members == VALIDATORS_MAX))
            continue;
        uint64_t part = least_of(c[i].want - c[i].power, budget);
        *members += c[i].power == 0 && part > 0;
        c[i].power += part;
        budget -= part;
    }
}

uint32_t valset_approach(const struct valset_entry *now, uint32_t now_n, const struct valset_entry *want,
                         uint32_t want_n, struct valset_entry out[VALIDATORS_MAX])
{
    CHECK(now_n <= VALIDATORS_MAX && want_n <= VALIDATORS_MAX);
    struct change *c = mem_array(now_n + want_n + 1, sizeof *c);
    uint32_t n = changes_merge(now, now_n, want, want_n, c), members = now_n, out_n = 0;
    uint64_t total = 0, gains = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += c[i].power;
        gains += c[i].want > c[i].power ? c[i].want - c[i].power : 0;
    }
    if (want_n) {
        uint64_t budget = total < 4 ? 1 : (total - 1) / 3;
        uint64_t taken = take_power(c, n, total, budget - least_of(budget / 2, gains), &members);
        give_power(c, n, budget - taken, &members);
    }
    for (uint32_t i = 0; i < n; i++)
        if (c[i].power)
            out[out_n++] = (struct valset_entry){c[i].key, c[i].power};
    free(c);
    return out_n;
}

uint32_t valset_step(struct valset *s)
{
    settle(s);
    uint32_t first = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        s->v[i].priority += (int64_t)s->v[i].power;
        if (s->v[i].priority > s->v[first].priority)
            first = i;
    }
    s->v[first].priority -= (int64_t)s->total;
    return first;
}

uint32_t valset_proposer(const struct valset *s, uint32_t round)
{
    struct valset *copy = mem_new(sizeof *copy);
    *copy = *s;
    uint32_t first = 0;
    for (uint32_t i = 0; i <= round; i++)
        first = valset_step(copy);
    free(copy);
    return first;
}

int valset_find(const struct valset *s, const struct pubkey *key)
{
    uint32_t low = 0, high = s->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        int order = pubkey_compare(&s->v[mid].key, key);
        if (order == 0)
            return (int)mid;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

bool valset_is_quorum(const struct valset *s, uint64_t power)
{
    return power > s->total - s->total / 3 - (s->total % 3 != 0); /* power > floor(2 total / 3) */
}

bool valset_is_honest(const struct valset *s, uint64_t power)
{
    return power > s->total / 3;
}

struct hash valset_hash(const struct valset *s)
{
    struct hasher h;
    hash_start(&h, HASH_VALSET);
    hash_add_u32(&h, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        hash_add(&h, s->v[i].key.b, sizeof s->v[i].key.b);
        hash_add_u64(&h, s->v[i].power);
    }
    return hash_end(&h);
}

struct hash valset_rotation_hash(const struct valset *s)
{
    struct buf b = {0};
    valset_put(&b, s);
    struct hash h = hash_once(HASH_VALSET, b.p, b.n);
    buf_clear(&b);
    return h;
}

void valset_put(struct buf *b, const struct valset *s)
{
    codec_put_u32(b, &s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        uint64_t priority = (uint64_t)s->v[i].priority;
        codec_put_pubkey(b, &s->v[i].key);
        codec_put_u64(b, &s->v[i].power);
        codec_put_u64(b, &priority);
    }
}

void valset_get(struct cursor *c, struct valset *s)
{
    *s = (struct valset){0};
    uint32_t n;
    codec_get_u32(c, &n);
    if (n == 0 || n > VALIDATORS_MAX)
        cursor_fail(c);
    for (uint32_t i = 0; i < n && cursor_ok(c); i++) {
        struct validator *v = &s->v[i];
        uint64_t priority;
        codec_get_pubkey(c, &v->key);
        codec_get_u64(c, &v->power);
        codec_get_u64(c, &priority);
        v->priority = (int64_t)priority;
        if (v->power == 0 || v->power > POWER_SUM_MAX - s->total || v->priority > (int64_t)(UINT64_C(1) << 62) ||
            v->priority < -(int64_t)(UINT64_C(1) << 62) || (i && pubkey_compare(&s->v[i - 1].key, &v->key) >= 0))
            cursor_fail(c);
        s->total += v->power;
    }
    s->n = cursor_ok(c) ? n : 0;
}

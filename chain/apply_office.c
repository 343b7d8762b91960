/* Who is in office: the set of validators that follows the bonds, as far as one block may move it, and since when.
 *
 * A block h settles the set of h+2. Invariants: the records of office with power make a set (never none, never more
 * than VALIDATORS_MAX); from_height is the first height that a member signed in, and until_height the first in which it
 * could not. Marks say when heights were, a few for an unbonding period: what is older than the first of them is
 * forgiven.
 */
#include "chain/apply.h"

#include "base/mem.h"
#include "chain/valset.h"

#include <stdlib.h>

struct office_set {
    struct valset_entry v[VALIDATORS_MAX];
    uint32_t n;
};

static void set_in_office(const struct state *s, struct office_set *out)
{
    struct rec_office rec;
    struct pubkey key;
    out->n = 0;
    for (bool more = state_next_in_office(s, NULL, &key, &rec); more; more = state_next_in_office(s, &key, &key, &rec))
        if (rec.power) {
            CHECK(out->n < VALIDATORS_MAX);
            out->v[out->n++] = (struct valset_entry){key, rec.power};
        }
}

static int compare_strength(const void *x, const void *y)
{
    const struct valset_entry *a = x, *b = y;
    return a->power != b->power ? (a->power < b->power) - (a->power > b->power) : pubkey_compare(&a->key, &b->key);
}

static int compare_keys(const void *x, const void *y)
{
    const struct valset_entry *a = x, *b = y;
    return pubkey_compare(&a->key, &b->key);
}

/* The strongest VALIDATORS_MAX of those that are bonded, ordered by key. */
static void set_wanted(const struct state *s, struct office_set *out)
{
    struct valset_entry *all = NULL;
    struct pubkey key;
    struct amount stake;
    uint32_t n = 0, room = 0;
    for (bool more = state_next_bond(s, BOND_VALIDATOR, NULL, &key, &stake); more;
         more = state_next_bond(s, BOND_VALIDATOR, &key, &key, &stake)) {
        if (n == room) {
            room = room ? 2 * room : VALIDATORS_MAX;
            all = mem_resize(all, room, sizeof *all);
        }
        all[n] = (struct valset_entry){key, stake.mote / LEDGER_POWER_UNIT};
        n += all[n].power > 0;
    }
    if (n > 1)
        qsort(all, n, sizeof *all, compare_strength);
    out->n = n < VALIDATORS_MAX ? n : VALIDATORS_MAX;
    for (uint32_t i = 0; i < out->n; i++)
        out->v[i] = all[i];
    if (out->n > 1)
        qsort(out->v, out->n, sizeof *out->v, compare_keys);
    free(all);
}

static void put_power(struct apply *a, const struct pubkey *key, uint64_t power)
{
    struct rec_office rec;
    bool is_known = state_get_office(a->s, key, &rec);
    if (rec.power == power)
        return;
    if (!is_known)
        rec.from_height = a->height + 2;
    rec.until_height = power ? 0 : a->height + 2;
    rec.power = power;
    state_put_office(a->s, key, &rec);
}

static bool sets_equal(const struct office_set *x, const struct office_set *y)
{
    bool equal = x->n == y->n;
    for (uint32_t i = 0; equal && i < x->n; i++)
        equal = pubkey_equal(&x->v[i].key, &y->v[i].key) && x->v[i].power == y->v[i].power;
    return equal;
}

bool apply_office_step(struct apply *a, bool *arrived)
{
    struct office_set *sets = mem_array(3, sizeof *sets), *now = &sets[0], *want = &sets[1], *next = &sets[2];
    set_in_office(a->s, now);
    set_wanted(a->s, want);
    next->n = valset_approach(now->v, now->n, want->v, want->n, next->v);
    bool changed = !sets_equal(now, next);
    *arrived = !changed;
    for (uint32_t i = 0, k = 0; changed && (i < now->n || k < next->n);) {
        int order = i == now->n ? 1 : k == next->n ? -1 : pubkey_compare(&now->v[i].key, &next->v[k].key);
        put_power(a, order < 0 ? &now->v[i].key : &next->v[k].key, order < 0 ? 0 : next->v[k].power);
        i += order <= 0;
        k += order >= 0;
    }
    free(sets);
    return changed;
}

/* -- when heights were -- */

static uint32_t marks_n(const struct rec_marks *m)
{
    return (uint32_t)(m->marks.n / OFFICE_MARK_SIZE);
}

static struct office_mark mark_at(const struct rec_marks *m, uint32_t i)
{
    struct office_mark mark;
    struct cursor c = cursor_of(bytes_of(m->marks.p + (size_t)i * OFFICE_MARK_SIZE, OFFICE_MARK_SIZE));
    office_mark_get(&c, &mark);
    return mark;
}

/* Marks that lie behind the unbonding period: all but the last of them are of no use. */
static uint32_t marks_behind(const struct apply *a, const struct rec_marks *m)
{
    uint32_t n = 0;
    while (n < marks_n(m) && mark_at(m, n).time_ms + a->params.unbonding_ms <= a->clock_ms)
        n++;
    return n;
}

void apply_office_mark(struct apply *a)
{
    struct rec_marks m;
    state_get_marks(a->s, &m);
    uint32_t n = marks_n(&m), behind = marks_behind(a, &m);
    if (n && mark_at(&m, n - 1).time_ms + a->params.unbonding_ms / OFFICE_MARKS > a->clock_ms)
        return;
    struct buf b = {0};
    size_t from = behind ? (size_t)(behind - 1) * OFFICE_MARK_SIZE : 0;
    if (m.marks.n > from)
        buf_add(&b, m.marks.p + from, m.marks.n - from);
    office_mark_put(&b, &(struct office_mark){a->height, a->clock_ms});
    state_put_marks(a->s, &(struct rec_marks){bytes_of_buf(&b)});
    buf_clear(&b);
}

uint64_t apply_office_oldest(const struct apply *a)
{
    struct rec_marks m;
    state_get_marks(a->s, &m);
    uint32_t behind = marks_behind(a, &m);
    return behind ? mark_at(&m, behind - 1).height : 0;
}

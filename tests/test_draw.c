/* Auditors drawn with what is remembered from one draw to the next: the same as by looking at everybody each time, over
 * settlements of many models and parties, while bonds and registrations change in between. */
#include "base/limits.h"
#include "chain/apply.h"
#include "tests/sim/random.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define MODELS 20u /* more than are remembered */
#define OWNERS 60u
#define DRAWS  1200u
#define PICKS  4u

struct stage {
    struct state s;
    struct apply a;
    struct apply_events events;
    struct random chance;
    struct pubkey owner[OWNERS], node[OWNERS];
};

static struct hash model_of(uint32_t i)
{
    return hash_once(HASH_FILE, &i, sizeof i);
}

static void begin(struct stage *t)
{
    *t = (struct stage){.chance = {7}};
    state_init(&t->s);
    t->a = (struct apply){.s = &t->s, .params = params_private(), .height = 9, .time_ms = 1000, .events = &t->events};
    t->a.params.audits_per_settlement = PICKS;
    random_bytes(&t->chance, t->a.beacon.b, sizeof t->a.beacon.b);
    for (uint32_t i = 0; i < OWNERS; i++) {
        random_bytes(&t->chance, t->owner[i].b, sizeof t->owner[i].b);
        random_bytes(&t->chance, t->node[i].b, sizeof t->node[i].b);
    }
}

/* Somebody bonds, unbonds, comes or goes. */
static void change(struct stage *t)
{
    uint32_t i = (uint32_t)random_below(&t->chance, OWNERS);
    const struct hash m = model_of((uint32_t)random_below(&t->chance, MODELS));
    uint64_t least = t->a.params.auditor_bond_min.mote;
    switch (random_below(&t->chance, 4)) {
    case 0:
        state_put_bond(&t->s, BOND_AUDITOR, &t->owner[i],
                       amount_of(random_chance(&t->chance, 20) ? 0 : least / 2 + random_below(&t->chance, 3 * least)));
        break;
    case 1:
        state_remove_auditor(&t->s, &m, &t->owner[i], &t->node[i]);
        break;
    default:
        state_put_auditor(&t->s, &m, &t->owner[i], &t->node[i]);
    }
}

static struct rec_settlement settlement_of(struct stage *t, uint32_t k)
{
    struct rec_settlement s = {.model = model_of((uint32_t)random_below(&t->chance, MODELS)),
                               .count = 40,
                               .state = SETTLEMENT_WAITING,
                               .owner = t->owner[random_below(&t->chance, OWNERS)],
                               .payer = t->owner[random_below(&t->chance, OWNERS)],
                               .provider = t->node[random_below(&t->chance, OWNERS)]};
    if (random_chance(&t->chance, 30))
        s.payer = t->node[random_below(&t->chance, OWNERS)]; /* a node may pay, too */
    s.id = hash_once(HASH_BEACON, &k, sizeof k);
    return s;
}

/* docs/ledger.md, word by word. */
static uint32_t expect(const struct stage *t, const struct rec_settlement *s, struct pubkey out[PICKS])
{
    struct pubkey owner, node, who[OWNERS];
    uint64_t stake[OWNERS];
    uint32_t n = 0, k = 0;
    for (bool more = state_next_auditor(&t->s, &s->model, NULL, &owner, &node); more;
         more = state_next_auditor(&t->s, &s->model, &owner, &owner, &node)) {
        uint64_t bond = state_get_bond(&t->s, BOND_AUDITOR, &owner).mote;
        if (bond < t->a.params.auditor_bond_min.mote || pubkey_equal(&owner, &s->owner) ||
            pubkey_equal(&owner, &s->payer) || pubkey_equal(&node, &s->owner) || pubkey_equal(&node, &s->payer))
            continue;
        who[n] = node;
        stake[n++] = bond;
    }
    for (; n && k < PICKS; k++) {
        uint32_t first = k % n, i = first;
        uint64_t total = 0;
        struct hasher h;
        hash_start(&h, HASH_BEACON);
        hash_add(&h, t->a.beacon.b, 32);
        hash_add(&h, s->id.b, 32);
        hash_add_u32(&h, k);
        hash_add(&h, "node", 4);
        struct hash number = hash_end(&h);
        for (uint32_t j = first; j < n; j++)
            total += stake[j];
        uint64_t at = load_le64(number.b) % total;
        while (at >= stake[i])
            at -= stake[i++];
        struct pubkey w = who[i];
        uint64_t x = stake[i];
        who[i] = who[first], stake[i] = stake[first];
        who[first] = w, stake[first] = x;
        out[k] = w;
    }
    return k;
}

static void draws_are_as_by_looking_each_time(void **state)
{
    (void)state;
    struct stage *t = malloc(sizeof *t);
    struct apply_auditors known = {0};
    uint32_t drawn = 0, none = 0;
    begin(t);
    for (uint32_t i = 0; i < 2000; i++)
        change(t);
    for (uint32_t k = 0; k < DRAWS; k++) {
        struct rec_settlement s = settlement_of(t, k), after;
        struct pubkey want[PICKS];
        if (random_chance(&t->chance, 30))
            change(t);
        if (random_chance(&t->chance, 10)) { /* and is taken back */
            struct state_mark mark = state_mark(&t->s);
            change(t);
            state_undo(&t->s, &mark);
        }
        uint32_t n = expect(t, &s, want);
        if (n == 0) { /* the settlement would be paid, which needs a whole ledger */
            none++;
            continue;
        }
        state_put_settlement(&t->s, &s.id, &s);
        apply_settlement_draw(&t->a, &s.id, &known);
        assert_true(state_get_settlement(&t->s, &s.id, &after));
        assert_int_equal(settlement_audits(&after), n);
        for (uint32_t i = 0; i < n; i++) {
            struct audit_draw d = settlement_audit_at(&after, i);
            assert_true(pubkey_equal(&d.auditor, &want[i]));
        }
        drawn++;
    }
    assert_true(drawn > DRAWS / 2 && none < DRAWS / 4);
    apply_auditors_clear(&known);
    free(t->events.at);
    state_clear(&t->s);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_as_by_looking_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

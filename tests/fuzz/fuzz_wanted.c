/* What peers tell of in any order: each byte is one of them that tells, denies, sends or goes, or time that passes. Who
 * is asked told of it and is asked once for each telling; in the end nothing is left. */
#include "base/limits.h"
#include "base/mem.h"
#include "node/consensus/wanted.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDS   16u
#define PEERS 4u

struct state {
    struct wanted *w;
    uint64_t now_ms;
    bool told[IDS][PEERS], is_due[IDS][PEERS]; /* it told, and was not asked since */
};

/* All in one place of the table. */
static struct hash id_of(unsigned n)
{
    struct hash id = {{0}};
    id.b[4] = id.b[31] = (uint8_t)n;
    return id;
}

static void come(struct state *s, unsigned n)
{
    struct hash id = id_of(n);
    uint64_t tellers = wanted_remove(s->w, &id);
    CHECK(tellers >> PEERS == 0);
    for (unsigned i = 0; i < PEERS; i++)
        CHECK(!(tellers >> i & 1) || s->told[n][i]);
    CHECK(wanted_remove(s->w, &id) == 0);
    memset(s->told[n], 0, sizeof s->told[n]);
    memset(s->is_due[n], 0, sizeof s->is_due[n]);
}

static void go(struct state *s, unsigned peer)
{
    wanted_gone(s->w, (int)peer, s->now_ms);
    for (unsigned n = 0; n < IDS; n++)
        s->told[n][peer] = s->is_due[n][peer] = false;
}

static void ask(struct state *s)
{
    struct hash id;
    int slot;
    while (wanted_next(s->w, s->now_ms, &id, &slot)) {
        unsigned n = id.b[4];
        CHECK(n < IDS && slot >= 0 && slot < (int)PEERS && s->is_due[n][slot]);
        s->is_due[n][slot] = false;
    }
    CHECK(wanted_due_ms(s->w) > s->now_ms);
    CHECK(wanted_count(s->w) <= IDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state s = {.w = wanted_new((const uint8_t[16]){7}), .now_ms = 1};
    for (size_t i = 0; i + 1 < size; i += 2) {
        unsigned n = data[i + 1] % IDS, peer = data[i + 1] / IDS % PEERS;
        struct hash id = id_of(n);
        switch (data[i] % 6) {
        case 0:
            CHECK(wanted_add(s.w, &id, (int)peer, s.now_ms));
            s.told[n][peer] = s.is_due[n][peer] = true;
            break;
        case 1:
            wanted_denied(s.w, &id, (int)peer, s.now_ms);
            break;
        case 2:
            come(&s, n);
            break;
        case 3:
            wanted_came(s.w, (int)peer);
            break;
        case 4:
            go(&s, peer);
            break;
        default:
            s.now_ms += data[i + 1] * 2u;
            ask(&s);
        }
    }
    /* In the end everybody was asked, or nobody is left. */
    s.now_ms += 1000000;
    for (unsigned i = 0; i <= PEERS; i++, s.now_ms += 1000000)
        ask(&s);
    CHECK(wanted_count(s.w) == 0 && wanted_due_ms(s.w) == UINT64_MAX);
    wanted_free(s.w);
    return 0;
}

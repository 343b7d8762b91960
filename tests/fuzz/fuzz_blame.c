/* Testimonies, and what light clients kept: whatever decodes is canonical, and blaming with it is total and convicts
 * nobody who did not sign, since no signature is found by chance. */
#include "base/mem.h"
#include "chain/blame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_conflict(struct bytes raw)
{
    struct buf two[2] = {{0}, {0}};
    struct testimony t[2];
    struct note note;
    if (blame_get_conflict(raw, two, &note) == ERR_OK) {
        struct blame *b = mem_new(sizeof *b);
        for (int i = 0; i < 2; i++)
            CHECK(blame_get_testimony(bytes_of_buf(&two[i]), &t[i], &note) == ERR_OK);
        enum err e = blame_find((const struct testimony *const[]){&t[0], &t[1]}, 2, b, &note);
        CHECK(e != ERR_OK || b->n > 0);
        for (uint32_t i = 0; i < b->n; i++) /* one of the seeds is of a true fork */
            CHECK(evidence_verify(&b->evidence[i], &t[0].chain));
        free(b);
    }
    buf_clear(&two[0]);
    buf_clear(&two[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes raw = bytes_of(data, size);
    struct testimony t, other;
    struct note note;
    struct buf again = {0}, commit = {0};
    struct commit m;
    try_conflict(raw);
    if (blame_get_testimony(raw, &t, &note) != ERR_OK)
        return 0;
    testimony_put(&again, &t);
    CHECK(bytes_equal(bytes_of_buf(&again), raw));
    CHECK(commit_decode(t.commit, &m) == ERR_OK);
    m.value.b[0] ^= 1; /* as if another node had decided otherwise */
    commit_put(&commit, &m);
    other = t;
    other.commit = bytes_of_buf(&commit);
    struct blame *b = mem_new(sizeof *b);
    CHECK(blame_find((const struct testimony *const[]){&t, &other}, 2, b, &note) != ERR_OK && b->n == 0);
    CHECK(blame_find((const struct testimony *const[]){&t, &t}, 2, b, &note) != ERR_OK && b->n == 0);
    free(b);
    buf_clear(&again);
    buf_clear(&commit);
    return 0;
}

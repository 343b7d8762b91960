/* What the world knows of a validator, from the marks of a trace: what it signed, and which blocks it said are
 * committed. Every later state of its disk must agree with that. */
#ifndef KITH_TESTS_CRASH_FACTS_H
#define KITH_TESTS_CRASH_FACTS_H

#include "tests/crash/scene.h"

struct fact_sign {
    uint64_t height;
    uint32_t round;
    uint8_t step;
    struct hash content;
};
struct fact_block {
    uint64_t height;
    struct hash id, root;
};

struct facts {
    struct hash chain;
    struct fact_sign *signs;
    struct fact_block *blocks; /* in the order of heights */
    uint32_t signs_n, blocks_n, signs_room, blocks_room;
};

/* Takes a mark in. False: it contradicts what is known (a second vote, another block of a height), and `why` says how.
 */
bool facts_add(struct facts *f, const struct disk_op *mark, struct note *why);
/* Can somebody else say this? Not, if the watched one signed it and it has not left yet. */
bool facts_allow(const struct facts *f, uint8_t type, struct bytes body);
void facts_clear(struct facts *f);
struct facts facts_copy(const struct facts *f);
/* ERR_OK: the started node 0 has this block; ERR_MISMATCH: another one; else the error of reading it. */
enum err facts_block(const struct fact_block *b, const struct scene *s);
/* Does the started node 0 have all that was committed, and the money as it was? */
bool facts_check(const struct facts *f, const struct scene *s, struct note *why);

#endif

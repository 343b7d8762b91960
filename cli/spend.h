/* What a person can ask the ledger for by words: send, bond, unbond, rule. From words to the body of a transaction; the
 * commands that sign at once and `tx build` share it. */
#ifndef KITH_CLI_SPEND_H
#define KITH_CLI_SPEND_H

#include "cli/owner.h"

struct spend {
    enum tx_kind kind;
    struct buf body;
    struct amount amount; /* what leaves the account besides the fee */
    struct buf words;     /* "send 3 KITH to ...", for a question */
    struct buf room;      /* what the body's record borrows */
};

/* words[0..n): "send ADDRESS AMOUNT", "bond ROLE AMOUNT", "unbond ROLE AMOUNT", "rule K ADDRESS...". Addresses may be
 * labels. `prefix` NULL takes those of either network. A cli_exit, said; spend_clear is right after any. */
int spend_parse(const struct cli *cli, const struct accounts *known, const char *prefix, const char *const *words,
                unsigned n, const char *memo, struct spend *s);
void spend_clear(struct spend *s);
/* What can be known before anything is asked: the fee, the money for both, and that this wallet can sign alone. */
int spend_check(struct owner *o, const struct spend *s, struct amount *fee);
/* "what can be built": for usage errors and help. */
extern const char spend_usage[];

#endif

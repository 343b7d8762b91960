/* Grammars of schemas that are written down, for tests. */
#ifndef KITH_TESTS_GRAMMARS_H
#define KITH_TESTS_GRAMMARS_H

#include "inference/schema/schema.h"

/* Of JSON, whose members may be in any order; fails the test where it is none, or no schema of ours. */
struct grammar *grammar_compiled(const char *schema);
/* Byte by byte, and at once. */
bool grammar_takes(const struct grammar *g, struct bytes text);

#endif

/* From a JSON schema to the grammar of the texts that satisfy it. docs/arithmetic.md, Constraints, states which
 * keywords are read and what each becomes: a text of the grammar always satisfies the schema, and of the texts that do,
 * some spellings are left out (white space, escapes, long numbers), so that a model cannot go on for ever in one. What
 * would restrict an answer and is not supported is refused by name, never ignored. */
#ifndef KITH_INFERENCE_SCHEMA_H
#define KITH_INFERENCE_SCHEMA_H

#include "inference/schema/grammar.h"

/* `text` is the canonical form that json_print gives (ERR_FORMAT otherwise): one schema, one text. *out is closed and
 * the caller's. ERR_UNSUPPORTED: a keyword, named; ERR_LIMIT: a bound; ERR_RANGE: nothing satisfies it. */
enum err schema_compile(struct bytes text, struct grammar **out, struct note *note) MUST_USE;

#endif

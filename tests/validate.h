/* A second opinion on JSON schemas: whether a value satisfies one, read from the keywords' definitions, sharing nothing
 * with inference/schema/schema.c. */
#ifndef KITH_TESTS_VALIDATE_H
#define KITH_TESTS_VALIDATE_H

#include "base/json.h"

/* oneOf counts as anyOf, formats are checked for date and uuid, patterns by POSIX extended expressions. */
bool validate(json_t *root, json_t *schema, json_t *value);

#endif

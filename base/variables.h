/* What a request sets of a chat template, beside what every template is given: how much the model is to think, above
 * all. An object of names with values that a person could write on a line; lists and objects are not taken, since what
 * a request says in those (messages, tools) has fields of its own. Pure. */
#ifndef KITH_BASE_VARIABLES_H
#define KITH_BASE_VARIABLES_H

#include "base/json.h"

/* At most TEMPLATE_VARIABLES_MAX names, none of them given to every template anyway, with values that are a text, a
 * number, true, false or null, all together in TEMPLATE_VARIABLES_BYTES_MAX bytes of JSON. NULL and null are none.
 * `called`: what a message calls the object. */
enum err variables_check(const json_t *object, const char *called, struct note *note) MUST_USE;
/* How much it is to think, in OpenAI's words. Templates know it as `reasoning_effort`; `none` is `enable_thinking`
 * false, as templates that can have it turned off call that. ERR_FORMAT where the object says otherwise already. */
enum err variables_set_effort(json_t *object, const char *effort, const char *called, struct note *note) MUST_USE;

#endif

/* Reading the text of an answer from its front: marks, white space, JSON, values as Python writes them. A step that
 * fails takes nothing. Pure. */
#ifndef KITH_NODE_API_TOOL_TEXT_H
#define KITH_NODE_API_TOOL_TEXT_H

#include "base/json.h"

/* What is left. */
struct rest {
    const uint8_t *p;
    size_t n;
};
void rest_skip(struct rest *r, size_t n);
void rest_skip_spaces(struct rest *r);
bool rest_begins(const struct rest *r, const char *mark);
/* The mark, or false. */
bool rest_take(struct rest *r, const char *mark);
/* What stands in front of the mark, and the mark; false where there is none. */
bool rest_take_until(struct rest *r, const char *mark, struct bytes *out);
/* The JSON object or array that it begins with; NULL if there is none. */
json_t *rest_take_json(struct rest *r);
/* A value: True, None, 'text', 1.5, [..], {'key': ..}, also as JSON has it; <|"|> may stand for quotes, and keys need
 * none. NULL if it begins with none. */
json_t *rest_take_value(struct rest *r);
/* All of the text as one JSON value of any type; NULL if it is none. */
json_t *tool_text_json(struct bytes text);

#endif

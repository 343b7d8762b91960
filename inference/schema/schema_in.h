/* Inside the schema compiler. Functions that return an operation return GRAMMAR_FAIL after an error, which stays in the
 * work and is looked at once, at the end. `next` is what comes behind. */
#ifndef KITH_INFERENCE_SCHEMA_IN_H
#define KITH_INFERENCE_SCHEMA_IN_H

#include "base/json.h"
#include "base/limits.h"
#include "inference/schema/schema.h"

struct schema_rule {
    json_t *schema;
    struct buf text; /* by which it is found */
    uint32_t label;
};

struct schema_work {
    struct grammar *g;
    json_t *root;
    struct schema_rule *rules;
    uint32_t rules_n, done_n; /* known, compiled */
    uint32_t slots[2 * SCHEMA_RULES_MAX];
    size_t bytes; /* written out so far, of SCHEMA_WORK_MAX */
    uint32_t steps;
    uint32_t value, string, number, integer; /* shared rules; 0: not made yet */
    enum err e;
    struct note *note;
};

/* The first failure stays. Returns GRAMMAR_FAIL. */
uint32_t schema_fail(struct schema_work *w, enum err e, const char *format, ...) PRINTF_LIKE(3, 4);
/* False, and a failure, when so many more bytes are too many. */
bool schema_spend(struct schema_work *w, size_t bytes);
/* The rule of a schema: one for each text. */
uint32_t schema_rule_of(struct schema_work *w, json_t *schema);

/* A text of its rule, then `next`. */
uint32_t schema_call(struct schema_work *w, json_t *schema, uint32_t next);

/* -- schema_value.c -- */
uint32_t schema_any(struct schema_work *w, uint32_t next);
uint32_t schema_any_number(struct schema_work *w, bool is_whole, uint32_t next);
uint32_t schema_list(struct schema_work *w, json_t *schema, uint32_t next);
uint32_t schema_object(struct schema_work *w, json_t *schema, uint32_t next);

/* -- schema_merge.c -- */
/* A keyword that restricts nothing. */
bool schema_is_annotation(const char *keyword);
/* What a $ref means. Borrowed; NULL after a failure. */
json_t *schema_target(struct schema_work *w, const json_t *ref);
/* Without $ref, allOf, nullable, annotations and definitions: an object, or false. NULL after a failure. A new
 * reference. */
json_t *schema_flatten(struct schema_work *w, json_t *schema, unsigned depth);
/* What both demand. A new reference. */
json_t *schema_merge(struct schema_work *w, json_t *a, json_t *b);
json_t *schema_without(const json_t *schema, const char *keyword);

/* -- schema_text.c: strings -- */
uint32_t schema_string(struct schema_work *w, uint32_t next);
uint32_t schema_string_of(struct schema_work *w, const json_t *schema, uint32_t next);
/* Behind the opening quote: any key but these, without escapes, and the closing quote. */
uint32_t schema_other_key(struct schema_work *w, const json_t *properties, uint32_t next);
/* One of the texts. They are sorted. */
uint32_t schema_one_of(struct schema_work *w, struct bytes *texts, size_t n, uint32_t next);

/* -- schema_pattern.c -- */
struct char_range {
    uint32_t lo, hi;
};
/* One character of the ranges (rising, apart), spelled as in a JSON string without escapes ... */
uint32_t schema_chars(struct schema_work *w, const struct char_range *ranges, size_t n, uint32_t next);
/* ... or with the short ones, for what must be escaped: one spelling for each character. */
uint32_t schema_chars_spelled(struct schema_work *w, const struct char_range *ranges, size_t n, uint32_t next);
/* The characters of a text that matches; no quotes. */
uint32_t schema_pattern(struct schema_work *w, struct bytes pattern, uint32_t next);

/* -- schema_number.c -- */
uint32_t schema_number_of(struct schema_work *w, const json_t *schema, bool is_whole, uint32_t next);
/* The shortest decimal that reads back as the same binary64. */
void schema_real_text(double value, char text[32]);

#endif

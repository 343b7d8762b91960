/* Inside the template parser: the cursor over the tokens and the making of nodes, shared by expressions
 * (jinja_expression.c) and statements (jinja_statement.c). */
#ifndef KITH_INFERENCE_JINJA_PARSER_H
#define KITH_INFERENCE_JINJA_PARSER_H

#include "inference/template/jinja.h"

struct jinja_parser {
    struct jinja *j;
    const struct jinja_token *tokens;
    size_t at;
    struct jinja_node spare; /* what is built when memory is used up: nobody will run it */
};

/* Never NULL. */
struct jinja_node *parser_node_new(struct jinja_parser *p, enum jinja_op op);
void parser_node_add(struct jinja_parser *p, struct jinja_node *n, const struct jinja_node *kid);
/* `name` makes the kid a named argument. */
void parser_node_add_named(struct jinja_parser *p, struct jinja_node *n, const struct jinja_node *kid,
                           struct bytes name);
/* A node with one kid or (b not NULL) two. */
const struct jinja_node *parser_node_two(struct jinja_parser *p, enum jinja_op op, const struct jinja_node *a,
                                         const struct jinja_node *b, struct bytes name);
const struct jinja_node *parser_node_literal(struct jinja_parser *p, struct jinja_value value);

/* The token that stands here; the last one is JINJA_END and stays. */
const struct jinja_token *parser_peek(const struct jinja_parser *p);
void parser_next(struct jinja_parser *p);
bool parser_is_text(const struct jinja_token *t, enum jinja_token_kind kind, const char *text);
bool parser_at_operator(const struct jinja_parser *p, const char *text);
bool parser_at_word(const struct jinja_parser *p, const char *text);
/* Moves on if this stands here; false also once something failed, so that loops over it end. */
bool parser_take_operator(struct jinja_parser *p, const char *text);
bool parser_take_word(struct jinja_parser *p, const char *text);
/* Fails unless this stands here. */
void parser_need_operator(struct jinja_parser *p, const char *text);
void parser_need_word(struct jinja_parser *p, const char *text);
void parser_need_kind(struct jinja_parser *p, enum jinja_token_kind kind, const char *text);
struct bytes parser_need_name(struct jinja_parser *p);
void parser_fail_expected(struct jinja_parser *p, const char *what);

/* A if B else C; without `choice` an `if` behind it belongs to the `for` around. Never NULL. */
const struct jinja_node *parser_expression(struct jinja_parser *p, bool choice);
/* A, B without parentheses. */
const struct jinja_node *parser_tuple(struct jinja_parser *p, bool choice);
/* NAME(...) behind a bar. */
const struct jinja_node *parser_filter(struct jinja_parser *p, const struct jinja_node *of);

#endif

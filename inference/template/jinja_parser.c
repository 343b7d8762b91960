/* Templates: the parser's cursor and its nodes. */
#include "inference/template/jinja_parser.h"

#include <string.h>

/* Never NULL. */
struct jinja_node *parser_node_new(struct jinja_parser *p, enum jinja_op op)
{
    struct jinja_node *n = jinja_alloc(p->j, 1, sizeof *n);
    if (!n)
        return &p->spare;
    n->op = op;
    n->line = p->tokens[p->at].line;
    return n;
}

/* `name` makes the kid a named argument. */
void parser_node_add_named(struct jinja_parser *p, struct jinja_node *n, const struct jinja_node *kid,
                           struct bytes name)
{
    if (p->j->err != ERR_OK)
        return;
    if (n->n == n->room) {
        size_t room = n->room ? 2 * n->room : 4;
        const struct jinja_node **kids = jinja_alloc(p->j, room, sizeof *kids);
        struct bytes *names = jinja_alloc(p->j, room, sizeof *names);
        if (!kids || !names)
            return;
        if (n->n) {
            memcpy(kids, n->kids, n->n * sizeof *kids);
            memcpy(names, n->names, n->n * sizeof *names);
        }
        n->kids = kids;
        n->names = names;
        n->room = room;
    }
    n->kids[n->n] = kid;
    n->names[n->n++] = name;
}

void parser_node_add(struct jinja_parser *p, struct jinja_node *n, const struct jinja_node *kid)
{
    parser_node_add_named(p, n, kid, bytes_of(NULL, 0));
}

const struct jinja_node *parser_node_two(struct jinja_parser *p, enum jinja_op op, const struct jinja_node *a,
                                         const struct jinja_node *b, struct bytes name)
{
    struct jinja_node *n = parser_node_new(p, op);
    parser_node_add(p, n, a);
    if (b)
        parser_node_add(p, n, b);
    n->name = name;
    return n;
}

const struct jinja_node *parser_node_literal(struct jinja_parser *p, struct jinja_value value)
{
    struct jinja_node *n = parser_node_new(p, JINJA_OP_LITERAL);
    n->value = value;
    return n;
}

const struct jinja_token *parser_peek(const struct jinja_parser *p)
{
    return &p->tokens[p->at];
}

void parser_next(struct jinja_parser *p)
{
    if (parser_peek(p)->kind != JINJA_END)
        p->at++;
    p->j->line = parser_peek(p)->line;
}

bool parser_is_text(const struct jinja_token *t, enum jinja_token_kind kind, const char *text)
{
    return t->kind == kind && bytes_equal(t->text, bytes_of_text(text));
}

bool parser_at_operator(const struct jinja_parser *p, const char *text)
{
    return parser_is_text(parser_peek(p), JINJA_OPERATOR, text);
}

bool parser_at_word(const struct jinja_parser *p, const char *text)
{
    return parser_is_text(parser_peek(p), JINJA_NAME, text);
}

bool parser_take_operator(struct jinja_parser *p, const char *text)
{
    if (p->j->err != ERR_OK || !parser_at_operator(p, text))
        return false;
    parser_next(p);
    return true;
}

bool parser_take_word(struct jinja_parser *p, const char *text)
{
    if (p->j->err != ERR_OK || !parser_at_word(p, text))
        return false;
    parser_next(p);
    return true;
}

void parser_fail_expected(struct jinja_parser *p, const char *what)
{
    const struct jinja_token *t = parser_peek(p);
    static const char *const kinds[] = {"the end of the template", "text", "{{", "}}", "{%", "%}"};
    if (t->kind <= JINJA_BLOCK_END)
        jinja_fail(p->j, ERR_FORMAT, "%s expected before %s", what, kinds[t->kind]);
    else
        jinja_fail(p->j, ERR_FORMAT, "%s expected before '%.*s'", what, (int)(t->text.n < 40 ? t->text.n : 40),
                   t->text.n ? (const char *)t->text.p : "");
}

void parser_need_operator(struct jinja_parser *p, const char *text)
{
    if (!parser_take_operator(p, text))
        parser_fail_expected(p, text);
}

void parser_need_word(struct jinja_parser *p, const char *text)
{
    if (!parser_take_word(p, text))
        parser_fail_expected(p, text);
}

void parser_need_kind(struct jinja_parser *p, enum jinja_token_kind kind, const char *text)
{
    if (parser_peek(p)->kind != kind)
        parser_fail_expected(p, text);
    parser_next(p);
}

struct bytes parser_need_name(struct jinja_parser *p)
{
    struct bytes name = parser_peek(p)->text;
    parser_need_kind(p, JINJA_NAME, "a name");
    return name;
}

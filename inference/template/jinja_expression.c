/* Templates: expressions, by recursive descent. One function a level of precedence, loosest first: choice, or,
 * and, not, comparison, + -, ~, * / // %, **, sign, then filters, tests and postfixes. Chains are counted
 * and nesting is entered, so that neither this descent nor the walk over the tree outgrows the stack. */
#include "inference/template/jinja_parser.h"

#include <string.h>

static const struct jinja_node *parse_unary(struct jinja_parser *p, bool filters);

/* (A, B, name=C) behind `node`'s kids. */
static void parse_arguments(struct jinja_parser *p, struct jinja_node *node)
{
    size_t before = node->n;
    parser_need_operator(p, "(");
    while (p->j->err == ERR_OK && !parser_at_operator(p, ")")) {
        struct bytes name = {NULL, 0};
        if (parser_at_operator(p, "*") || parser_at_operator(p, "**"))
            jinja_fail(p->j, ERR_UNSUPPORTED, "arguments unpacked by * and ** are not supported");
        if (parser_peek(p)->kind == JINJA_NAME && parser_is_text(&p->tokens[p->at + 1], JINJA_OPERATOR, "=")) {
            name = parser_need_name(p);
            parser_next(p);
        }
        parser_node_add_named(p, node, parser_expression(p, true), name);
        if (node->n - before > TEMPLATE_ARGS_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d arguments", TEMPLATE_ARGS_MAX);
        if (!parser_take_operator(p, ","))
            break;
    }
    parser_need_operator(p, ")");
}

/* What stands between brackets, up to `end`; a lone expression where `tuples` and no comma follows. */
static const struct jinja_node *parse_sequence(struct jinja_parser *p, const char *end, bool tuples)
{
    struct jinja_node *list = parser_node_new(p, JINJA_OP_LIST);
    list->flag = tuples;
    while (p->j->err == ERR_OK && !parser_at_operator(p, end)) {
        const struct jinja_node *item = parser_expression(p, true);
        if (tuples && list->n == 0 && parser_at_operator(p, end)) {
            parser_next(p);
            return item;
        }
        parser_node_add(p, list, item);
        if (!parser_take_operator(p, ","))
            break;
    }
    parser_need_operator(p, end);
    return list;
}

static const struct jinja_node *parse_dict(struct jinja_parser *p)
{
    struct jinja_node *dict = parser_node_new(p, JINJA_OP_DICT);
    while (p->j->err == ERR_OK && !parser_at_operator(p, "}")) {
        parser_node_add(p, dict, parser_expression(p, true));
        parser_need_operator(p, ":");
        parser_node_add(p, dict, parser_expression(p, true));
        if (!parser_take_operator(p, ","))
            break;
    }
    parser_need_operator(p, "}");
    return dict;
}

static const struct jinja_node *parse_word(struct jinja_parser *p)
{
    static const struct {
        const char *word;
        struct jinja_value value;
    } constants[] = {
        {"true", {.kind = JINJA_FLAG, .flag = true}},
        {"True", {.kind = JINJA_FLAG, .flag = true}},
        {"false", {.kind = JINJA_FLAG, .flag = false}},
        {"False", {.kind = JINJA_FLAG, .flag = false}},
        {"none", {.kind = JINJA_NONE}},
        {"None", {.kind = JINJA_NONE}},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (parser_take_word(p, constants[i].word))
            return parser_node_literal(p, constants[i].value);
    struct jinja_node *node = parser_node_new(p, JINJA_OP_NAME);
    node->name = parser_need_name(p);
    return node;
}

static const struct jinja_node *parse_strings(struct jinja_parser *p)
{
    struct bytes text = {NULL, 0}; /* neighbours become one */
    for (; p->j->err == ERR_OK && parser_peek(p)->kind == JINJA_STRING; parser_next(p))
        text = jinja_join(p->j, text, parser_peek(p)->text);
    return parser_node_literal(p, jinja_text(text));
}

static const struct jinja_node *parse_primary(struct jinja_parser *p)
{
    const struct jinja_token *t = parser_peek(p);
    if (parser_take_operator(p, "("))
        return parse_sequence(p, ")", true);
    if (parser_take_operator(p, "["))
        return parse_sequence(p, "]", false);
    if (parser_take_operator(p, "{"))
        return parse_dict(p);
    switch (t->kind) {
    case JINJA_NAME:
        return parse_word(p);
    case JINJA_STRING:
        return parse_strings(p);
    case JINJA_NUMBER_INTEGER:
        parser_next(p);
        return parser_node_literal(p, jinja_integer(t->integer));
    case JINJA_NUMBER_REAL:
        parser_next(p);
        return parser_node_literal(p, jinja_real(t->real));
    default:
        parser_fail_expected(p, "an expression");
        return parser_node_new(p, JINJA_OP_LITERAL);
    }
}

/* [A], [A:B], [A:B:C] with any of them left out. */
static const struct jinja_node *parse_subscript(struct jinja_parser *p, const struct jinja_node *of)
{
    const struct jinja_node *parts[3] = {NULL, NULL, NULL};
    size_t n = 0;
    bool slice = false;
    while (p->j->err == ERR_OK && !parser_at_operator(p, "]")) {
        if (parser_take_operator(p, ":")) {
            slice = true;
            if (++n > 2)
                break;
        } else if (parts[n])
            break;
        else
            parts[n] = parser_expression(p, true);
    }
    parser_need_operator(p, "]");
    if (!slice) {
        if (!parts[0])
            jinja_fail(p->j, ERR_FORMAT, "an index expected between [ and ]");
        return parser_node_two(p, JINJA_OP_INDEX, of, parts[0], bytes_of(NULL, 0));
    }
    struct jinja_node *node = parser_node_new(p, JINJA_OP_SLICE);
    parser_node_add(p, node, of);
    for (size_t i = 0; i < 3; i++)
        parser_node_add(p, node, parts[i]);
    return node;
}

static const struct jinja_node *parse_member(struct jinja_parser *p, const struct jinja_node *of)
{
    if (parser_peek(p)->kind == JINJA_NUMBER_INTEGER) {
        int64_t index = parser_peek(p)->integer;
        parser_next(p);
        return parser_node_two(p, JINJA_OP_INDEX, of, parser_node_literal(p, jinja_integer(index)), bytes_of(NULL, 0));
    }
    return parser_node_two(p, JINJA_OP_MEMBER, of, NULL, parser_need_name(p));
}

static const struct jinja_node *parse_call(struct jinja_parser *p, const struct jinja_node *of)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_CALL);
    parser_node_add(p, node, of);
    parse_arguments(p, node);
    return node;
}

static const struct jinja_node *parse_postfix(struct jinja_parser *p, const struct jinja_node *node)
{
    for (unsigned depth = 0; p->j->err == ERR_OK; depth++) {
        if (depth > TEMPLATE_DEPTH_MAX) {
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d parts", TEMPLATE_DEPTH_MAX);
        } else if (parser_take_operator(p, "."))
            node = parse_member(p, node);
        else if (parser_take_operator(p, "["))
            node = parse_subscript(p, node);
        else if (parser_at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

/* Names with dots are one name. */
static struct bytes parse_dotted(struct jinja_parser *p)
{
    struct bytes name = parser_need_name(p);
    while (parser_take_operator(p, "."))
        name = jinja_join(p->j, jinja_join(p->j, name, bytes_of_text(".")), parser_need_name(p));
    return name;
}

const struct jinja_node *parser_filter(struct jinja_parser *p, const struct jinja_node *of)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_FILTER);
    parser_node_add(p, node, of);
    node->name = parse_dotted(p);
    if (parser_at_operator(p, "("))
        parse_arguments(p, node);
    return node;
}

/* An argument without parentheses: `is divisibleby 3`. */
static bool at_bare_argument(const struct jinja_parser *p)
{
    switch (parser_peek(p)->kind) {
    case JINJA_STRING:
    case JINJA_NUMBER_INTEGER:
    case JINJA_NUMBER_REAL:
        return true;
    case JINJA_NAME:
        return !parser_at_word(p, "else") && !parser_at_word(p, "or") && !parser_at_word(p, "and") &&
               !parser_at_word(p, "is") && !parser_at_word(p, "if") && !parser_at_word(p, "in") &&
               !parser_at_word(p, "not") && !parser_at_word(p, "recursive");
    default:
        return parser_at_operator(p, "[") || parser_at_operator(p, "{");
    }
}

static const struct jinja_node *parse_test(struct jinja_parser *p, const struct jinja_node *of)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_TEST);
    parser_node_add(p, node, of);
    node->flag = parser_take_word(p, "not");
    node->name = parse_dotted(p);
    if (parser_at_operator(p, "("))
        parse_arguments(p, node);
    else if (at_bare_argument(p))
        parser_node_add(p, node, parse_postfix(p, parse_primary(p)));
    return node;
}

static const struct jinja_node *parse_filters(struct jinja_parser *p, const struct jinja_node *node)
{
    for (unsigned depth = 0; p->j->err == ERR_OK; depth++) {
        if (depth > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d filters in a row", TEMPLATE_DEPTH_MAX);
        else if (parser_take_operator(p, "|"))
            node = parser_filter(p, node);
        else if (parser_take_word(p, "is"))
            node = parse_test(p, node);
        else if (parser_at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

static const struct jinja_node *parse_unary(struct jinja_parser *p, bool filters)
{
    const struct jinja_node *node = NULL;
    if (jinja_enter(p->j)) {
        if (parser_take_operator(p, "-"))
            node = parser_node_two(p, JINJA_OP_NEGATE, parse_unary(p, false), NULL, bytes_of(NULL, 0));
        else if (parser_take_operator(p, "+"))
            node = parser_node_two(p, JINJA_OP_PLUS, parse_unary(p, false), NULL, bytes_of(NULL, 0));
        else
            node = parse_primary(p);
        node = parse_postfix(p, node);
        if (filters)
            node = parse_filters(p, node);
    }
    p->j->depth--;
    return node ? node : parser_node_new(p, JINJA_OP_LITERAL);
}

/* Binary operators by level, tightest last; all group to the left. */
static const char *const levels[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
#define LEVELS (sizeof levels / sizeof *levels)

static const struct jinja_node *parse_level(struct jinja_parser *p, size_t level)
{
    if (level == LEVELS)
        return parse_unary(p, true);
    const struct jinja_node *left = parse_level(p, level + 1);
    for (unsigned operands = 0; p->j->err == ERR_OK; operands++) {
        const struct jinja_token *t = parser_peek(p);
        bool found = false;
        for (size_t i = 0; levels[level][i] && !found; i++)
            found = parser_at_operator(p, levels[level][i]);
        if (!found)
            break;
        if (operands > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d operands", TEMPLATE_DEPTH_MAX);
        parser_next(p);
        left = parser_node_two(p, JINJA_OP_BINARY, left, parse_level(p, level + 1), t->text);
    }
    return left;
}

/* The comparison that stands here: its name, or an empty one. */
static struct bytes take_comparison(struct jinja_parser *p)
{
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">=", "in"};
    struct bytes name = parser_peek(p)->text;
    for (size_t i = 0; i + 1 < sizeof signs / sizeof *signs; i++)
        if (parser_take_operator(p, signs[i]))
            return name;
    if (parser_take_word(p, "in"))
        return name;
    if (parser_at_word(p, "not") && parser_is_text(&p->tokens[p->at + 1], JINJA_NAME, "in")) {
        parser_next(p);
        parser_next(p);
        return bytes_of_text("not in");
    }
    return bytes_of(NULL, 0);
}

/* a < b < c is a < b and b < c. */
static const struct jinja_node *parse_comparison(struct jinja_parser *p)
{
    const struct jinja_node *left = parse_level(p, 0), *all = NULL;
    struct bytes sign;
    for (unsigned n = 0; p->j->err == ERR_OK && (sign = take_comparison(p)).n; n++) {
        const struct jinja_node *right = parse_level(p, 0);
        const struct jinja_node *one = parser_node_two(p, JINJA_OP_BINARY, left, right, sign);
        all = all ? parser_node_two(p, JINJA_OP_AND, all, one, bytes_of(NULL, 0)) : one;
        left = right;
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d comparisons", TEMPLATE_DEPTH_MAX);
    }
    return all ? all : left;
}

static const struct jinja_node *parse_not(struct jinja_parser *p)
{
    const struct jinja_node *node = NULL;
    if (!parser_at_word(p, "not"))
        return parse_comparison(p);
    parser_next(p);
    if (jinja_enter(p->j))
        node = parser_node_two(p, JINJA_OP_NOT, parse_not(p), NULL, bytes_of(NULL, 0));
    p->j->depth--;
    return node ? node : parser_node_new(p, JINJA_OP_LITERAL);
}

static const struct jinja_node *parse_and(struct jinja_parser *p)
{
    const struct jinja_node *left = parse_not(p);
    for (unsigned n = 0; parser_take_word(p, "and"); n++) {
        left = parser_node_two(p, JINJA_OP_AND, left, parse_not(p), bytes_of(NULL, 0));
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d operands", TEMPLATE_DEPTH_MAX);
    }
    return left;
}

static const struct jinja_node *parse_or(struct jinja_parser *p)
{
    const struct jinja_node *left = parse_and(p);
    for (unsigned n = 0; parser_take_word(p, "or"); n++) {
        left = parser_node_two(p, JINJA_OP_OR, left, parse_and(p), bytes_of(NULL, 0));
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d operands", TEMPLATE_DEPTH_MAX);
    }
    return left;
}

const struct jinja_node *parser_expression(struct jinja_parser *p, bool choice)
{
    const struct jinja_node *node = NULL;
    if (jinja_enter(p->j)) {
        node = parse_or(p);
        for (unsigned n = 0; choice && parser_take_word(p, "if"); n++) {
            struct jinja_node *whole = parser_node_new(p, JINJA_OP_CHOICE);
            parser_node_add(p, whole, parse_or(p));
            parser_node_add(p, whole, node);
            parser_node_add(p, whole, parser_take_word(p, "else") ? parser_expression(p, true) : NULL);
            node = whole;
            if (n > TEMPLATE_DEPTH_MAX)
                jinja_fail(p->j, ERR_LIMIT, "more than %d choices in a row", TEMPLATE_DEPTH_MAX);
        }
    }
    p->j->depth--;
    return node ? node : parser_node_new(p, JINJA_OP_LITERAL);
}

const struct jinja_node *parser_tuple(struct jinja_parser *p, bool choice)
{
    const struct jinja_node *first = parser_expression(p, choice);
    if (!parser_at_operator(p, ","))
        return first;
    struct jinja_node *list = parser_node_new(p, JINJA_OP_LIST);
    list->flag = true;
    parser_node_add(p, list, first);
    while (parser_take_operator(p, ",") && parser_peek(p)->kind != JINJA_BLOCK_END &&
           parser_peek(p)->kind != JINJA_PRINT_END)
        parser_node_add(p, list, parser_expression(p, choice));
    return list;
}

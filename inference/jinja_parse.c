/* Templates: tokens to a tree, by recursive descent. One function a level of precedence, loosest
 * first: choice, or, and, not, comparison, + -, ~, * / // %, **, sign, then filters, tests and postfixes. */
#include "inference/jinja.h"

#include <string.h>

struct parser {
    struct jinja *j;
    const struct jinja_token *tokens;
    size_t at;
    struct jinja_node spare; /* what is built when memory is used up: nobody will run it */
};

static const struct jinja_node *parse_expression(struct parser *p, bool choice);
static const struct jinja_node *parse_unary(struct parser *p, bool filters);
static const struct jinja_node *parse_body(struct parser *p);

/* -- nodes -- */

/* Never NULL. */
static struct jinja_node *node_new(struct parser *p, enum jinja_op op)
{
    struct jinja_node *n = jinja_alloc(p->j, 1, sizeof *n);
    if (!n)
        return &p->spare;
    n->op = op;
    n->line = p->tokens[p->at].line;
    return n;
}

/* `name` makes the kid a named argument. */
static void node_add_named(struct parser *p, struct jinja_node *n, const struct jinja_node *kid, struct bytes name)
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

static void node_add(struct parser *p, struct jinja_node *n, const struct jinja_node *kid)
{
    node_add_named(p, n, kid, bytes_of(NULL, 0));
}

static const struct jinja_node *node_two(struct parser *p, enum jinja_op op, const struct jinja_node *a,
                                         const struct jinja_node *b, struct bytes name)
{
    struct jinja_node *n = node_new(p, op);
    node_add(p, n, a);
    if (b)
        node_add(p, n, b);
    n->name = name;
    return n;
}

static const struct jinja_node *node_literal(struct parser *p, struct jinja_value value)
{
    struct jinja_node *n = node_new(p, JINJA_OP_LITERAL);
    n->value = value;
    return n;
}

/* -- tokens -- */

static const struct jinja_token *peek(const struct parser *p)
{
    return &p->tokens[p->at];
}

static void next(struct parser *p)
{
    if (peek(p)->kind != JINJA_END)
        p->at++;
    p->j->line = peek(p)->line;
}

static bool is_text(const struct jinja_token *t, enum jinja_token_kind kind, const char *text)
{
    return t->kind == kind && bytes_equal(t->text, bytes_of_text(text));
}

static bool at_operator(const struct parser *p, const char *text)
{
    return is_text(peek(p), JINJA_OPERATOR, text);
}

static bool at_word(const struct parser *p, const char *text)
{
    return is_text(peek(p), JINJA_NAME, text);
}

static bool take_operator(struct parser *p, const char *text)
{
    if (p->j->err != ERR_OK || !at_operator(p, text))
        return false;
    next(p);
    return true;
}

static bool take_word(struct parser *p, const char *text)
{
    if (p->j->err != ERR_OK || !at_word(p, text))
        return false;
    next(p);
    return true;
}

static void fail_expected(struct parser *p, const char *what)
{
    const struct jinja_token *t = peek(p);
    static const char *const kinds[] = {"the end of the template", "text", "{{", "}}", "{%", "%}"};
    if (t->kind <= JINJA_BLOCK_END)
        jinja_fail(p->j, ERR_FORMAT, "%s expected before %s", what, kinds[t->kind]);
    else
        jinja_fail(p->j, ERR_FORMAT, "%s expected before '%.*s'", what, (int)(t->text.n < 40 ? t->text.n : 40),
                   t->text.n ? (const char *)t->text.p : "");
}

static void need_operator(struct parser *p, const char *text)
{
    if (!take_operator(p, text))
        fail_expected(p, text);
}

static void need_word(struct parser *p, const char *text)
{
    if (!take_word(p, text))
        fail_expected(p, text);
}

static void need_kind(struct parser *p, enum jinja_token_kind kind, const char *text)
{
    if (peek(p)->kind != kind)
        fail_expected(p, text);
    next(p);
}

static struct bytes need_name(struct parser *p)
{
    struct bytes name = peek(p)->text;
    need_kind(p, JINJA_NAME, "a name");
    return name;
}

/* -- expressions -- */

/* (A, B, name=C) behind `node`'s kids. */
static void parse_arguments(struct parser *p, struct jinja_node *node)
{
    size_t before = node->n;
    need_operator(p, "(");
    while (p->j->err == ERR_OK && !at_operator(p, ")")) {
        struct bytes name = {NULL, 0};
        if (peek(p)->kind == JINJA_NAME && is_text(&p->tokens[p->at + 1], JINJA_OPERATOR, "=")) {
            name = need_name(p);
            next(p);
        }
        node_add_named(p, node, parse_expression(p, true), name);
        if (node->n - before > TEMPLATE_ARGS_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d arguments", TEMPLATE_ARGS_MAX);
        if (!take_operator(p, ","))
            break;
    }
    need_operator(p, ")");
}

/* What stands between brackets, up to `end`; a lone expression where `tuples` and no comma follows. */
static const struct jinja_node *parse_sequence(struct parser *p, const char *end, bool tuples)
{
    struct jinja_node *list = node_new(p, JINJA_OP_LIST);
    list->flag = tuples;
    while (p->j->err == ERR_OK && !at_operator(p, end)) {
        const struct jinja_node *item = parse_expression(p, true);
        if (tuples && list->n == 0 && at_operator(p, end)) {
            next(p);
            return item;
        }
        node_add(p, list, item);
        if (!take_operator(p, ","))
            break;
    }
    need_operator(p, end);
    return list;
}

static const struct jinja_node *parse_dict(struct parser *p)
{
    struct jinja_node *dict = node_new(p, JINJA_OP_DICT);
    while (p->j->err == ERR_OK && !at_operator(p, "}")) {
        node_add(p, dict, parse_expression(p, true));
        need_operator(p, ":");
        node_add(p, dict, parse_expression(p, true));
        if (!take_operator(p, ","))
            break;
    }
    need_operator(p, "}");
    return dict;
}

static const struct jinja_node *parse_word(struct parser *p)
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
        if (take_word(p, constants[i].word))
            return node_literal(p, constants[i].value);
    struct jinja_node *node = node_new(p, JINJA_OP_NAME);
    node->name = need_name(p);
    return node;
}

static const struct jinja_node *parse_strings(struct parser *p)
{
    struct bytes text = {NULL, 0}; /* neighbours become one */
    for (; p->j->err == ERR_OK && peek(p)->kind == JINJA_STRING; next(p))
        text = jinja_join(p->j, text, peek(p)->text);
    return node_literal(p, jinja_text(text));
}

static const struct jinja_node *parse_primary(struct parser *p)
{
    const struct jinja_token *t = peek(p);
    if (take_operator(p, "("))
        return parse_sequence(p, ")", true);
    if (take_operator(p, "["))
        return parse_sequence(p, "]", false);
    if (take_operator(p, "{"))
        return parse_dict(p);
    switch (t->kind) {
    case JINJA_NAME:
        return parse_word(p);
    case JINJA_STRING:
        return parse_strings(p);
    case JINJA_NUMBER_INTEGER:
        next(p);
        return node_literal(p, jinja_integer(t->integer));
    case JINJA_NUMBER_REAL:
        next(p);
        return node_literal(p, jinja_real(t->real));
    default:
        fail_expected(p, "an expression");
        return node_new(p, JINJA_OP_LITERAL);
    }
}

/* [A], [A:B], [A:B:C] with any of them left out. */
static const struct jinja_node *parse_subscript(struct parser *p, const struct jinja_node *of)
{
    const struct jinja_node *parts[3] = {NULL, NULL, NULL};
    size_t n = 0;
    bool slice = false;
    while (p->j->err == ERR_OK && !at_operator(p, "]")) {
        if (take_operator(p, ":")) {
            slice = true;
            if (++n > 2)
                break;
        } else if (parts[n])
            break;
        else
            parts[n] = parse_expression(p, true);
    }
    need_operator(p, "]");
    if (!slice) {
        if (!parts[0])
            jinja_fail(p->j, ERR_FORMAT, "an index expected between [ and ]");
        return node_two(p, JINJA_OP_INDEX, of, parts[0], bytes_of(NULL, 0));
    }
    struct jinja_node *node = node_new(p, JINJA_OP_SLICE);
    node_add(p, node, of);
    for (size_t i = 0; i < 3; i++)
        node_add(p, node, parts[i]);
    return node;
}

static const struct jinja_node *parse_member(struct parser *p, const struct jinja_node *of)
{
    if (peek(p)->kind == JINJA_NUMBER_INTEGER) {
        int64_t index = peek(p)->integer;
        next(p);
        return node_two(p, JINJA_OP_INDEX, of, node_literal(p, jinja_integer(index)), bytes_of(NULL, 0));
    }
    return node_two(p, JINJA_OP_MEMBER, of, NULL, need_name(p));
}

static const struct jinja_node *parse_call(struct parser *p, const struct jinja_node *of)
{
    struct jinja_node *node = node_new(p, JINJA_OP_CALL);
    node_add(p, node, of);
    parse_arguments(p, node);
    return node;
}

static const struct jinja_node *parse_postfix(struct parser *p, const struct jinja_node *node)
{
    for (unsigned depth = 0; p->j->err == ERR_OK; depth++) {
        if (depth > TEMPLATE_DEPTH_MAX) {
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d parts", TEMPLATE_DEPTH_MAX);
        } else if (take_operator(p, "."))
            node = parse_member(p, node);
        else if (take_operator(p, "["))
            node = parse_subscript(p, node);
        else if (at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

/* Names with dots are one name. */
static struct bytes parse_dotted(struct parser *p)
{
    struct bytes name = need_name(p);
    while (take_operator(p, "."))
        name = jinja_join(p->j, jinja_join(p->j, name, bytes_of_text(".")), need_name(p));
    return name;
}

static const struct jinja_node *parse_filter(struct parser *p, const struct jinja_node *of)
{
    struct jinja_node *node = node_new(p, JINJA_OP_FILTER);
    node_add(p, node, of);
    node->name = parse_dotted(p);
    if (at_operator(p, "("))
        parse_arguments(p, node);
    return node;
}

/* An argument without parentheses: `is divisibleby 3`. */
static bool at_bare_argument(const struct parser *p)
{
    switch (peek(p)->kind) {
    case JINJA_STRING:
    case JINJA_NUMBER_INTEGER:
    case JINJA_NUMBER_REAL:
        return true;
    case JINJA_NAME:
        return !at_word(p, "else") && !at_word(p, "or") && !at_word(p, "and") && !at_word(p, "is") &&
               !at_word(p, "if") && !at_word(p, "in") && !at_word(p, "not") && !at_word(p, "recursive");
    default:
        return at_operator(p, "[") || at_operator(p, "{");
    }
}

static const struct jinja_node *parse_test(struct parser *p, const struct jinja_node *of)
{
    struct jinja_node *node = node_new(p, JINJA_OP_TEST);
    node_add(p, node, of);
    node->flag = take_word(p, "not");
    node->name = parse_dotted(p);
    if (at_operator(p, "("))
        parse_arguments(p, node);
    else if (at_bare_argument(p))
        node_add(p, node, parse_postfix(p, parse_primary(p)));
    return node;
}

static const struct jinja_node *parse_filters(struct parser *p, const struct jinja_node *node)
{
    for (unsigned depth = 0; p->j->err == ERR_OK; depth++) {
        if (depth > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d filters in a row", TEMPLATE_DEPTH_MAX);
        else if (take_operator(p, "|"))
            node = parse_filter(p, node);
        else if (take_word(p, "is"))
            node = parse_test(p, node);
        else if (at_operator(p, "("))
            node = parse_call(p, node);
        else
            break;
    }
    return node;
}

static const struct jinja_node *parse_unary(struct parser *p, bool filters)
{
    const struct jinja_node *node = NULL;
    if (jinja_enter(p->j)) {
        if (take_operator(p, "-"))
            node = node_two(p, JINJA_OP_NEGATE, parse_unary(p, false), NULL, bytes_of(NULL, 0));
        else if (take_operator(p, "+"))
            node = node_two(p, JINJA_OP_PLUS, parse_unary(p, false), NULL, bytes_of(NULL, 0));
        else
            node = parse_primary(p);
        node = parse_postfix(p, node);
        if (filters)
            node = parse_filters(p, node);
    }
    p->j->depth--;
    return node ? node : node_new(p, JINJA_OP_LITERAL);
}

/* Binary operators by level, tightest last; all group to the left. */
static const char *const levels[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
#define LEVELS (sizeof levels / sizeof *levels)

static const struct jinja_node *parse_level(struct parser *p, size_t level)
{
    if (level == LEVELS)
        return parse_unary(p, true);
    const struct jinja_node *left = parse_level(p, level + 1);
    for (unsigned operands = 0; p->j->err == ERR_OK; operands++) {
        const struct jinja_token *t = peek(p);
        bool found = false;
        for (size_t i = 0; levels[level][i] && !found; i++)
            found = at_operator(p, levels[level][i]);
        if (!found)
            break;
        if (operands > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d operands", TEMPLATE_DEPTH_MAX);
        next(p);
        left = node_two(p, JINJA_OP_BINARY, left, parse_level(p, level + 1), t->text);
    }
    return left;
}

/* The comparison that stands here: its name, or an empty one. */
static struct bytes take_comparison(struct parser *p)
{
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">=", "in"};
    struct bytes name = peek(p)->text;
    for (size_t i = 0; i + 1 < sizeof signs / sizeof *signs; i++)
        if (take_operator(p, signs[i]))
            return name;
    if (take_word(p, "in"))
        return name;
    if (at_word(p, "not") && is_text(&p->tokens[p->at + 1], JINJA_NAME, "in")) {
        next(p);
        next(p);
        return bytes_of_text("not in");
    }
    return bytes_of(NULL, 0);
}

/* a < b < c is a < b and b < c. */
static const struct jinja_node *parse_comparison(struct parser *p)
{
    const struct jinja_node *left = parse_level(p, 0), *all = NULL;
    struct bytes sign;
    for (unsigned n = 0; p->j->err == ERR_OK && (sign = take_comparison(p)).n; n++) {
        const struct jinja_node *right = parse_level(p, 0);
        const struct jinja_node *one = node_two(p, JINJA_OP_BINARY, left, right, sign);
        all = all ? node_two(p, JINJA_OP_AND, all, one, bytes_of(NULL, 0)) : one;
        left = right;
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d comparisons", TEMPLATE_DEPTH_MAX);
    }
    return all ? all : left;
}

static const struct jinja_node *parse_not(struct parser *p)
{
    const struct jinja_node *node = NULL;
    if (!at_word(p, "not"))
        return parse_comparison(p);
    next(p);
    if (jinja_enter(p->j))
        node = node_two(p, JINJA_OP_NOT, parse_not(p), NULL, bytes_of(NULL, 0));
    p->j->depth--;
    return node ? node : node_new(p, JINJA_OP_LITERAL);
}

static const struct jinja_node *parse_and(struct parser *p)
{
    const struct jinja_node *left = parse_not(p);
    for (unsigned n = 0; take_word(p, "and"); n++) {
        left = node_two(p, JINJA_OP_AND, left, parse_not(p), bytes_of(NULL, 0));
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d operands", TEMPLATE_DEPTH_MAX);
    }
    return left;
}

static const struct jinja_node *parse_or(struct parser *p)
{
    const struct jinja_node *left = parse_and(p);
    for (unsigned n = 0; take_word(p, "or"); n++) {
        left = node_two(p, JINJA_OP_OR, left, parse_and(p), bytes_of(NULL, 0));
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "an expression of more than %d operands", TEMPLATE_DEPTH_MAX);
    }
    return left;
}

/* A if B else C; without `choice` the `if` belongs to the `for` around. */
static const struct jinja_node *parse_expression(struct parser *p, bool choice)
{
    const struct jinja_node *node = NULL;
    if (jinja_enter(p->j)) {
        node = parse_or(p);
        for (unsigned n = 0; choice && take_word(p, "if"); n++) {
            struct jinja_node *whole = node_new(p, JINJA_OP_CHOICE);
            node_add(p, whole, parse_or(p));
            node_add(p, whole, node);
            node_add(p, whole, take_word(p, "else") ? parse_expression(p, true) : NULL);
            node = whole;
            if (n > TEMPLATE_DEPTH_MAX)
                jinja_fail(p->j, ERR_LIMIT, "more than %d choices in a row", TEMPLATE_DEPTH_MAX);
        }
    }
    p->j->depth--;
    return node ? node : node_new(p, JINJA_OP_LITERAL);
}

/* A, B without parentheses. */
static const struct jinja_node *parse_tuple(struct parser *p, bool choice)
{
    const struct jinja_node *first = parse_expression(p, choice);
    if (!at_operator(p, ","))
        return first;
    struct jinja_node *list = node_new(p, JINJA_OP_LIST);
    list->flag = true;
    node_add(p, list, first);
    while (take_operator(p, ",") && peek(p)->kind != JINJA_BLOCK_END && peek(p)->kind != JINJA_PRINT_END)
        node_add(p, list, parse_expression(p, choice));
    return list;
}

/* -- statements -- */

/* What is assigned to: NAME, NAME.MEMBER, or several names with commas, in parentheses or not. */
static const struct jinja_node *parse_target(struct parser *p)
{
    bool brackets = take_operator(p, "(");
    struct jinja_node *list = node_new(p, JINJA_OP_LIST);
    do {
        struct jinja_node *name = node_new(p, JINJA_OP_NAME);
        name->name = need_name(p);
        if (at_operator(p, ".")) {
            next(p);
            node_add(p, list, node_two(p, JINJA_OP_MEMBER, name, NULL, need_name(p)));
        } else
            node_add(p, list, name);
    } while (take_operator(p, ",") && peek(p)->kind == JINJA_NAME);
    if (brackets)
        need_operator(p, ")");
    return list->n == 1 && !brackets ? list->kids[0] : list;
}

static void end_block(struct parser *p)
{
    need_kind(p, JINJA_BLOCK_END, "%}");
}

/* Behind a body: `{% WORD %}`. */
static void need_end(struct parser *p, const char *word)
{
    need_kind(p, JINJA_BLOCK_BEGIN, "{%");
    need_word(p, word);
}

/* The next block begins with this word; its {% is taken if so. */
static bool take_block(struct parser *p, const char *word)
{
    if (p->j->err != ERR_OK || peek(p)->kind != JINJA_BLOCK_BEGIN || !is_text(&p->tokens[p->at + 1], JINJA_NAME, word))
        return false;
    next(p);
    next(p);
    return true;
}

static const struct jinja_node *parse_if(struct parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_OP_IF);
    do {
        node_add(p, node, parse_expression(p, true));
        end_block(p);
        node_add(p, node, parse_body(p));
    } while (take_block(p, "elif"));
    if (take_block(p, "else")) {
        end_block(p);
        node_add(p, node, parse_body(p));
    }
    need_end(p, "endif");
    return node;
}

static const struct jinja_node *parse_for(struct parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_OP_FOR);
    node_add(p, node, parse_target(p));
    need_word(p, "in");
    node_add(p, node, parse_tuple(p, false));
    node_add(p, node, take_word(p, "if") ? parse_expression(p, true) : NULL);
    if (at_word(p, "recursive"))
        jinja_fail(p->j, ERR_UNSUPPORTED, "recursive loops are not supported");
    end_block(p);
    node_add(p, node, parse_body(p));
    if (take_block(p, "else")) {
        end_block(p);
        node_add(p, node, parse_body(p));
    } else
        node_add(p, node, NULL);
    need_end(p, "endfor");
    return node;
}

/* FILTER|FILTER... over the text that a body prints: the innermost kid is a NULL. */
static const struct jinja_node *parse_body_filters(struct parser *p)
{
    const struct jinja_node *node = parse_filter(p, NULL);
    for (unsigned n = 0; take_operator(p, "|"); n++) {
        node = parse_filter(p, node);
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d filters in a row", TEMPLATE_DEPTH_MAX);
    }
    return node;
}

static const struct jinja_node *parse_set(struct parser *p)
{
    const struct jinja_node *target = parse_target(p);
    if (take_operator(p, "="))
        return node_two(p, JINJA_OP_SET, target, parse_tuple(p, true), bytes_of(NULL, 0));
    struct jinja_node *node = node_new(p, JINJA_OP_SET_BODY);
    const struct jinja_node *filters = take_operator(p, "|") ? parse_body_filters(p) : NULL;
    end_block(p);
    node_add(p, node, target);
    node_add(p, node, parse_body(p));
    node_add(p, node, filters);
    need_end(p, "endset");
    return node;
}

/* kids[0] and names[0] are the body; the others are the parameters' defaults and names. */
static const struct jinja_node *parse_macro(struct parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_OP_MACRO);
    node->name = need_name(p);
    node_add(p, node, NULL);
    need_operator(p, "(");
    while (p->j->err == ERR_OK && !at_operator(p, ")")) {
        struct bytes name = need_name(p);
        node_add_named(p, node, take_operator(p, "=") ? parse_expression(p, true) : NULL, name);
        if (node->n - 1 > TEMPLATE_ARGS_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d parameters", TEMPLATE_ARGS_MAX);
        if (!take_operator(p, ","))
            break;
    }
    need_operator(p, ")");
    end_block(p);
    const struct jinja_node *body = parse_body(p);
    if (p->j->err == ERR_OK)
        node->kids[0] = body;
    if (take_block(p, "endmacro")) {
        if (peek(p)->kind == JINJA_NAME) /* {% endmacro NAME %} */
            next(p);
    } else
        fail_expected(p, "{% endmacro %}");
    return node;
}

static const struct jinja_node *parse_filtered(struct parser *p)
{
    struct jinja_node *node = node_new(p, JINJA_OP_FILTERED);
    node_add(p, node, parse_body_filters(p));
    end_block(p);
    node_add(p, node, parse_body(p));
    need_end(p, "endfilter");
    return node;
}

/* {% generation %} marks what a model wrote, for training: its body is printed as if it were not there. */
static const struct jinja_node *parse_generation(struct parser *p)
{
    end_block(p);
    const struct jinja_node *body = parse_body(p);
    need_end(p, "endgeneration");
    return body;
}

static const struct jinja_node *parse_do(struct parser *p)
{
    return node_two(p, JINJA_OP_DO, parse_tuple(p, true), NULL, bytes_of(NULL, 0));
}

static const struct jinja_node *parse_break(struct parser *p)
{
    return node_new(p, JINJA_OP_BREAK);
}

static const struct jinja_node *parse_continue(struct parser *p)
{
    return node_new(p, JINJA_OP_CONTINUE);
}

static const struct jinja_node *parse_statement(struct parser *p)
{
    static const struct {
        const char *word;
        const struct jinja_node *(*parse)(struct parser *p);
    } statements[] = {{"if", parse_if},
                      {"for", parse_for},
                      {"set", parse_set},
                      {"macro", parse_macro},
                      {"do", parse_do},
                      {"filter", parse_filtered},
                      {"break", parse_break},
                      {"continue", parse_continue},
                      {"generation", parse_generation}};
    const struct jinja_node *node = NULL;
    size_t i = 0, n = sizeof statements / sizeof *statements;
    while (i < n && !at_word(p, statements[i].word))
        i++;
    if (i == n) {
        struct bytes word = peek(p)->text;
        jinja_fail(p->j, ERR_UNSUPPORTED, "the statement '%.*s' is not supported here",
                   (int)(word.n < 40 ? word.n : 40), word.n ? (const char *)word.p : "");
        return NULL;
    }
    next(p);
    if (jinja_enter(p->j))
        node = statements[i].parse(p);
    p->j->depth--;
    end_block(p);
    return node;
}

/* These words end the body that they stand behind. */
static bool at_body_end(const struct parser *p)
{
    const struct jinja_token *word = &p->tokens[p->at + 1];
    return word->kind == JINJA_NAME && (is_text(word, JINJA_NAME, "else") || is_text(word, JINJA_NAME, "elif") ||
                                        (word->text.n > 3 && memcmp(word->text.p, "end", 3) == 0));
}

static const struct jinja_node *parse_body(struct parser *p)
{
    struct jinja_node *body = node_new(p, JINJA_OP_BODY);
    while (p->j->err == ERR_OK && peek(p)->kind != JINJA_END) {
        if (peek(p)->kind == JINJA_DATA) {
            struct jinja_node *data = node_new(p, JINJA_OP_DATA);
            data->name = peek(p)->text;
            node_add(p, body, data);
            next(p);
        } else if (peek(p)->kind == JINJA_PRINT_BEGIN) {
            next(p);
            node_add(p, body, node_two(p, JINJA_OP_PRINT, parse_tuple(p, true), NULL, bytes_of(NULL, 0)));
            need_kind(p, JINJA_PRINT_END, "}}");
        } else if (at_body_end(p))
            break;
        else {
            next(p);
            node_add(p, body, parse_statement(p));
        }
    }
    return body;
}

const struct jinja_node *jinja_parse(struct jinja *j, const struct jinja_tokens *tokens)
{
    if (j->err != ERR_OK)
        return NULL;
    struct parser p = {.j = j, .tokens = tokens->items};
    j->line = p.tokens[0].line;
    const struct jinja_node *body = parse_body(&p);
    if (j->err == ERR_OK && peek(&p)->kind != JINJA_END)
        fail_expected(&p, "the end of the template");
    return j->err == ERR_OK ? body : NULL;
}

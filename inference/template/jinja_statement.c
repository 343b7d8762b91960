/* Templates: statements, and the whole. */
#include "inference/template/jinja_parser.h"

#include <string.h>

static const struct jinja_node *parse_body(struct jinja_parser *p);

/* What is assigned to: NAME, NAME.MEMBER, or several names with commas, in parentheses or not. */
static const struct jinja_node *parse_target(struct jinja_parser *p)
{
    bool brackets = parser_take_operator(p, "(");
    struct jinja_node *list = parser_node_new(p, JINJA_OP_LIST);
    do {
        struct jinja_node *name = parser_node_new(p, JINJA_OP_NAME);
        name->name = parser_need_name(p);
        if (parser_at_operator(p, ".")) {
            parser_next(p);
            parser_node_add(p, list, parser_node_two(p, JINJA_OP_MEMBER, name, NULL, parser_need_name(p)));
        } else
            parser_node_add(p, list, name);
    } while (parser_take_operator(p, ",") && parser_peek(p)->kind == JINJA_NAME);
    if (brackets)
        parser_need_operator(p, ")");
    return list->n == 1 && !brackets ? list->kids[0] : list;
}

static void end_block(struct jinja_parser *p)
{
    parser_need_kind(p, JINJA_BLOCK_END, "%}");
}

/* Behind a body: `{% WORD %}`. */
static void need_end(struct jinja_parser *p, const char *word)
{
    parser_need_kind(p, JINJA_BLOCK_BEGIN, "{%");
    parser_need_word(p, word);
}

/* The next block begins with this word; its {% is taken if so. */
static bool take_block(struct jinja_parser *p, const char *word)
{
    if (p->j->err != ERR_OK || parser_peek(p)->kind != JINJA_BLOCK_BEGIN ||
        !parser_is_text(&p->tokens[p->at + 1], JINJA_NAME, word))
        return false;
    parser_next(p);
    parser_next(p);
    return true;
}

static const struct jinja_node *parse_if(struct jinja_parser *p)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_IF);
    do {
        parser_node_add(p, node, parser_expression(p, true));
        end_block(p);
        parser_node_add(p, node, parse_body(p));
    } while (take_block(p, "elif"));
    if (take_block(p, "else")) {
        end_block(p);
        parser_node_add(p, node, parse_body(p));
    }
    need_end(p, "endif");
    return node;
}

static const struct jinja_node *parse_for(struct jinja_parser *p)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_FOR);
    parser_node_add(p, node, parse_target(p));
    parser_need_word(p, "in");
    parser_node_add(p, node, parser_tuple(p, false));
    parser_node_add(p, node, parser_take_word(p, "if") ? parser_expression(p, true) : NULL);
    if (parser_at_word(p, "recursive"))
        jinja_fail(p->j, ERR_UNSUPPORTED, "recursive loops are not supported");
    end_block(p);
    parser_node_add(p, node, parse_body(p));
    if (take_block(p, "else")) {
        end_block(p);
        parser_node_add(p, node, parse_body(p));
    } else
        parser_node_add(p, node, NULL);
    need_end(p, "endfor");
    return node;
}

/* FILTER|FILTER... over the text that a body prints: the innermost kid is a NULL. */
static const struct jinja_node *parse_body_filters(struct jinja_parser *p)
{
    const struct jinja_node *node = parser_filter(p, NULL);
    for (unsigned n = 0; parser_take_operator(p, "|"); n++) {
        node = parser_filter(p, node);
        if (n > TEMPLATE_DEPTH_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d filters in a row", TEMPLATE_DEPTH_MAX);
    }
    return node;
}

static const struct jinja_node *parse_set(struct jinja_parser *p)
{
    const struct jinja_node *target = parse_target(p);
    if (parser_take_operator(p, "="))
        return parser_node_two(p, JINJA_OP_SET, target, parser_tuple(p, true), bytes_of(NULL, 0));
    struct jinja_node *node = parser_node_new(p, JINJA_OP_SET_BODY);
    const struct jinja_node *filters = parser_take_operator(p, "|") ? parse_body_filters(p) : NULL;
    end_block(p);
    parser_node_add(p, node, target);
    parser_node_add(p, node, parse_body(p));
    parser_node_add(p, node, filters);
    need_end(p, "endset");
    return node;
}

/* kids[0] and names[0] are the body; the others are the parameters' defaults and names. */
static const struct jinja_node *parse_macro(struct jinja_parser *p)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_MACRO);
    node->name = parser_need_name(p);
    parser_node_add(p, node, NULL);
    parser_need_operator(p, "(");
    while (p->j->err == ERR_OK && !parser_at_operator(p, ")")) {
        struct bytes name = parser_need_name(p);
        parser_node_add_named(p, node, parser_take_operator(p, "=") ? parser_expression(p, true) : NULL, name);
        if (node->n - 1 > TEMPLATE_ARGS_MAX)
            jinja_fail(p->j, ERR_LIMIT, "more than %d parameters", TEMPLATE_ARGS_MAX);
        if (!parser_take_operator(p, ","))
            break;
    }
    parser_need_operator(p, ")");
    end_block(p);
    const struct jinja_node *body = parse_body(p);
    if (p->j->err == ERR_OK)
        node->kids[0] = body;
    if (take_block(p, "endmacro")) {
        if (parser_peek(p)->kind == JINJA_NAME) /* {% endmacro NAME %} */
            parser_next(p);
    } else
        parser_fail_expected(p, "{% endmacro %}");
    return node;
}

static const struct jinja_node *parse_filtered(struct jinja_parser *p)
{
    struct jinja_node *node = parser_node_new(p, JINJA_OP_FILTERED);
    parser_node_add(p, node, parse_body_filters(p));
    end_block(p);
    parser_node_add(p, node, parse_body(p));
    need_end(p, "endfilter");
    return node;
}

/* {% generation %} marks what a model wrote, for training: its body is printed as if it were not there. */
static const struct jinja_node *parse_generation(struct jinja_parser *p)
{
    end_block(p);
    const struct jinja_node *body = parse_body(p);
    need_end(p, "endgeneration");
    return body;
}

static const struct jinja_node *parse_do(struct jinja_parser *p)
{
    return parser_node_two(p, JINJA_OP_DO, parser_tuple(p, true), NULL, bytes_of(NULL, 0));
}

static const struct jinja_node *parse_break(struct jinja_parser *p)
{
    return parser_node_new(p, JINJA_OP_BREAK);
}

static const struct jinja_node *parse_continue(struct jinja_parser *p)
{
    return parser_node_new(p, JINJA_OP_CONTINUE);
}

static const struct jinja_node *parse_statement(struct jinja_parser *p)
{
    static const struct {
        const char *word;
        const struct jinja_node *(*parse)(struct jinja_parser *p);
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
    while (i < n && !parser_at_word(p, statements[i].word))
        i++;
    if (i == n) {
        struct bytes word = parser_peek(p)->text;
        jinja_fail(p->j, ERR_UNSUPPORTED, "the statement '%.*s' is not supported here",
                   (int)(word.n < 40 ? word.n : 40), word.n ? (const char *)word.p : "");
        return NULL;
    }
    parser_next(p);
    if (jinja_enter(p->j))
        node = statements[i].parse(p);
    p->j->depth--;
    end_block(p);
    return node;
}

/* These words end the body that they stand behind. */
static bool at_body_end(const struct jinja_parser *p)
{
    const struct jinja_token *word = &p->tokens[p->at + 1];
    return word->kind == JINJA_NAME &&
           (parser_is_text(word, JINJA_NAME, "else") || parser_is_text(word, JINJA_NAME, "elif") ||
            (word->text.n > 3 && memcmp(word->text.p, "end", 3) == 0));
}

static const struct jinja_node *parse_body(struct jinja_parser *p)
{
    struct jinja_node *body = parser_node_new(p, JINJA_OP_BODY);
    while (p->j->err == ERR_OK && parser_peek(p)->kind != JINJA_END) {
        if (parser_peek(p)->kind == JINJA_DATA) {
            struct jinja_node *data = parser_node_new(p, JINJA_OP_DATA);
            data->name = parser_peek(p)->text;
            parser_node_add(p, body, data);
            parser_next(p);
        } else if (parser_peek(p)->kind == JINJA_PRINT_BEGIN) {
            parser_next(p);
            parser_node_add(p, body,
                            parser_node_two(p, JINJA_OP_PRINT, parser_tuple(p, true), NULL, bytes_of(NULL, 0)));
            parser_need_kind(p, JINJA_PRINT_END, "}}");
        } else if (at_body_end(p))
            break;
        else {
            parser_next(p);
            parser_node_add(p, body, parse_statement(p));
        }
    }
    return body;
}

const struct jinja_node *jinja_parse(struct jinja *j, const struct jinja_tokens *tokens)
{
    if (j->err != ERR_OK)
        return NULL;
    struct jinja_parser p = {.j = j, .tokens = tokens->items};
    j->line = p.tokens[0].line;
    const struct jinja_node *body = parse_body(&p);
    if (j->err == ERR_OK && parser_peek(&p)->kind != JINJA_END)
        parser_fail_expected(&p, "the end of the template");
    return j->err == ERR_OK ? body : NULL;
}

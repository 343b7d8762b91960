/* Templates: text to tokens.
 *
 * White space follows the environment that published templates are written for: the first newline
 * behind a block or comment goes away (trim_blocks), and so does the indentation before one that
 * stands alone at the start of its line (lstrip_blocks); a minus inside a tag's border takes all white space on
 * that side, a plus none; one newline at the very end of the template is dropped. */
#include "inference/template/jinja.h"

#include <stdlib.h>
#include <string.h>

#include "inference/tok/unicode.h"

struct lexer {
    struct jinja *j;
    struct bytes source; /* newlines are \n */
    size_t at;
    bool line_start; /* what was read last ended a line */
    struct jinja_tokens *out;
};

static void emit(struct lexer *l, struct jinja_token token)
{
    struct jinja_tokens *t = l->out;
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        struct jinja_token *items = jinja_alloc(l->j, room, sizeof *items);
        if (!items)
            return;
        if (t->n)
            memcpy(items, t->items, t->n * sizeof *items);
        t->items = items;
        t->room = room;
    }
    token.line = l->j->line;
    t->items[t->n++] = token;
}

static void emit_kind(struct lexer *l, enum jinja_token_kind kind, struct bytes text)
{
    emit(l, (struct jinja_token){.kind = kind, .text = text});
}

static uint8_t peek(const struct lexer *l, size_t ahead)
{
    return l->at + ahead < l->source.n ? l->source.p[l->at + ahead] : 0;
}

static bool looking_at(const struct lexer *l, const char *text)
{
    size_t n = strlen(text);
    return l->source.n - l->at >= n && memcmp(l->source.p + l->at, text, n) == 0;
}

static void advance(struct lexer *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l->j->line += l->source.p[l->at + i] == '\n';
    l->at += n;
}

static void skip_space(struct lexer *l)
{
    struct bytes rest = bytes_of(l->source.p + l->at, l->source.n - l->at);
    advance(l, rest.n - jinja_strip(rest, NULL, true, false).n);
}

static bool is_name(uint8_t c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* -- inside tags -- */

static uint32_t read_hex(struct bytes text, size_t at, size_t n)
{
    uint32_t value = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = at + i < text.n ? text.p[at + i] : 0;
        bool letter = (c | 32) >= 'a' && (c | 32) <= 'f';
        if (!is_digit(c) && !letter)
            return UINT32_MAX;
        value = value * 16 + (letter ? (uint32_t)(c | 32) - 'a' + 10 : (uint32_t)c - '0');
    }
    return value;
}

/* The escapes of Python; what is none keeps its backslash. */
static size_t unescape(struct bytes text, size_t at, struct buf *out)
{
    static const char from[] = "nrtabfv\\'\"", to[] = "\n\r\t\a\b\f\v\\'\"";
    char c = at + 1 < text.n ? (char)text.p[at + 1] : 0;
    const char *p = c ? strchr(from, c) : NULL;
    if (p) {
        buf_add(out, to + (p - from), 1);
        return 2;
    }
    if (c == '\n')
        return 2;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code = digits ? read_hex(text, at + 2, digits) : UINT32_MAX;
    if (code != UINT32_MAX) {
        unicode_put(out, code);
        return 2 + digits;
    }
    buf_add_text(out, "\\");
    return 1;
}

static void lex_string(struct lexer *l)
{
    uint8_t quote = peek(l, 0);
    size_t n = 1;
    bool escaped = false;
    while (l->at + n < l->source.n && peek(l, n) != quote) {
        escaped |= peek(l, n) == '\\';
        n += peek(l, n) == '\\' ? 2 : 1;
    }
    if (l->at + n >= l->source.n) {
        jinja_fail(l->j, ERR_FORMAT, "a string without its end");
        return;
    }
    struct bytes text = bytes_of(l->source.p + l->at + 1, n - 1);
    if (escaped) {
        struct buf b = {0};
        for (size_t i = 0; i < text.n;)
            if (text.p[i] == '\\')
                i += unescape(text, i, &b);
            else
                buf_add(&b, text.p + i++, 1);
        text = jinja_take(l->j, &b);
    }
    emit_kind(l, JINJA_STRING, text);
    advance(l, n + 1);
}

static void lex_number(struct lexer *l)
{
    char text[64];
    size_t n = 0, kept = 0;
    bool real = false;
    for (;; n++) {
        uint8_t c = peek(l, n);
        bool point = c == '.' && !real && is_digit(peek(l, n + 1));
        bool exponent =
            (c | 32) == 'e' && (is_digit(peek(l, n + 1)) ||
                                ((peek(l, n + 1) == '-' || peek(l, n + 1) == '+') && is_digit(peek(l, n + 2))));
        if (!is_digit(c) && c != '_' && !point && !exponent)
            break;
        real |= point || exponent;
        if (kept + 3 >= sizeof text) {
            jinja_fail(l->j, ERR_LIMIT, "a number of too many digits");
            return;
        }
        if (c != '_')
            text[kept++] = (char)c;
        if (exponent && !is_digit(peek(l, n + 1)))
            text[kept++] = (char)peek(l, ++n);
    }
    text[kept] = 0;
    if (real)
        emit(l, (struct jinja_token){.kind = JINJA_NUMBER_REAL, .real = strtod(text, NULL)});
    else if (kept > 18)
        jinja_fail(l->j, ERR_LIMIT, "the number %s is too large", text);
    else
        emit(l, (struct jinja_token){.kind = JINJA_NUMBER_INTEGER, .integer = strtoll(text, NULL, 10)});
    advance(l, n);
}

static void lex_name(struct lexer *l)
{
    size_t n = 0;
    while (is_name(peek(l, n), n == 0))
        n++;
    emit_kind(l, JINJA_NAME, bytes_of(l->source.p + l->at, n));
    advance(l, n);
}

/* Keeps count of open brackets, because }} may also close two dicts. */
static void lex_operator(struct lexer *l, unsigned *brackets)
{
    static const char *const pairs[] = {"**", "//", "==", "!=", "<=", ">="};
    size_t n = 1;
    uint8_t c = peek(l, 0);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (looking_at(l, pairs[i]))
            n = 2;
    if (n == 1 && (c == 0 || !strchr("+-*/%~<>=.:|,()[]{}", c))) {
        jinja_fail(l->j, ERR_FORMAT, "the byte 0x%02x has no meaning here", c);
        return;
    }
    if (c == '(' || c == '[' || c == '{')
        ++*brackets;
    if ((c == ')' || c == ']' || c == '}') && *brackets)
        --*brackets;
    emit_kind(l, JINJA_OPERATOR, bytes_of(l->source.p + l->at, n));
    advance(l, n);
}

/* At a tag's end: swallows it with the white space it takes along. */
static bool lex_tag_end(struct lexer *l, const char *end, bool trims)
{
    bool minus = peek(l, 0) == '-', plus = peek(l, 0) == '+' && trims;
    size_t border = minus || plus;
    l->at += border;
    bool found = looking_at(l, end);
    l->at -= border;
    if (!found)
        return false;
    l->line_start = false;
    advance(l, border + 2);
    size_t before = l->at;
    if (minus)
        skip_space(l);
    else if (trims && !plus && peek(l, 0) == '\n')
        advance(l, 1);
    if (l->at > before)
        l->line_start = l->source.p[l->at - 1] == '\n';
    return true;
}

static void lex_tag(struct lexer *l, bool block)
{
    unsigned brackets = 0;
    emit_kind(l, block ? JINJA_BLOCK_BEGIN : JINJA_PRINT_BEGIN, bytes_of(NULL, 0));
    while (l->j->err == ERR_OK) {
        skip_space(l);
        if (l->at == l->source.n) {
            jinja_fail(l->j, ERR_FORMAT, "a tag without its end");
            return;
        }
        if (brackets == 0 && lex_tag_end(l, block ? "%}" : "}}", block)) {
            emit_kind(l, block ? JINJA_BLOCK_END : JINJA_PRINT_END, bytes_of(NULL, 0));
            return;
        }
        uint8_t c = peek(l, 0);
        if (c == '"' || c == '\'')
            lex_string(l);
        else if (is_digit(c))
            lex_number(l);
        else if (is_name(c, true))
            lex_name(l);
        else
            lex_operator(l, &brackets);
    }
}

/* -- between tags -- */

static void lex_comment(struct lexer *l)
{
    for (; l->at < l->source.n; advance(l, 1))
        if ((peek(l, 0) == '#' || peek(l, 1) == '#') && lex_tag_end(l, "#}", true))
            return;
    jinja_fail(l->j, ERR_FORMAT, "a comment without its end");
}

/* The text before a tag whose border is `sign`, less the white space that the tag takes along. */
static struct bytes trimmed(const struct lexer *l, struct bytes text, uint8_t sign, bool prints)
{
    if (sign == '-')
        return jinja_strip(text, NULL, false, true);
    if (sign == '+' || prints)
        return text;
    size_t line = text.n;
    while (line && text.p[line - 1] != '\n')
        line--;
    if ((line || l->line_start) && jinja_strip(bytes_of(text.p + line, text.n - line), NULL, true, false).n == 0)
        text.n = line;
    return text;
}

/* Moves behind `{% NAME %}` if it stands here. */
static bool skip_block(struct lexer *l, const char *name, bool trims)
{
    struct lexer saved = *l;
    uint32_t line = l->j->line;
    advance(l, 2);
    if (peek(l, 0) == '-' || peek(l, 0) == '+')
        advance(l, 1);
    skip_space(l);
    if (looking_at(l, name)) {
        advance(l, strlen(name));
        skip_space(l);
        if (lex_tag_end(l, "%}", trims))
            return true;
    }
    *l = saved;
    l->j->line = line;
    return false;
}

/* {% raw %} was read: all is text up to {% endraw %}. */
static void lex_raw(struct lexer *l)
{
    size_t start = l->at;
    for (; l->at < l->source.n; advance(l, 1)) {
        struct bytes text = bytes_of(l->source.p + start, l->at - start);
        if (!looking_at(l, "{%"))
            continue;
        text = trimmed(l, text, peek(l, 2), false);
        if (skip_block(l, "endraw", true)) {
            emit_kind(l, JINJA_DATA, text);
            return;
        }
    }
    jinja_fail(l->j, ERR_FORMAT, "{%% raw %%} without its {%% endraw %%}");
}

static size_t next_tag(const struct lexer *l)
{
    for (size_t at = l->at; at + 1 < l->source.n; at++)
        if (l->source.p[at] == '{' && strchr("{%#", l->source.p[at + 1]) && l->source.p[at + 1])
            return at;
    return l->source.n;
}

static void lex_data(struct lexer *l)
{
    size_t tag = next_tag(l);
    struct bytes text = bytes_of(l->source.p + l->at, tag - l->at);
    uint8_t kind = tag + 1 < l->source.n ? l->source.p[tag + 1] : 0;
    uint8_t sign = tag + 2 < l->source.n ? l->source.p[tag + 2] : 0;
    if (tag < l->source.n)
        text = trimmed(l, text, sign, kind == '{');
    if (text.n)
        emit_kind(l, JINJA_DATA, text);
    advance(l, tag - l->at);
    if (tag == l->source.n)
        return;
    if (kind == '%' && skip_block(l, "raw", false)) {
        lex_raw(l);
        return;
    }
    advance(l, sign == '-' || sign == '+' ? 3 : 2);
    if (kind == '#')
        lex_comment(l);
    else
        lex_tag(l, kind == '%');
}

/* All newlines as \n, one at the very end dropped. */
static struct bytes normalised(struct jinja *j, struct bytes source)
{
    struct buf b = {0};
    for (size_t i = 0; i < source.n; i++) {
        bool pair = source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n';
        uint8_t c = source.p[i] == '\r' ? '\n' : source.p[i];
        buf_add(&b, &c, 1);
        i += pair;
    }
    if (b.n && b.p[b.n - 1] == '\n')
        b.n--;
    return jinja_take(j, &b);
}

void jinja_lex(struct jinja *j, struct bytes source, struct jinja_tokens *out)
{
    struct lexer l = {.j = j, .line_start = true, .out = out};
    *out = (struct jinja_tokens){0};
    j->line = 1;
    if (source.n > TEMPLATE_BYTES_MAX) {
        jinja_fail(j, ERR_LIMIT, "%zu bytes long: at most %u are read", source.n, TEMPLATE_BYTES_MAX);
        return;
    }
    if (!unicode_is_utf8(source)) {
        jinja_fail(j, ERR_FORMAT, "the template is not UTF-8");
        return;
    }
    l.source = normalised(j, source);
    while (j->err == ERR_OK && l.at < l.source.n)
        lex_data(&l);
    emit_kind(&l, JINJA_END, bytes_of(NULL, 0));
}

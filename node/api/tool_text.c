/* Texts of calls. Values become JSON text, which the one parser then reads. */
#include "node/api/tool_text.h"

#include "base/codec.h"
#include "base/limits.h"

#include <string.h>

void rest_skip(struct rest *r, size_t n)
{
    r->p += n;
    r->n -= n;
}

void rest_skip_spaces(struct rest *r)
{
    const struct bytes left = bytes_trim_front(bytes_of(r->p, r->n));
    *r = (struct rest){left.p, left.n};
}

bool rest_begins(const struct rest *r, const char *mark)
{
    return bytes_begin(bytes_of(r->p, r->n), mark);
}

bool rest_take(struct rest *r, const char *mark)
{
    bool there = rest_begins(r, mark);
    if (there)
        rest_skip(r, strlen(mark));
    return there;
}

bool rest_take_until(struct rest *r, const char *mark, struct bytes *out)
{
    const uint8_t *end = r->n ? memmem(r->p, r->n, mark, strlen(mark)) : NULL;
    if (!end)
        return false;
    *out = bytes_of(r->p, (size_t)(end - r->p));
    rest_skip(r, out->n + strlen(mark));
    return true;
}

json_t *rest_take_json(struct rest *r)
{
    size_t depth = 0, n = 0;
    bool quoted = false;
    if (r->n == 0 || (*r->p != '{' && *r->p != '['))
        return NULL;
    for (; n < r->n; n++) {
        uint8_t c = r->p[n];
        if (quoted && c == '\\')
            n++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && --depth == 0)
            break;
    }
    json_t *value = n < r->n ? json_parse(bytes_of(r->p, n + 1), NULL) : NULL;
    if (value)
        rest_skip(r, n + 1);
    return value;
}

json_t *tool_text_json(struct bytes text)
{
    struct buf list = {0};
    buf_add_text(&list, "[");
    buf_add(&list, text.p, text.n);
    buf_add_text(&list, "]");
    json_t *all = json_parse(bytes_of_buf(&list), NULL), *one = NULL;
    if (json_array_size(all) == 1)
        one = json_incref(json_array_get(all, 0));
    json_decref(all);
    buf_clear(&list);
    return one;
}

/* -- values as Python writes them, as JSON -- */

static const char quote_mark[] = "<|\"|>";

static bool put_value(struct rest *r, struct buf *out, unsigned depth);

static bool put_marked_text(struct rest *r, struct buf *out)
{
    struct bytes text;
    if (!rest_take_until(r, quote_mark, &text))
        return false;
    codec_json_string(out, (const char *)text.p, text.n);
    return true;
}

/* Behind a backslash; what JSON knows under the same letter stays for it to read. */
static void put_escaped(uint8_t c, struct buf *out)
{
    if (c != '\'' && c != '\n')
        buf_add_text(out, "\\");
    if (c != '\n')
        buf_add(out, &c, 1);
}

/* Up to the quote that it began with. */
static bool put_quoted(struct rest *r, struct buf *out)
{
    const uint8_t quote = *r->p;
    rest_skip(r, 1);
    buf_add_text(out, "\"");
    for (; r->n && *r->p != quote; rest_skip(r, 1)) {
        if (*r->p == '\\' && r->n > 1) {
            rest_skip(r, 1);
            put_escaped(*r->p, out);
        } else if (*r->p == '"') {
            buf_add_text(out, "\\\"");
        } else if (*r->p < ' ') {
            buf_add_format(out, "\\u%04x", *r->p);
        } else {
            buf_add(out, r->p, 1);
        }
    }
    buf_add_text(out, "\"");
    if (r->n == 0)
        return false;
    rest_skip(r, 1);
    return true;
}

static size_t word_length(const struct rest *r)
{
    size_t n = 0;
    while (n < r->n && (r->p[n] == '_' || (r->p[n] >= '0' && r->p[n] <= '9') ||
                        ((r->p[n] | 0x20) >= 'a' && (r->p[n] | 0x20) <= 'z')))
        n++;
    return n;
}

static bool put_word(struct rest *r, struct buf *out)
{
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                                           {"true", "true"}, {"false", "false"}, {"null", "null"}};
    const size_t n = word_length(r);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n == strlen(words[i][0]) && memcmp(r->p, words[i][0], n) == 0) {
            rest_skip(r, n);
            buf_add_text(out, words[i][1]);
            return true;
        }
    return false;
}

/* What is no number, JSON refuses. */
static bool put_number(struct rest *r, struct buf *out)
{
    size_t n = 0;
    while (n < r->n && r->p[n] && strchr("0123456789+-.eE", r->p[n]))
        n++;
    buf_add(out, r->p, n);
    rest_skip(r, n);
    return n > 0;
}

static bool put_key(struct rest *r, struct buf *out)
{
    if (rest_take(r, quote_mark))
        return put_marked_text(r, out);
    if (r->n && (*r->p == '"' || *r->p == '\''))
        return put_quoted(r, out);
    const size_t n = word_length(r);
    codec_json_string(out, (const char *)r->p, n);
    rest_skip(r, n);
    return n > 0;
}

/* Behind its bracket; `close`: one of "]})" */
static bool put_members(struct rest *r, struct buf *out, const char *close, unsigned depth)
{
    const bool keyed = *close == '}';
    buf_add_text(out, keyed ? "{" : "[");
    for (bool first = true;; first = false) {
        rest_skip_spaces(r);
        if (rest_take(r, close))
            break;
        if (!first && !rest_take(r, ","))
            return false;
        rest_skip_spaces(r);
        if (!first && rest_take(r, close)) /* Python lets a comma stand at the end */
            break;
        buf_add_text(out, first ? "" : ",");
        if (keyed) {
            if (!put_key(r, out))
                return false;
            rest_skip_spaces(r);
            if (!rest_take(r, ":"))
                return false;
            buf_add_text(out, ":");
        }
        if (!put_value(r, out, depth))
            return false;
    }
    buf_add_text(out, keyed ? "}" : "]");
    return true;
}

static bool put_value(struct rest *r, struct buf *out, unsigned depth)
{
    rest_skip_spaces(r);
    if (depth == 0 || r->n == 0)
        return false;
    if (rest_take(r, quote_mark))
        return put_marked_text(r, out);
    switch (*r->p) {
    case '"':
    case '\'':
        return put_quoted(r, out);
    case '[':
    case '(':
    case '{': {
        const char *close = *r->p == '[' ? "]" : *r->p == '(' ? ")" : "}";
        rest_skip(r, 1);
        return put_members(r, out, close, depth - 1);
    }
    default:
        return put_word(r, out) || put_number(r, out);
    }
}

json_t *rest_take_value(struct rest *r)
{
    struct rest at = *r;
    struct buf text = {0};
    json_t *value = put_value(&at, &text, TOOL_VALUE_DEPTH_MAX) ? tool_text_json(bytes_of_buf(&text)) : NULL;
    buf_clear(&text);
    if (value)
        *r = at;
    return value;
}

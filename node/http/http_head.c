#include "node/http/http_head.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return n > 0;
}

/* RFC 9110, section 5.5: of the controls only the tab. */
static bool is_plain(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < ' ' && c != '\t') || c == 127)
            return false;
    }
    return true;
}

static bool is_line(const struct http_head *h, const char *name, size_t name_n, const char *value, size_t value_n)
{
    if ((h->next && name != h->next) || value <= name + name_n)
        return false;
    for (const char *p = name + name_n + 1; p < value; p++)
        if (*p != ' ' && *p != '\t')
            return false;
    return value[value_n] == 0 && value[value_n + 1] == 0;
}

static bool is_called(const char *name, size_t name_n, const char *wanted)
{
    return name_n == strlen(wanted) && strncasecmp(name, wanted, name_n) == 0;
}

/* By which a body or who asks is known: of two one reader takes the first, another the last. */
static const struct {
    const char *name, *fault;
} single[] = {
    {"Host", "Host is given twice"},
    {"Content-Length", "Content-Length is given twice"},
    {"Content-Type", "Content-Type is given twice"},
    {"Content-Encoding", "Content-Encoding is given twice"},
    {"Authorization", "Authorization is given twice"},
    {"Origin", "Origin is given twice"},
    {"Sec-Fetch-Site", "Sec-Fetch-Site is given twice"},
};

static const char *framing_fault(struct http_head *h, const char *name, size_t name_n, const char *value,
                                 size_t value_n)
{
    for (unsigned i = 0; i < sizeof single / sizeof *single; i++)
        if (is_called(name, name_n, single[i].name)) {
            if (h->seen & 1u << i)
                return single[i].fault;
            h->seen |= 1u << i;
        }
    if (is_called(name, name_n, "Content-Length")) {
        h->has_length = true;
    } else if (is_called(name, name_n, "Transfer-Encoding")) {
        if (h->has_encoding || !is_called(value, value_n, "chunked"))
            return "Transfer-Encoding may be \"chunked\", once, and nothing else";
        h->has_encoding = true;
    }
    return h->has_length && h->has_encoding ? "Content-Length and Transfer-Encoding are both given" : NULL;
}

void http_head_line(struct http_head *h, const struct http_line *l)
{
    if (l->has_zero)
        h->fault = "a path or a parameter holds %00";
    else if (l->target != l->method + strlen(l->method) + 1 || l->version != l->target_end + 1)
        h->fault = "the request line must be METHOD TARGET VERSION, with one space between them and no NUL";
}

void http_head_add(struct http_head *h, const char *name, size_t name_n, const char *value, size_t value_n)
{
    if (h->fault)
        return;
    if (!is_token(name, name_n))
        h->fault = "a header's name must be a token, directly before its colon";
    else if (!is_line(h, name, name_n, value, value_n))
        h->fault = "each header must be one line that ends with CR LF, without a NUL";
    else if (!is_plain(value, value_n))
        h->fault = "a header's value holds a control character";
    else
        h->fault = framing_fault(h, name, name_n, value, value_n);
    h->next = value + value_n + 2;
}

void http_head_end(struct http_head *h, const char *end)
{
    if (!h->fault && h->next && (h->next + 2 != end || h->next[0] || h->next[1]))
        h->fault = "the head must end with an empty line of CR LF";
}

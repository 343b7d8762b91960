/* Reading an HTTP answer piece by piece. */
#include "cli/http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LINE_MAX_BYTES = 8192, HEADERS_MAX = 100 };

void http_reader_init(struct http_reader *r, size_t body_max)
{
    *r = (struct http_reader){.body_max = body_max};
}

void http_reader_clear(struct http_reader *r)
{
    buf_clear(&r->line);
    buf_clear(&r->body);
}

static enum err bad(struct note *note, const char *what)
{
    return note_set(note, ERR_PROTOCOL, "the answer is not HTTP/1.1: %s", what);
}

static enum err read_status(struct http_reader *r, const char *line, struct note *note)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return bad(note, "bad status line");
    const char *digits = line + 9;
    if (strspn(digits, "0123456789") != 3 || (digits[3] != ' ' && digits[3] != 0) || digits[0] < '1' || digits[0] > '5')
        return bad(note, "bad status code");
    r->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    r->state = HTTP_HEADERS;
    return ERR_OK;
}

static bool parse_number(const char *text, unsigned base, uint64_t *out)
{
    uint64_t v = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit = *text >= '0' && *text <= '9'                     ? (unsigned)(*text - '0')
                         : (*text | 0x20) >= 'a' && (*text | 0x20) <= 'f' ? (unsigned)((*text | 0x20) - 'a') + 10
                                                                          : 99;
        if (digit >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *out = v;
    return true;
}

/* The empty line: what follows is the body, or after an interim answer the real one. */
static void start_body(struct http_reader *r)
{
    bool chunked = r->chunked, has_length = r->has_length;
    if (r->status < 200) {
        r->state = HTTP_STATUS;
        r->chunked = r->has_length = false;
        r->headers = 0;
    } else if (r->status == 204 || r->status == 304)
        r->state = HTTP_DONE;
    else if (chunked)
        r->state = HTTP_CHUNK_SIZE;
    else if (has_length)
        r->state = r->left ? HTTP_LENGTH : HTTP_DONE;
    else
        r->state = HTTP_TO_END;
}

static enum err read_header(struct http_reader *r, char *line, struct note *note)
{
    if (!*line) {
        start_body(r);
        return ERR_OK;
    }
    if (++r->headers > HEADERS_MAX)
        return bad(note, "too many header lines");
    char *value = strchr(line, ':');
    if (!value || value == line)
        return bad(note, "bad header line");
    *value++ = 0;
    value += strspn(value, " \t");
    for (size_t n = strlen(value); n && (value[n - 1] == ' ' || value[n - 1] == '\t'); n--)
        value[n - 1] = 0;
    if (strcasecmp(line, "content-length") == 0) {
        uint64_t before = r->left;
        if (!parse_number(value, 10, &r->left) || (r->has_length && before != r->left))
            return bad(note, "bad length");
        r->has_length = true;
    } else if (strcasecmp(line, "transfer-encoding") == 0) {
        if (strcasecmp(value, "chunked") != 0)
            return bad(note, "unknown transfer encoding");
        r->chunked = true;
    }
    return ERR_OK;
}

static enum err read_line(struct http_reader *r, struct note *note)
{
    char *line = (char *)(uintptr_t)buf_text(&r->line);
    if (strlen(line) != r->line.n)
        return bad(note, "a NUL byte");
    switch (r->state) {
    case HTTP_STATUS:
        return read_status(r, line, note);
    case HTTP_HEADERS:
        return read_header(r, line, note);
    case HTTP_CHUNK_SIZE:
        line[strcspn(line, "; \t")] = 0;
        if (!parse_number(line, 16, &r->left))
            return bad(note, "bad chunk size");
        r->state = r->left ? HTTP_CHUNK : HTTP_TRAILERS;
        return ERR_OK;
    case HTTP_CHUNK_END:
        if (*line)
            return bad(note, "a chunk longer than its size");
        r->state = HTTP_CHUNK_SIZE;
        return ERR_OK;
    case HTTP_TRAILERS:
        if (!*line)
            r->state = HTTP_DONE;
        else if (++r->headers > HEADERS_MAX)
            return bad(note, "too many header lines");
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err take_line_byte(struct http_reader *r, char c, struct note *note)
{
    if (c != '\n') {
        if (r->line.n >= LINE_MAX_BYTES)
            return bad(note, "a line without end");
        buf_add(&r->line, &c, 1);
        return ERR_OK;
    }
    if (r->line.n && r->line.p[r->line.n - 1] == '\r')
        r->line.n--;
    enum err e = read_line(r, note);
    buf_reset(&r->line);
    return e;
}

enum err http_reader_step(struct http_reader *r, const void *bytes, size_t n, struct note *note)
{
    const char *p = bytes;
    enum err e = ERR_OK;
    while (n && e == ERR_OK && r->state != HTTP_DONE) {
        bool body = r->state == HTTP_LENGTH || r->state == HTTP_CHUNK || r->state == HTTP_TO_END;
        if (!body) {
            e = take_line_byte(r, *p, note);
            p++;
            n--;
            continue;
        }
        size_t part = r->state != HTTP_TO_END && r->left < n ? (size_t)r->left : n;
        if (part > r->body_max - (r->body.n < r->body_max ? r->body.n : r->body_max))
            return note_set(note, ERR_LIMIT, "the answer is larger than the %zu bytes that are read", r->body_max);
        buf_add(&r->body, p, part);
        p += part;
        n -= part;
        if (r->state != HTTP_TO_END && (r->left -= part) == 0)
            r->state = r->state == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_DONE;
    }
    return e;
}

enum err http_reader_end(struct http_reader *r, struct note *note)
{
    if (r->state == HTTP_TO_END)
        r->state = HTTP_DONE;
    return r->state == HTTP_DONE ? ERR_OK : note_set(note, ERR_CLOSED, "the daemon closed before its answer was whole");
}

/* Bytes of the first event with the empty line that ends it; 0 if it is not whole. */
static size_t event_size(const struct buf *body)
{
    for (size_t i = 0; i + 1 < body->n; i++) {
        if (body->p[i] != '\n')
            continue;
        if (body->p[i + 1] == '\n')
            return i + 2;
        if (i + 2 < body->n && body->p[i + 1] == '\r' && body->p[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

static void event_line(struct http_event *e, const char *line, size_t n)
{
    if (n && line[n - 1] == '\r')
        n--;
    const char *colon = memchr(line, ':', n);
    size_t name = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    size_t value_n = n - (size_t)(value - line);
    if (value_n && *value == ' ') {
        value++;
        value_n--;
    }
    if (name == 5 && memcmp(line, "event", 5) == 0)
        snprintf(e->name, sizeof e->name, "%.*s", (int)(value_n < sizeof e->name ? value_n : sizeof e->name - 1),
                 value);
    else if (name == 2 && memcmp(line, "id", 2) == 0 && value_n < sizeof e->id)
        snprintf(e->id, sizeof e->id, "%.*s", (int)value_n, value);
    else if (name == 4 && memcmp(line, "data", 4) == 0) {
        if (e->data.n)
            buf_add_text(&e->data, "\n");
        buf_add(&e->data, value, value_n);
    }
}

bool http_event_take(struct buf *body, struct http_event *e)
{
    *e = (struct http_event){.name = "message"};
    for (;;) {
        size_t size = event_size(body), at = 0;
        if (size == 0)
            return false;
        while (at < size) {
            const uint8_t *end = memchr(body->p + at, '\n', size - at);
            size_t n = (size_t)(end - (body->p + at));
            event_line(e, (const char *)body->p + at, n);
            at += n + 1;
        }
        buf_drop(body, size);
        if (e->data.n)
            return true; /* an event without data is a sign of life, nothing more */
        snprintf(e->name, sizeof e->name, "message");
    }
}

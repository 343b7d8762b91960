/* Heads of requests as libmicrohttpd leaves them: its fields cut out of the bytes as they came, with zeros in place of
 * colons and line ends, some of them skipped, joined or shortened. What has no fault reads one way: put together again
 * from its fields, it is the bytes that came. */
#include "base/bytes.h"
#include "node/http/http_head.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELDS_MAX 64

struct field {
    size_t name, name_n, value, value_n;
};

/* Lines at LF; one that begins with a blank continues the one before it, as the library has it: in its name. */
static unsigned take_apart(char *text, size_t n, struct field *fields, size_t *head_end)
{
    unsigned found = 0;
    *head_end = 0;
    for (size_t at = 0; at < n && found < FIELDS_MAX;) {
        char *end = memchr(text + at, '\n', n - at);
        if (!end)
            break;
        size_t stop = (size_t)(end - text), last = stop > at && text[stop - 1] == '\r' ? stop - 1 : stop;
        char *colon = memchr(text + at, ':', last - at);
        if (last == at) {
            text[last] = text[stop] = 0;
            *head_end = stop + 1;
            break;
        }
        if (!colon)
            break;
        struct field f = {at, (size_t)(colon - text) - at, (size_t)(colon - text) + 1, 0};
        while (f.value < last && (text[f.value] == ' ' || text[f.value] == '\t'))
            f.value++;
        f.value_n = strnlen(text + f.value, last - f.value); /* what stands behind a NUL is forgotten */
        *colon = 0;
        text[last] = 0;
        text[stop] = 0;
        at = stop + 1;
        fields[found++] = f;
    }
    return found;
}

/* NULs in place of CR, where a line then ends with LF alone, leave no trace: they are zeros before and after. They hide
 * nothing but themselves. */
static bool is_line_end(const uint8_t *p)
{
    for (int i = 0; i < 2; i++)
        if (p[i] != 0 && p[i] != '\r' && p[i] != '\n')
            return false;
    return true;
}

static void check_again(const uint8_t *came, const char *text, const struct field *fields, unsigned n, size_t head_end)
{
    CHECK(n == 0 || is_line_end(came + head_end - 2));
    CHECK(n == 0 || fields[n - 1].value + fields[n - 1].value_n + 4 == head_end);
    for (unsigned i = 0; i < n; i++) {
        const struct field *f = &fields[i];
        CHECK(i == 0 || f->name == fields[i - 1].value + fields[i - 1].value_n + 2);
        CHECK(came[f->name + f->name_n] == ':' && memchr(text + f->name, ' ', f->name_n) == NULL);
        for (size_t k = f->name + f->name_n + 1; k < f->value; k++)
            CHECK(came[k] == ' ' || came[k] == '\t');
        CHECK(is_line_end(came + f->value + f->value_n));
        for (size_t k = 0; k < f->value_n; k++)
            CHECK(came[f->value + k] >= ' ' || came[f->value + k] == '\t');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    struct field fields[FIELDS_MAX];
    struct http_head h = {0};
    if (size == 0)
        return 0;
    buf_add(&text, data, size);
    buf_add(&text, "\0\0\0", 3); /* the library's buffer goes on */
    char *p = (char *)text.p;
    size_t head_end;
    unsigned n = take_apart(p, size, fields, &head_end);
    if (!head_end) { /* it never ends */
        buf_clear(&text);
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        http_head_add(&h, p + fields[i].name, fields[i].name_n, p + fields[i].value, fields[i].value_n);
    http_head_end(&h, p + head_end);
    if (!h.fault)
        check_again(data, p, fields, n, head_end);
    buf_clear(&text);
    return 0;
}

/* A schema from a stranger, and behind a NUL a text: compiling ends within its bounds, twice the same; the text read
 * byte by byte is the text read at once; what was begun goes on or is complete, and a mask says of each token what
 * reading it says. */
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "inference/schema/schema.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAIRS 64
#define VOCAB (256 + PAIRS)

static const char pairs[] = "{\"\":\", \"\",[]{}tr0.10-1e+ab\xC3\xA9\xA9\"}]\\u00\"a ,,\"xyzz  }}]]";

static struct trie *vocabulary(struct buf *text, uint32_t *starts)
{
    for (unsigned i = 0; i < VOCAB; i++) {
        const uint8_t byte = (uint8_t)i;
        starts[i] = (uint32_t)text->n;
        if (i < 256)
            buf_add(text, &byte, 1);
        else
            buf_add(text, pairs + (i - 256) % (sizeof pairs - 2), 2);
    }
    starts[VOCAB] = (uint32_t)text->n;
    return trie_new(text, starts, VOCAB);
}

/* Byte by byte as far as it goes; the number of bytes that were taken. */
static size_t follow(struct matcher *m, struct bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        CHECK(matcher_goes_on(m) || matcher_is_complete(m));
        if (!matcher_take(m, bytes_of(text.p + i, 1)))
            return i;
    }
    return text.n;
}

static void check_mask(const struct grammar *g, struct bytes taken, struct matcher *m)
{
    uint32_t starts[VOCAB + 1], bits[VOCAB / 32 + 1] = {0};
    struct buf text = {0};
    struct trie *t = vocabulary(&text, starts);
    bool any = false;
    if (matcher_mask(m, t, bits)) {
        for (unsigned i = 0; i < VOCAB; i += i < 256 ? 17 : 5) {
            struct matcher *fresh = matcher_new(g);
            CHECK(matcher_take(fresh, taken));
            bool good = matcher_take(fresh, bytes_of(text.p + starts[i], starts[i + 1] - starts[i]));
            CHECK(good == (bits[i / 32] >> i % 32 & 1));
            matcher_free(fresh);
        }
        for (unsigned i = 0; i < VOCAB; i++)
            any |= bits[i / 32] >> i % 32 & 1;
        CHECK(any == matcher_goes_on(m)); /* all bytes are tokens: what goes on finds one */
    }
    trie_free(t);
    buf_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    struct bytes schema = bytes_of(data, nul ? (size_t)(nul - data) : size), text = {0};
    struct grammar *g = NULL, *again = NULL;
    struct note note = {{0}};
    struct buf canonical = {0};
    if (nul)
        text = bytes_of(nul + 1, size - schema.n - 1 < 512 ? size - schema.n - 1 : 512);
    json_t *v = json_parse(schema, NULL);
    if (v)
        json_print(&canonical, v);
    enum err e = schema_compile(v ? bytes_of_buf(&canonical) : schema, &g, &note);
    CHECK(schema_compile(v ? bytes_of_buf(&canonical) : schema, &again, NULL) == e);
    CHECK(e == ERR_OK || (!g && note.text[0]));
    if (e == ERR_OK) {
        struct matcher *one = matcher_new(g), *all = matcher_new(again);
        size_t n = follow(one, text);
        CHECK(matcher_take(all, text) == (n == text.n));
        check_mask(g, bytes_of(text.p, n), one);
        matcher_free(one);
        matcher_free(all);
    }
    grammar_free(g);
    grammar_free(again);
    json_decref(v);
    buf_clear(&canonical);
    return 0;
}

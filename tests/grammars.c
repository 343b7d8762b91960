/* Schemas compiled, and texts taken by them. */
#include "tests/grammars.h"

#include "base/json.h"
#include "tests/support.h"

struct grammar *grammar_compiled(const char *schema)
{
    struct note note = {{0}};
    struct grammar *g = NULL;
    struct buf text = {0};
    json_t *v = json_parse(bytes_of_text(schema), &note);
    if (!v)
        fail_msg("%s: %s", schema, note.text);
    json_print(&text, v);
    if (schema_compile(bytes_of_buf(&text), &g, &note) != ERR_OK)
        fail_msg("%s: %s", schema, note.text);
    json_decref(v);
    buf_clear(&text);
    return g;
}

bool grammar_takes(const struct grammar *g, struct bytes text)
{
    struct matcher *one = matcher_new(g), *all = matcher_new(g);
    bool good = true;
    for (size_t i = 0; i < text.n && good; i++)
        good = matcher_take(one, bytes_of(text.p + i, 1));
    assert_int_equal(matcher_take(all, text), good);
    good = good && matcher_is_complete(one);
    matcher_free(one);
    matcher_free(all);
    return good;
}

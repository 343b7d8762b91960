/* Tokenizers of files made on the spot. */
#include "tests/tok_file.h"

#include "base/file_map.h"
#include "inference/gguf.h"
#include "tests/support.h"

#include <string.h>

static struct tok *open_bytes(struct bytes file, struct note *note)
{
    struct gguf *g = NULL;
    struct tok *t = NULL;
    if (gguf_open_head(file, &g, note) == ERR_OK && tok_open(g, &t, note) != ERR_OK)
        assert_null(t);
    gguf_free(g);
    return t;
}

struct tok *tok_file_open_path(const char *path, struct note *note)
{
    struct bytes file;
    assert_int_equal(file_map(path, &file, note), ERR_OK);
    struct tok *t = open_bytes(file, note);
    file_unmap(file);
    return t;
}

struct tok *tok_file_open(struct gguf_file *f, struct note *note)
{
    struct buf bytes = {0};
    gguf_file_end(f, &bytes);
    struct tok *t = open_bytes(bytes_of_buf(&bytes), note);
    buf_clear(&bytes);
    return t;
}

struct tok_ids tok_file_encode(const struct tok *t, const char *text, struct tok_options options)
{
    struct tok_ids ids = {0};
    struct note note = {{0}};
    if (tok_encode(t, bytes_of_text(text), options, &ids, &note) != ERR_OK)
        fail_msg("%s", note.text);
    return ids;
}

void tok_file_expect(const struct tok *t, const char *text, struct tok_options options, size_t n,
                     const int32_t *expected)
{
    struct tok_ids ids = tok_file_encode(t, text, options);
    assert_int_equal(ids.n, n);
    if (n)
        assert_memory_equal(ids.p, expected, n * sizeof *expected);
    tok_ids_clear(&ids);
}
void tok_file_refused(struct gguf_file *f, enum err err, const char *text)
{
    struct buf bytes = {0};
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct note note = {{0}};
    gguf_file_end(f, &bytes);
    if (gguf_open_head(bytes_of_buf(&bytes), &g, &note) != ERR_OK)
        fail_msg("%s", note.text);
    enum err got = tok_open(g, &t, &note);
    if (got != err || !strstr(note.text, text))
        fail_msg("expected %s '%s', got %s '%s'", err_name(err), text, err_name(got), note.text);
    assert_null(t);
    gguf_free(g);
    buf_clear(&bytes);
}

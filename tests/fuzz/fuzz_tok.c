/* A vocabulary and a text from strangers: u32 length of a GGUF file | the file | the text. What opens gives
 * tokens of that vocabulary, twice the same, and takes any of them back. */
#include "inference/gguf.h"
#include "inference/tok/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct tok *t, struct bytes text, struct tok_options options)
{
    struct tok_ids one = {0}, two = {0};
    struct buf back = {0};
    struct note note = {{0}};
    enum err err = tok_encode(t, text, options, &one, &note);
    CHECK(tok_encode(t, text, options, &two, NULL) == err);
    CHECK(one.n == two.n && (err == ERR_OK || (one.n == 0 && note.text[0])));
    for (size_t i = 0; i < one.n; i++)
        CHECK(one.p[i] == two.p[i] && one.p[i] >= 0 && (uint32_t)one.p[i] < tok_count(t));
    tok_decode(t, one.p, one.n, true, &back);
    tok_decode(t, one.p, one.n, false, &back);
    buf_clear(&back);
    tok_ids_clear(&one);
    tok_ids_clear(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || load_le32(data) > size - 4)
        return 0;
    struct bytes file = bytes_of(data + 4, load_le32(data));
    struct bytes text = bytes_of(file.p + file.n, size - 4 - file.n);
    struct gguf *g;
    struct tok *t;
    struct note note = {{0}};
    if (gguf_open_head(file, &g, &note) != ERR_OK)
        return 0;
    if (tok_open(g, &t, &note) == ERR_OK) {
        encode(t, text, (struct tok_options){TOK_ENDS_NONE, false});
        encode(t, text, (struct tok_options){TOK_ENDS_FILE, true});
        encode(t, text, (struct tok_options){TOK_ENDS_BOS, true});
        tok_free(t);
    } else
        CHECK(!t && note.text[0]);
    gguf_free(g);
    return 0;
}

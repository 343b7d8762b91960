/* Masks over a published vocabulary: how long compiling, the tree and each mask take while an answer is written. Each
 * mask is compared with trying tokens one by one first. `bench_schema VOCAB.gguf` */
#include "base/file_map.h"
#include "base/json.h"
#include "inference/gguf.h"
#include "inference/schema/schema.h"
#include "inference/tok/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SCHEMA                                                                                                         \
    "{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"summary\":{\"type\":\"string\","           \
    "\"maxLength\":200},"                                                                                              \
    "\"score\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},\"tags\":{\"type\":\"array\",\"items\":{\"type\":"    \
    "\"string\"}}},"                                                                                                   \
    "\"required\":[\"title\",\"summary\",\"score\",\"tags\"],\"additionalProperties\":false}"
#define ANSWER                                                                                                         \
    "{\"title\": \"A small town by the river\", \"summary\": \"People came for the water and stayed for the fish; "    \
    "now they "                                                                                                        \
    "rent boats to strangers.\", \"score\": 0.875, \"tags\": [\"river\", \"town\", \"caf\xC3\xA9\"]}"

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(const struct grammar *g, const struct tok *tok, struct bytes so_far, const uint32_t *bits)
{
    struct buf piece = {0};
    for (uint32_t i = 0; i < tok_count(tok); i += 977) {
        struct matcher *m = matcher_new(g);
        CHECK(matcher_take(m, so_far));
        buf_reset(&piece);
        tok_piece(tok, (int32_t)i, false, &piece);
        bool may = piece.n && !tok_is_eog(tok, (int32_t)i) && matcher_take(m, bytes_of_buf(&piece));
        CHECK(may == (bits[i / 32] >> i % 32 & 1));
        matcher_free(m);
    }
    buf_clear(&piece);
}

static void write_answer(const struct grammar *g, const struct tok *tok, bool checks)
{
    const struct trie *t = tok_trie(tok);
    struct tok_ids ids = {0};
    struct buf so_far = {0};
    uint32_t *bits = calloc(t->tokens / 32 + 1, sizeof *bits);
    double sum = 0, *took;
    struct matcher *m = matcher_new(g);
    CHECK(bits && tok_encode(tok, bytes_of_text(ANSWER), (struct tok_options){0}, &ids, NULL) == ERR_OK);
    took = calloc(ids.n, sizeof *took);
    CHECK(took);
    for (size_t i = 0; i < ids.n; i++) {
        double from = now_ms();
        CHECK(matcher_mask(m, t, bits));
        took[i] = now_ms() - from;
        sum += took[i];
        if (checks && i % 8 == 0)
            check(g, tok, bytes_of_buf(&so_far), bits);
        size_t before = so_far.n;
        tok_piece(tok, ids.p[i], false, &so_far);
        if (i == 0 && so_far.n && so_far.p[0] == ' ') /* put there by encoding */
            buf_drop(&so_far, 1);
        CHECK(matcher_take(m, bytes_of(so_far.p + before, so_far.n - before)));
    }
    CHECK(matcher_is_complete(m));
    qsort(took, ids.n, sizeof *took, by_value);
    if (!checks)
        printf("%zu masks of %u tokens: mean %.2f ms, median %.2f ms, nine in ten under %.2f ms\n", ids.n, t->tokens,
               sum / (double)ids.n, took[ids.n / 2], took[ids.n * 9 / 10]);
    free(took);
    matcher_free(m);
    tok_ids_clear(&ids);
    buf_clear(&so_far);
    free(bits);
}

int main(int argc, char **argv)
{
    struct bytes file;
    struct gguf *gguf;
    struct tok *tok;
    struct note note = {{0}};
    struct buf schema = {0};
    struct grammar *g = NULL;
    if (argc < 2 || file_map(argv[1], &file, &note) != ERR_OK || gguf_open(file, &gguf, &note) != ERR_OK ||
        tok_open(gguf, &tok, &note) != ERR_OK) {
        fprintf(stderr, "bench_schema VOCAB.gguf: %s\n", note.text);
        return 2;
    }
    json_t *v = json_parse(bytes_of_text(SCHEMA), &note);
    json_print(&schema, v);
    double from = now_ms();
    CHECK(schema_compile(bytes_of_buf(&schema), &g, &note) == ERR_OK);
    double compiled = now_ms();
    const struct trie *t = tok_trie(tok);
    printf("compile %.2f ms, tree of %u tokens, %u nodes: %.1f ms\n", compiled - from, t->tokens, t->n,
           now_ms() - compiled);
    write_answer(g, tok, true);
    write_answer(g, tok, false);
    grammar_free(g);
    json_decref(v);
    buf_clear(&schema);
    tok_free(tok);
    gguf_free(gguf);
    file_unmap(file);
    return 0;
}

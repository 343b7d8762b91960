/* Small models that can read and write, for tests over processes: a vocabulary of single characters, the marks of
 * answers in channels (base/harmony.h), and a chat template, in front of the weights of tests/model_make.h.
 *
 *     talker random [LAYERS] > FILE.gguf    gpt-oss of random weights: says anything, unless it is held to a schema
 *     talker script > FILE.gguf             always the same answer, in two channels: "Two and two.", "It is four." */
#include "tests/model_make.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRIPT_VOCAB 128

/* Behind a space and a newline as byte-level vocabularies write them. What is missing of the printable ones makes room
 * for the marks. */
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789{}\":,[]_-.=/<|>!?'()+*;#";
static const char *const marks[] = {"<|start|>",     "<|end|>",    "<|message|>", "<|channel|>",
                                    "<|constrain|>", "<|return|>", "<|call|>",    "<|endoftext|>"};
enum { START, END, MESSAGE, CHANNEL, CONSTRAIN, RETURN, MARKS = sizeof marks / sizeof *marks };
/* What the script says beside marks: ordinary tokens, also where one of them looks like a head. */
static const char *const words[] = {"analysis", "Two",   " and two.", "<|start|>assistant<|channel|>final<|message|>",
                                    "It is",    " four."};
enum { ANALYSIS, TWO, AND_TWO, HEAD, IT_IS, FOUR, WORDS = sizeof words / sizeof *words };

static const char template[] =
    "<|start|>system<|message|>{{ reasoning_effort | default('medium') }}{% if enable_thinking is defined %} thinking "
    "{{ enable_thinking }}{% endif %}<|end|>"
    "{% if tools %}<|start|>developer<|message|>{% for t in tools %}{{ t.function.name }} {% endfor %}<|end|>{% endif "
    "%}"
    "{% for m in messages %}{% if m.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>"
    "{% endif %}{% if m.content %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}";

static void add_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];
    store_le64(raw, v);
    buf_add(b, raw, sizeof raw);
}

static void add_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];
    store_le32(raw, v);
    buf_add(b, raw, sizeof raw);
}

/* A space becomes U+0120. */
static void add_token(struct buf *texts, struct buf *types, const char *text, bool is_mark)
{
    struct buf written = {0};
    for (const char *c = text; *c; c++)
        buf_add(&written, *c == ' ' ? "\xC4\xA0" : c, *c == ' ' ? 2 : 1);
    add_u64(texts, written.n);
    buf_add(texts, written.p, written.n);
    add_u32(types, is_mark ? 3 : 1);
    buf_clear(&written);
}

static void add_array(struct gguf_make *m, const char *key, enum gguf_type type, uint64_t n, const struct buf *values)
{
    struct buf b = {0};
    add_u32(&b, type);
    add_u64(&b, n);
    buf_add(&b, values->p, values->n);
    gguf_make_raw(m, key, GGUF_ARRAY, b.p, b.n);
    buf_clear(&b);
}

/* Letters, then marks, then words, then names of nothing up to `count`. */
static void add_vocabulary(struct gguf_make *m, uint32_t count)
{
    struct buf texts = {0}, types = {0}, none = {0};
    uint32_t n = 0;
    char text[32] = " ";
    add_token(&texts, &types, text, false);
    add_token(&texts, &types, "\xC4\x8A", false);
    for (n = 2; letters[n - 2]; n++) {
        text[0] = letters[n - 2];
        add_token(&texts, &types, text, false);
    }
    for (size_t i = 0; i < MARKS; i++, n++)
        add_token(&texts, &types, marks[i], true);
    for (size_t i = 0; i < WORDS && n < count; i++, n++)
        add_token(&texts, &types, words[i], false);
    for (; n < count; n++) {
        snprintf(text, sizeof text, "unused%u", n);
        add_token(&texts, &types, text, false);
    }
    gguf_make_text(m, "tokenizer.ggml.model", "gpt2");
    gguf_make_text(m, "tokenizer.ggml.pre", "gpt-2");
    add_array(m, "tokenizer.ggml.tokens", GGUF_TEXT, n, &texts);
    add_array(m, "tokenizer.ggml.token_type", GGUF_I32, n, &types);
    add_array(m, "tokenizer.ggml.merges", GGUF_TEXT, 0, &none);
    gguf_make_text(m, "tokenizer.chat_template", template);
    buf_clear(&texts);
    buf_clear(&types);
}

static void with_vocabulary(struct gguf_make *m, const struct model_make *s)
{
    model_make_window(m, s);
    add_vocabulary(m, MODEL_MAKE_VOCAB);
}

static void make_random(struct buf *out, uint32_t layers)
{
    struct model_make shape = {0};
    for (size_t i = 0; model_make_at(i); i++)
        if (strcmp(model_make_at(i)->label, "gpt-oss") == 0)
            shape = *model_make_at(i);
    CHECK(shape.more == model_make_window);
    shape.more = with_vocabulary;
    if (layers)
        shape.layers = layers;
    model_make(out, &shape);
}

/* -- a script: behind each token one other, by embeddings and an output of ones and zeros, over a layer that adds
 * nothing -- */

static uint32_t letter(char c)
{
    return (uint32_t)(strchr(letters, c) - letters) + 2;
}

static void follow(float *output, uint32_t first, uint32_t then)
{
    output[then * SCRIPT_VOCAB + first] = 1;
}

static void write_script(float *output)
{
    const uint32_t mark = sizeof letters - 1 + 2, word = mark + MARKS;
    const uint32_t said[] = {letter('t'), /* of the prompt's last word, assistant */
                             mark + CHANNEL, word + ANALYSIS, mark + MESSAGE, word + TWO,  word + AND_TWO,
                             mark + END,     word + HEAD,     word + IT_IS,   word + FOUR, mark + RETURN};
    for (size_t i = 0; i + 1 < sizeof said / sizeof *said; i++)
        follow(output, said[i], said[i + 1]);
}

static void make_script(struct buf *out)
{
    enum { N = SCRIPT_VOCAB };
    static float zeros[N * N], ones[N], same[N * N], output[N * N];
    struct gguf_make m;
    for (size_t i = 0; i < N; i++)
        ones[i] = same[i * N + i] = 1;
    write_script(output);
    gguf_make_init(&m);
    gguf_make_text(&m, "general.architecture", "llama");
    gguf_make_u32(&m, "llama.context_length", MODEL_MAKE_CONTEXT);
    gguf_make_u32(&m, "llama.embedding_length", N);
    gguf_make_u32(&m, "llama.block_count", 1);
    gguf_make_u32(&m, "llama.feed_forward_length", N);
    gguf_make_u32(&m, "llama.attention.head_count", 2);
    gguf_make_f32(&m, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_vocabulary(&m, N);
    static const char *const matrices[] = {"blk.0.attn_q.weight",      "blk.0.attn_k.weight",   "blk.0.attn_v.weight",
                                           "blk.0.attn_output.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight",
                                           "blk.0.ffn_down.weight"};
    static const char *const vectors[] = {"blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        gguf_make_tensor(&m, matrices[i], N, N, GGUF_TENSOR_F32, bytes_of(zeros, sizeof zeros));
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        gguf_make_tensor(&m, vectors[i], N, 1, GGUF_TENSOR_F32, bytes_of(ones, sizeof ones));
    gguf_make_tensor(&m, "token_embd.weight", N, N, GGUF_TENSOR_F32, bytes_of(same, sizeof same));
    gguf_make_tensor(&m, "output.weight", N, N, GGUF_TENSOR_F32, bytes_of(output, sizeof output));
    gguf_make_end(&m, out);
    gguf_make_clear(&m);
}

int main(int argc, char **argv)
{
    struct buf out = {0};
    long layers = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (argc > 1 && strcmp(argv[1], "random") == 0 && layers >= 0 && layers <= 64)
        make_random(&out, (uint32_t)layers);
    else if (argc > 1 && strcmp(argv[1], "script") == 0)
        make_script(&out);
    else
        return fprintf(stderr, "talker random [LAYERS] | script\n"), 2;
    bool good = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
    buf_clear(&out);
    return good ? 0 : 1;
}

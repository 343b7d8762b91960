/* Small models that can read and write, for tests over processes: a vocabulary of single characters, the marks of
 * answers in channels (base/harmony.h), and a chat template, in front of the weights of tests/model_make.h.
 *
 *     talker random [LAYERS] > FILE.gguf    gpt-oss of random weights: says anything, unless it is held to a schema
 *     talker script > FILE.gguf             always the same answer, in two channels: "Two and two.", "It is four."
 *     talker think > FILE.gguf              the same between <think> and </think> and behind, as one text; a template
 *                                           that opens the thought (`opens`), or closes it (`enable_thinking` false)
 *     talker tags > FILE.gguf               a thought, a word, and a call whose parameters are in tags
 *     talker bracket > FILE.gguf            a thought and a call between marks that are control tokens
 *     talker toss [wrong] > FILE.gguf       throws a coin while it thinks, and says "It is done."; layers that carry a
 *                                           state add a little of it to each position: of a wrong one another state */
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
enum { MARKS = sizeof marks / sizeof *marks };
struct word {
    const char *text;
    int32_t type;
};
enum { ORDINARY = 1, CONTROL = 3, USER = 4 };

/* What a model says, beginning behind the last token of its prompt, and its template. `first`: the prompts' last
 * letter. `others`: what may follow as well, and is likelier. Behind the end of the answer are words for that. */
struct script {
    const char *name, *template;
    char first;
    struct word words[16];
    const char *others[5][2];
    const char *letters; /* NULL: all */
};

static const char channels_template[] =
    "<|start|>system<|message|>{{ reasoning_effort | default('medium') }}{% if enable_thinking is defined %} thinking "
    "{{ enable_thinking }}{% endif %}<|end|>"
    "{% if tools %}<|start|>developer<|message|>{% for t in tools %}{{ t.function.name }} {% endfor %}<|end|>{% endif "
    "%}"
    "{% for m in messages %}{% if m.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>"
    "{% endif %}{% if m.content %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}";

static const char think_template[] =
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{% if m.reasoning_content %}<think>{{ m.reasoning_content "
    "}}"
    "</think>{% endif %}{{ m.content }}<|end|>{% endfor %}{% if tools %}{% for t in tools %}{{ t.function.name }} "
    "{% endfor %}<tool_call><function=...>{% endif %}<|start|>assistant{% if opens %}<think>{% endif %}"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>+{% endif %}";

static const char bracket_template[] =
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant";

/* Ordinary tokens, also where one of them looks like a head. */
static const struct script scripts[] = {
    {.name = "script",
     .template = channels_template,
     .first = 't',
     .words = {{"<|channel|>", 0},
               {"analysis", ORDINARY},
               {"<|message|>", 0},
               {"Two", ORDINARY},
               {" and two.", ORDINARY},
               {"<|end|>", 0},
               {"<|start|>assistant<|channel|>final<|message|>", ORDINARY},
               {"It is", ORDINARY},
               {" four.", ORDINARY},
               {"<|return|>", 0}}},
    {.name = "think",
     .template = think_template,
     .first = 't',
     .words = {{"<think>", USER},
               {"\nTwo", ORDINARY},
               {" and two.", ORDINARY},
               {"\n", ORDINARY},
               {"</think>", USER},
               {"\n\n", ORDINARY},
               {"It is", ORDINARY},
               {" four.", ORDINARY},
               {"<|endoftext|>", 0}}},
    {.name = "tags",
     .template = think_template,
     .first = 't',
     .words = {{"<think>", USER},
               {"Hm.", ORDINARY},
               {"</think>", USER},
               {"\n\n", ORDINARY},
               {"I look.", ORDINARY},
               {"\n", ORDINARY},
               {"<tool_call>", USER},
               {"\n<function=put>\n<parameter=", ORDINARY},
               {"n>\n12\n</parameter>\n<parameter=text>\n", ORDINARY},
               {"12\n</parameter>\n</function>\n", ORDINARY},
               {"</tool_call>", USER},
               {"<|endoftext|>", 0}}},
    {.name = "bracket",
     .template = bracket_template,
     .first = 't',
     .words = {{"[THINK]", CONTROL},
               {"Hm.", ORDINARY},
               {"[/THINK]", CONTROL},
               {"[TOOL_CALLS]", CONTROL},
               {"get", ORDINARY},
               {"[ARGS]", CONTROL},
               {"{\"a\": 1}", ORDINARY},
               {"<|endoftext|>", 0}}},
};

static const struct script toss = {"toss",
                                   think_template,
                                   't',
                                   {{"<think>", USER},
                                    {"Toss:", ORDINARY},
                                    {" heads", ORDINARY},
                                    {" and", ORDINARY},
                                    {" enough.", ORDINARY},
                                    {"</think>", USER},
                                    {"\n\n", ORDINARY},
                                    {"It is", ORDINARY},
                                    {" done.", ORDINARY},
                                    {"<|endoftext|>", 0},
                                    {" tails", ORDINARY}},
                                   {{"Toss:", " tails"}, {" and", " heads"}, {" and", " tails"}, {" tails", " and"}},
                                   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,?+"};

static const char *letters_of(const struct script *script)
{
    return script->letters ? script->letters : letters;
}

struct vocabulary {
    struct gguf_make_array texts, types;
};

/* A space becomes U+0120, a newline U+010A. */
static void add_token(struct vocabulary *v, const char *text, int32_t type)
{
    struct buf written = {0};
    for (const char *c = text; *c; c++)
        buf_add(&written, *c == ' ' ? "\xC4\xA0" : *c == '\n' ? "\xC4\x8A" : c, *c == ' ' || *c == '\n' ? 2 : 1);
    gguf_make_array_text(&v->texts, buf_text(&written));
    gguf_make_array_i32(&v->types, type);
    buf_clear(&written);
}

/* Letters, then marks, then words, then names of nothing up to `count`. */
static void add_vocabulary(struct gguf_make *m, const struct script *script, uint32_t count)
{
    struct vocabulary v = {0};
    struct gguf_make_array none = {0};
    uint32_t n = 0;
    char text[32] = " ";
    add_token(&v, text, ORDINARY);
    add_token(&v, "\n", ORDINARY);
    for (n = 2; letters_of(script)[n - 2]; n++) {
        text[0] = letters_of(script)[n - 2];
        add_token(&v, text, ORDINARY);
    }
    for (size_t i = 0; i < MARKS; i++, n++)
        add_token(&v, marks[i], CONTROL);
    for (const struct word *w = script->words; w->text && n < count; w++)
        if (w->type && strcmp(w->text, "\n") != 0) {
            add_token(&v, w->text, w->type);
            n++;
        }
    for (; n < count; n++) {
        snprintf(text, sizeof text, "unused%u", n);
        add_token(&v, text, ORDINARY);
    }
    gguf_make_text(m, "tokenizer.ggml.model", "gpt2");
    gguf_make_text(m, "tokenizer.ggml.pre", "gpt-2");
    gguf_make_array_take(m, "tokenizer.ggml.tokens", GGUF_TEXT, &v.texts);
    gguf_make_array_take(m, "tokenizer.ggml.token_type", GGUF_I32, &v.types);
    gguf_make_array_take(m, "tokenizer.ggml.merges", GGUF_TEXT, &none);
    gguf_make_text(m, "tokenizer.chat_template", script->template);
}

static void with_vocabulary(struct gguf_make *m, const struct model_make *s)
{
    model_make_window(m, s);
    add_vocabulary(m, &scripts[0], MODEL_MAKE_VOCAB);
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

/* -- a script: behind each token one other, by embeddings and an output of ones and zeros, over layers that add nothing
 * or little -- */

static uint32_t letter(const struct script *script, char c)
{
    return (uint32_t)(strchr(letters_of(script), c) - letters_of(script)) + 2;
}

/* output[then, first]; a row has `n` numbers. */
struct output {
    float *p;
    size_t n;
};

static void follow(struct output o, uint32_t first, uint32_t then, float weight)
{
    o.p[then * o.n + first] = weight;
}

/* The token of a word: a letter, a mark, or one of its own. */
static uint32_t token_of(const struct script *script, const struct word *w)
{
    const uint32_t mark = (uint32_t)strlen(letters_of(script)) + 2;
    uint32_t own = mark + MARKS;
    if (strcmp(w->text, "\n") == 0)
        return 1;
    for (uint32_t i = 0; i < MARKS; i++)
        if (strcmp(marks[i], w->text) == 0)
            return mark + i;
    for (const struct word *other = script->words; other != w; other++)
        own += other->type && strcmp(other->text, "\n") != 0;
    return own;
}

static const struct word *word_of(const struct script *script, const char *text)
{
    const struct word *w = script->words;
    while (strcmp(w->text, text) != 0)
        w++;
    return w;
}

/* A closed thought ends with a plus: what follows is said. */
static void write_script(const struct script *script, struct output o)
{
    uint32_t last = letter(script, script->first);
    for (const struct word *w = script->words; w->text; w++) {
        follow(o, last, token_of(script, w), 1);
        if (strcmp(w->text, "\n\n") == 0)
            follow(o, letter(script, '+'), token_of(script, w + 1), 1);
        last = token_of(script, w);
    }
    for (const char *const(*other)[2] = script->others; (*other)[0]; other++)
        follow(o, token_of(script, word_of(script, (*other)[0])), token_of(script, word_of(script, (*other)[1])),
               1.06f);
}

static void make_script(const struct script *script, struct buf *out)
{
    enum { N = SCRIPT_VOCAB };
    static float zeros[N * N], ones[N], same[N * N], output[N * N];
    struct gguf_make m;
    for (size_t i = 0; i < N; i++)
        ones[i] = same[i * N + i] = 1;
    write_script(script, (struct output){output, N});
    gguf_make_init(&m);
    gguf_make_text(&m, "general.architecture", "llama");
    gguf_make_u32(&m, "llama.context_length", MODEL_MAKE_CONTEXT);
    gguf_make_u32(&m, "llama.embedding_length", N);
    gguf_make_u32(&m, "llama.block_count", 1);
    gguf_make_u32(&m, "llama.feed_forward_length", N);
    gguf_make_u32(&m, "llama.attention.head_count", 2);
    gguf_make_f32(&m, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    add_vocabulary(&m, script, N);
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

/* -- a script over layers that carry a state: what they add is small beside an embedding, and in every bit that is
 * hashed -- */

static void with_toss(struct gguf_make *m, const struct model_make *s)
{
    (void)s;
    add_vocabulary(m, &toss, MODEL_MAKE_VOCAB);
}

/* A tensor of numbers, in a file that is ours. */
static float *numbers_of(struct buf *file, const struct gguf *g, const char *name, size_t *n)
{
    const struct gguf_tensor *t = gguf_find_tensor(g, name);
    CHECK(t && t->type == GGUF_TENSOR_F32);
    *n = t->size / sizeof(float);
    return (float *)(void *)(file->p + (t->data.p - file->p));
}

static void make_toss(struct buf *out, bool wrong)
{
    struct model_make shape = {0};
    struct gguf *g;
    size_t n;
    for (size_t i = 0; model_make_at(i); i++)
        if (strcmp(model_make_at(i)->label, "qwen35") == 0)
            shape = *model_make_at(i);
    CHECK(shape.type == GGUF_TENSOR_F32 && !shape.more);
    shape.more = with_toss;
    shape.tied = false;
    shape.embed = MODEL_MAKE_VOCAB;
    model_make(out, &shape);
    CHECK(gguf_open(bytes_of_buf(out), &g, NULL) == ERR_OK);
    float *embeddings = numbers_of(out, g, "token_embd.weight", &n);
    memset(embeddings, 0, n * sizeof *embeddings);
    for (size_t i = 0; i < MODEL_MAKE_VOCAB; i++)
        embeddings[i * MODEL_MAKE_VOCAB + i] = 64;
    float *output = numbers_of(out, g, "output.weight", &n);
    memset(output, 0, n * sizeof *output);
    write_script(&toss, (struct output){output, MODEL_MAKE_VOCAB});
    for (size_t i = 0; i < n; i++)
        output[i] *= 2;
    float *decays = numbers_of(out, g, "blk.0.ssm_a", &n);
    for (size_t i = 0; wrong && i < n; i++)
        decays[i] *= 1.0001f;
    gguf_free(g);
}

int main(int argc, char **argv)
{
    struct buf out = {0};
    long layers = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    if (argc > 1 && strcmp(argv[1], "random") == 0 && layers >= 0 && layers <= 64)
        make_random(&out, (uint32_t)layers);
    if (argc > 1 && strcmp(argv[1], toss.name) == 0)
        make_toss(&out, argc > 2 && strcmp(argv[2], "wrong") == 0);
    for (size_t i = 0; argc > 1 && i < sizeof scripts / sizeof *scripts; i++)
        if (strcmp(argv[1], scripts[i].name) == 0)
            make_script(&scripts[i], &out);
    if (out.n == 0)
        return fprintf(stderr, "talker random [LAYERS] | script | think | tags | bracket | toss [wrong]\n"), 2;
    bool good = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
    buf_clear(&out);
    return good ? 0 : 1;
}

/* What whole models answer on this machine, as digests: digest [FILE.gguf].
 *
 * For small random models of every architecture and of every format, and for the file: the logits and hidden states of
 * a text, a greedy and a sampled answer, and a witness. Each set of kernels that the processor runs has to give the
 * same in each way of cutting the text into batches; one line a model is printed, the same on every machine (`make
 * portable` compares). The closing line counts evaluations. */
#include "base/mem.h"
#include "inference/sched/digest.h"
#include "inference/engine/engine.h"
#include "inference/sched/sampler.h"
#include "inference/sched/witness.h"
#include "tests/model_make.h"
#include "inference/train/train_adam.h"
#include "inference/train/train_pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT  75 /* two chunks of the cache, and over the windows of the models */
#define SHORT   20 /* of it, for the sampled answer */
#define ANSWER  8
#define KINDS   4
#define FILE_MB 64

/* All that a model says, in one way of running it. */
struct answers {
    struct hash
        of[KINDS]; /* the text; a greedy answer; a sampled one; a witness of the text, the end of which was answered */
};

static unsigned passed, failed;

static void make_request(struct request *r, bool sampled, uint32_t vocab, uint8_t prompt[PROMPT * 4])
{
    request_init(r);
    for (uint32_t i = 0; i < PROMPT; i++)
        store_le32(prompt + 4 * i, (i * 31 + i * i * 7 + 3) % vocab);
    r->prompt = bytes_of(prompt, (sampled ? SHORT : PROMPT) * 4);
    r->tokens_max = ANSWER;
    r->seed.b[0] = 7;
    if (!sampled)
        return;
    r->temp = 0.9f;
    r->top_k = 40;
    r->top_p = 0.95f;
    r->min_p = 0.01f;
    r->repeat_penalty = 1.1f;
    r->presence = 0.1f;
    r->frequency = 0.05f;
    r->window = 32;
}

/* Evaluates the prompt in batches; the last row's results are left in `row`. */
static struct hash read_prompt(struct engine *e, struct engine_seq *s, const struct request *r, uint32_t batch,
                               struct engine_row *row)
{
    struct engine_row rows[PROMPT];
    struct hasher h;
    const struct model *m = engine_model(e);
    hash_start(&h, HASH_DIGEST);
    for (uint32_t from = 0, left = request_prompt_n(r); left; left -= batch < left ? batch : left, from += batch) {
        uint32_t n = batch < left ? batch : left;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = (struct engine_row){.seq = s, .token = request_prompt_at(r, from + i), .wants = true};
        engine_eval(e, rows, n);
        for (uint32_t i = 0; i < n; i++) {
            CHECK(rows[i].finite);
            hash_add(&h, rows[i].logits, m->vocab * sizeof(float));
            hash_add(&h, rows[i].hidden, m->embed * sizeof(float));
        }
        *row = rows[n - 1];
    }
    return hash_end(&h);
}

/* The digest of the answer (docs/arithmetic.md); `text`: of all that was said about the prompt. */
static struct hash answer(struct engine *e, bool sampled, uint32_t batch, struct hash *text)
{
    const struct model *m = engine_model(e);
    static const struct hash root;
    struct request r;
    uint8_t prompt[PROMPT * 4];
    uint32_t tokens[PROMPT + ANSWER];
    struct engine_row row;
    make_request(&r, sampled, m->vocab, prompt);
    uint32_t n = request_prompt_n(&r);
    struct hash digest = digest_start(&root, &r);
    struct engine_seq *s = engine_seq_new(e, n + ANSWER);
    struct sampler *sampler = sampler_new(engine_ops(e), m->vocab);
    *text = read_prompt(e, s, &r, batch, &row);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = request_prompt_at(&r, i);
    for (uint32_t end = n + ANSWER; n < end; n++) {
        tokens[n] = sampler_pick(sampler, &r, NULL, row.logits, tokens, n, 0, n);
        struct hash hidden = digest_hidden(row.hidden, m->embed);
        digest_add(&digest, &hidden, tokens[n]);
        row = (struct engine_row){.seq = s, .token = tokens[n], .wants = true};
        if (n + 1 < end)
            engine_eval(e, &row, 1);
    }
    sampler_free(sampler);
    engine_seq_free(s);
    return digest;
}

static struct hash witness(struct engine *e, uint32_t batch)
{
    const struct model *m = engine_model(e);
    struct witness *w = witness_new(&(struct witness_options){
        .key = {{7}}, .layers = m->layers, .embed = m->embed, .prompt_n = PROMPT - ANSWER, .answer_n = ANSWER + 1});
    struct engine_seq *s = engine_seq_new(e, PROMPT + 1);
    struct engine_row rows[PROMPT];
    witness_tap(w, s);
    for (uint32_t from = 0, n; from < PROMPT; from += n) {
        n = batch < PROMPT - from ? batch : PROMPT - from;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = (struct engine_row){.seq = s,
                                          .token = ((from + i) * 31 + (from + i) * (from + i) * 7 + 3) % m->vocab,
                                          .wants = from + i + 1 >= PROMPT - ANSWER,
                                          .best_only = from + i + 1 >= PROMPT - ANSWER};
        engine_eval(e, rows, n);
        for (uint32_t i = 0; i < n; i++)
            witness_take(w, from + i, &rows[i]);
    }
    const struct hash h = witness_end(w);
    engine_seq_free(s);
    witness_free(w);
    return h;
}

static void run(struct engine *e, uint32_t batch, struct answers *out)
{
    const struct model *m = engine_model(e);
    struct hash also;
    memset(out, 0, sizeof *out);
    if (model_writes(m)) {
        out->of[1] = answer(e, false, batch, &out->of[0]);
        out->of[2] = answer(e, true, batch, &also);
        out->of[3] = witness(e, batch);
        return;
    }
    uint32_t ids[PROMPT];
    float *vector = mem_array(m->embed, sizeof *vector);
    for (uint32_t i = 0; i < PROMPT; i++)
        ids[i] = (i * 31 + i * i * 7 + 3) % m->vocab;
    CHECK(engine_embed(e, ids, PROMPT, vector));
    out->of[0] = hash_once(HASH_DIGEST, vector, m->embed * sizeof *vector);
    free(vector);
}

/* Every set of kernels, in several batches; the reference, which is slow, in one. */
static void run_all(const char *label, const struct model *m)
{
    static const uint32_t batches[] = {PROMPT, 7, 1};
    struct answers want, got;
    const struct ops *o;
    for (size_t i = 0; (o = ops_at(i)); i++)
        for (size_t k = 0; k < (i ? sizeof batches / sizeof *batches : 1); k++) {
            struct engine_options options = {.model = m, .ops = o, .threads = k == 1 ? 2 : 1, .batch_max = batches[k]};
            struct engine *e = engine_new(&options);
            run(e, batches[k], i ? &got : &want);
            engine_free(e);
            if (i && memcmp(&got, &want, sizeof got) != 0) {
                printf("FAILED %s: %s in batches of %u differs from the reference\n", label, o->name, batches[k]);
                failed++;
            } else {
                passed++;
            }
        }
    printf("%s:", label);
    for (size_t k = 0; k < KINDS; k++) {
        printf(" ");
        for (size_t i = 0; i < 8; i++)
            printf("%02x", want.of[k].b[i]);
    }
    printf("\n");
    fflush(stdout);
}

/* Some steps of a training beside the model, by every set of kernels. */
static struct hash train(const struct gguf *file, const struct model *m, const struct train_set *set)
{
    enum { LENGTH = 32, STEPS = 3 };
    struct pool *pool = pool_new(1);
    struct train_lora *l = train_lora_new(file, m, 3, 5.0f, 7);
    struct train_pass *p =
        train_pass_new(&(struct train_pass_options){.lora = l, .set = set, .pool = pool, .length = LENGTH});
    struct train_adam adam;
    uint32_t tokens[LENGTH + 1];
    uint8_t counts[LENGTH];
    train_adam_init(&adam, l->values_n);
    for (uint32_t k = 1; k <= STEPS; k++) {
        for (uint32_t i = 0; i <= LENGTH; i++)
            tokens[i] = (i * 37 + k * 11) % m->vocab;
        memset(counts, 1, sizeof counts);
        memset(l->gradient, 0, l->values_n * sizeof *l->gradient);
        train_pass_loss(p, tokens, counts);
        train_pass_back(p, LENGTH);
        train_adam_step(&adam, l->value, l->gradient, train_adam_norm(l->gradient, l->values_n), 0.01f);
    }
    struct hash h = hash_once(HASH_TRAIN, l->value, l->values_n * sizeof *l->value);
    train_adam_clear(&adam);
    train_pass_free(p);
    train_lora_free(l);
    pool_free(pool);
    return h;
}

static void run_training(const char *label, const struct gguf *file, const struct model *m)
{
    const struct hash want = train(file, m, &train_set_ref);
    for (size_t i = 1; train_set_at(i); i++) {
        const struct hash got = train(file, m, train_set_at(i));
        const bool same = hash_equal(&want, &got);
        *(same ? &passed : &failed) += 1;
        if (!same)
            printf("FAILED %s: trained by %s\n", label, train_set_at(i)->name);
    }
    printf("%s, trained:", label);
    for (size_t i = 0; i < 8; i++)
        printf("%s%02x", i ? "" : " ", want.b[i]);
    printf("\n");
}

static void run_file(const char *label, struct bytes file)
{
    struct note note = {{0}};
    struct gguf *g;
    struct model *m;
    if (gguf_open(file, &g, &note) != ERR_OK) {
        printf("FAILED %s: %s\n", label, note.text);
        failed++;
        return;
    }
    struct pack *p = pack_new(g);
    void *memory = aligned_alloc(64, (size_t)pack_bytes(p) / 64 * 64 + 64);
    CHECK(memory);
    pack_set_memory(p, memory);
    pack_fill(p);
    if (model_open(g, p, &m, &note) == ERR_OK) {
        run_all(label, m);
        if (train_lora_check(m, &note) == ERR_OK)
            run_training(label, g, m);
        model_free(m);
    } else {
        printf("FAILED %s: %s\n", label, note.text);
        failed++;
    }
    pack_free(p);
    free(memory);
    gguf_free(g);
}

static void run_made(const struct model_make *s)
{
    struct buf file = {0};
    model_make(&file, s);
    run_file(s->label, bytes_of_buf(&file));
    buf_clear(&file);
}

static void run_stored(const char *path)
{
    size_t most = (size_t)FILE_MB << 20;
    uint8_t *p = mem_new(most);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(p, 1, most, f) : 0;
    if (f)
        fclose(f);
    const char *name = strrchr(path, '/');
    if (n && n < most) {
        run_file(name ? name + 1 : path, bytes_of(p, n));
    } else {
        printf("FAILED %s: cannot be read, or is over %d MiB\n", path, FILE_MB);
        failed++;
    }
    free(p);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *label;
        enum gguf_tensor_type type;
    } formats[] = {{"F32", GGUF_TENSOR_F32},
                   {"F16", GGUF_TENSOR_F16},
                   {"BF16", GGUF_TENSOR_BF16},
#define E(name, ...) {#name, GGUF_TENSOR_##name},
                   QUANT_BLOCKED_LIST(E)
#undef E
    };
    const struct model_make *s;
    for (size_t i = 0; (s = model_make_at(i)); i++)
        run_made(s);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct model_make of = {
            formats[i].label, "llama", formats[i].type, 256, 1, 4, 2, 64, 256, 0, 0, 0, false, false, NULL};
        run_made(&of);
    }
    if (argc > 1)
        run_stored(argv[1]);
    fprintf(stderr, "%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}

/* A worker's scheduler with emulated GPUs: which backend takes them, what is said of it, and an answer with the
 * processor's digest, also when the GPU is lost in the middle of it. */
#include "base/file_map.h"
#include "inference/sched/sched.h"
#include "tests/cuda/runtime_emulated.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#define MODEL "models/kith-guide.gguf"

#define ASKS  4u
#define ALONE 6 /* steps before the next one is asked */

struct heard {
    struct wire_opened opened;
    struct wire_done done; /* the last one */
    struct hash digest[ASKS + 1];
    uint32_t drafted, accepted, over; /* of all */
    struct wire_device device;        /* the last one */
    unsigned devices;
    bool is_done;
};

static uint64_t opened_bytes; /* of GPUs, behind the last opening */

/* Each look at it takes a microsecond, so that batches have a cost, by which drafts are planned. */
static uint64_t slow_clock(void)
{
    static _Atomic uint64_t us;
    return ++us;
}

static void hear_done(const struct wire_frame *f, struct heard *h)
{
    h->is_done = wire_read_done(f->body, &h->done);
    assert_true(h->is_done && h->done.ask <= ASKS);
    h->digest[h->done.ask] = h->done.digest;
    h->drafted += h->done.drafted;
    h->accepted += h->done.accepted;
    h->over++;
}

static void hear(struct buf *out, struct heard *h)
{
    struct wire_frame f;
    size_t used;
    while (wire_next(bytes_of_buf(out), false, &f, &used) == ERR_OK && used) {
        if (f.type == WIRE_OPENED)
            assert_true(wire_read_opened(f.body, &h->opened));
        else if (f.type == WIRE_DONE)
            hear_done(&f, h);
        else if (f.type == WIRE_DEVICE)
            h->devices += wire_read_device(f.body, &h->device);
        else
            assert_int_equal(f.type, WIRE_TOKEN);
        buf_drop(out, used);
    }
    assert_int_equal(out->n, 0);
}

/* Even ones repeat themselves, so that what comes next is guessed. */
static void put_question(struct buf *frames, uint64_t ask)
{
    struct buf prompt = {0}, bytes = {0};
    struct request r;
    request_init(&r);
    for (uint32_t i = 0; i < 66; i++)
        wire_put_id(&prompt, 300 + ((ask % 2 ? i : i % 5) * 11 + 7 * (uint32_t)ask) % 150);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = ask % 2 ? 5 : 24;
    r.temp = ask % 2 ? 0.8f : 0.0f;
    request_put(&bytes, &r);
    wire_add_run(frames, &(struct wire_run){.ask = ask, .request = bytes_of_buf(&bytes)});
    buf_clear(&prompt);
    buf_clear(&bytes);
}

static enum err open_with(const char *backend, const struct devices *devices, struct bytes *file, struct buf *out,
                          struct sched **s, struct note *note)
{
    struct wire_open o = {.root = {{3}}, .threads = 3, .batch = 32, .jobs = 4};
    assert_true(text64_set(&o.backend, backend));
    assert_int_equal(file_map(MODEL, file, note), ERR_OK);
    return sched_open(&o,
                      &(struct sched_options){.file = *file, .pack_fd = -1, .devices = devices, .clock = slow_clock},
                      out, s, note);
}

static void ask_one(struct sched *s, uint32_t ask, struct buf *frames, struct buf *out)
{
    struct note note = {{0}};
    struct wire_frame f;
    size_t used;
    put_question(frames, ask);
    assert_int_equal(wire_next(bytes_of_buf(frames), true, &f, &used), ERR_OK);
    assert_int_equal(sched_take(s, &f, out, &note), ERR_OK);
    buf_drop(frames, used);
}

/* The whole life of questions [first, end), each asked while those before are answered. */
static struct heard answer_some(const char *backend, const struct devices *devices, uint32_t lose_at, uint32_t first,
                                uint32_t end)
{
    struct heard h = {.is_done = false};
    struct bytes file;
    struct buf out = {0}, frames = {0};
    struct sched *s;
    struct note note = {{0}};
    if (open_with(backend, devices, &file, &out, &s, &note) != ERR_OK)
        fail_msg("%s", note.text);
    opened_bytes = emulated_bytes();
    emulated_lose_at(lose_at);
    for (uint32_t ask = first; ask < end; ask++) {
        ask_one(s, ask, &frames, &out);
        for (unsigned i = 0; i < ALONE; i++)
            sched_step(s, &out);
    }
    while (sched_is_busy(s))
        sched_step(s, &out);
    emulated_lose_at(0);
    hear(&out, &h);
    assert_int_equal(h.over, end - first);
    sched_close(s);
    file_unmap(file);
    buf_clear(&out);
    buf_clear(&frames);
    assert_int_equal(emulated_bytes(), 0);
    return h;
}

static struct heard answer(const char *backend, const struct devices *devices, uint32_t lose_at)
{
    return answer_some(backend, devices, lose_at, 1, 2);
}

static void needs_emulation(void)
{
    if (emulated_is())
        return;
    print_message("skip: a real GPU is not lost or filled for a test\n");
    skip();
}

static struct devices all_devices(void)
{
    struct devices d = {.table = kith_device_table()};
    emulated_gpus(1, (uint64_t)1 << 30);
    d.n = d.table->start(&d.why);
    assert_true(d.n >= 1);
    return d;
}

static void backends_take_gpus_or_not(void **state)
{
    (void)state;
    struct devices d = all_devices();
    struct heard here = answer("ref", &d, 0), there = answer("cuda", &d, 0), any = answer("auto", &d, 0);
    char want[96];
    assert_string_equal(here.opened.backend.s, "ref");
    assert_string_equal(here.opened.device.s, "");
    assert_string_equal(there.opened.backend.s, "cuda");
    snprintf(want, sizeof want, "%u of %u layers on ", there.opened.layers, there.opened.layers);
    assert_memory_equal(there.opened.device.s, want, strlen(want));
    assert_true(!emulated_is() || strcmp(there.opened.device.s + strlen(want), "emulated GPU 0") == 0);
    assert_string_equal(any.opened.backend.s, "cuda");
    assert_true(hash_equal(&here.done.digest, &there.done.digest));
    assert_true(hash_equal(&here.done.digest, &any.done.digest));
    assert_int_equal(there.devices, 0);
}

static void a_lost_gpu_is_told_and_costs_no_answer(void **state)
{
    (void)state;
    needs_emulation();
    struct devices d = all_devices();
    struct heard here = answer("ref", NULL, 0), there = answer("cuda", &d, 5);
    assert_true(hash_equal(&here.done.digest, &there.done.digest));
    assert_int_equal(there.devices, 1);
    assert_non_null(strstr(there.device.device.s, "is lost"));
    assert_non_null(strstr(there.device.device.s, "the processor goes on"));
}

/* Answers written in one batch, with what is guessed of them, are those of each by itself on a processor; also where
 * the GPU is lost while guesses stand that are not yet right or wrong. */
static void answers_beside_each_other_with_drafts(void **state)
{
    (void)state;
    static const uint32_t lose_at[] = {0, 9, 13};
    struct devices d = all_devices();
    struct hash want[ASKS + 1];
    for (uint32_t ask = 1; ask <= ASKS; ask++)
        want[ask] = answer_some("auto", NULL, 0, ask, ask + 1).digest[ask];
    for (size_t i = 0; i < (emulated_is() ? 3 : 1); i++) {
        struct heard h = answer_some("cuda", &d, lose_at[i], 1, ASKS + 1);
        for (uint32_t ask = 1; ask <= ASKS; ask++)
            assert_true(hash_equal(&h.digest[ask], &want[ask]));
        assert_true(h.drafted > 0);
        assert_int_equal(h.devices, lose_at[i] > 0);
    }
}

/* Who does not say a batch gets what suits a GPU of that size. */
static void a_batch_goes_by_the_gpu(void **state)
{
    (void)state;
    needs_emulation();
    static const struct {
        uint64_t bytes;
        uint32_t said, want, slots;
    } cases[] = {{(uint64_t)8 << 30, 0, 1024, 64},
                 {(uint64_t)24 << 30, 0, 2048, 64},
                 {(uint64_t)24 << 30, 96, 96, 64},
                 {1 << 20, 0, 252, 16}}; /* no room for a layer: the processor's */
    struct devices d = all_devices();
    struct bytes file;
    assert_int_equal(file_map(MODEL, &file, &(struct note){{0}}), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct wire_open o = {.root = {{3}}, .threads = 1, .batch = cases[i].said};
        struct buf out = {0};
        struct sched *s;
        struct note note = {{0}};
        struct heard h = {.is_done = false};
        emulated_gpus(1, cases[i].bytes);
        if (sched_open(&o, &(struct sched_options){.file = file, .pack_fd = -1, .devices = &d, .clock = slow_clock},
                       &out, &s, &note) != ERR_OK)
            fail_msg("%s", note.text);
        hear(&out, &h);
        assert_int_equal(h.opened.batch, cases[i].want);
        assert_int_equal(h.opened.slots, cases[i].slots);
        sched_close(s);
        buf_clear(&out);
    }
    emulated_gpus(1, (uint64_t)1 << 30);
    file_unmap(file);
}

/* Nothing is packed for the processor then, but all is looked at: what would be packed and what would not. */
static void weights_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"blk.0.ffn_down.weight", "blk.0.attn_norm.weight", "token_embd.weight"};
    const struct wire_open o = {.root = {{3}}, .threads = 3, .batch = 32};
    struct devices d = all_devices();
    struct bytes file;
    assert_int_equal(file_map(MODEL, &file, &(struct note){{0}}), ERR_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf copy = {0}, out = {0};
        struct gguf *gguf;
        struct sched *s;
        struct note note = {{0}};
        buf_add(&copy, file.p, file.n);
        assert_int_equal(gguf_open(bytes_of_buf(&copy), &gguf, &note), ERR_OK);
        const struct gguf_tensor *t = gguf_find_tensor(gguf, names[i]);
        assert_non_null(t);
        memset((uint8_t *)(uintptr_t)t->data.p + t->data.n / 2, 0xFF, 256);
        gguf_free(gguf);
        const struct sched_options so = {
            .file = bytes_of_buf(&copy), .pack_fd = -1, .devices = &d, .clock = slow_clock};
        assert_int_equal(sched_open(&o, &so, &out, &s, &note), ERR_NUMERIC);
        assert_non_null(strstr(note.text, names[i]));
        buf_clear(&copy);
        buf_clear(&out);
    }
    file_unmap(file);
}

static void without_a_gpu(void **state)
{
    (void)state;
    needs_emulation();
    struct devices none = {.n = 0}, d = all_devices();
    struct bytes file;
    struct buf out = {0};
    struct sched *s;
    struct note note = {{0}};
    (void)note_set(&none.why, ERR_NOT_FOUND, "there is no GPU in this test");
    assert_int_equal(open_with("cuda", &none, &file, &out, &s, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "there is no GPU in this test"));
    file_unmap(file);
    assert_string_equal(answer("auto", &none, 0).opened.device.s, "no GPU: there is no GPU in this test");
    emulated_gpus(1, 1 << 20); /* too small for a layer */
    struct heard h = answer("auto", &d, 0);
    assert_non_null(strstr(h.opened.device.s, "no GPU has room"));
    assert_string_not_equal(h.opened.backend.s, "cuda");
    emulated_gpus(1, (uint64_t)1 << 30);
    buf_clear(&out);
}

/* A GPU that has room for a part of the model, and two of them. */
static void layers_are_shared_out(void **state)
{
    (void)state;
    needs_emulation();
    struct devices d = all_devices();
    struct heard here = answer("ref", NULL, 0), whole = answer("cuda", &d, 0);
    uint64_t spare = (uint64_t)256 << 20, room = (opened_bytes * 6 / 10 + spare) * 32 / 31; /* devices.c leaves that */
    uint32_t alone = 0;
    for (uint32_t n = 1; n <= 2; n++) {
        uint32_t got = 0;
        emulated_gpus(n, room);
        d.n = n;
        struct heard h = answer("auto", &d, 0);
        assert_int_equal(sscanf(h.opened.device.s, "%u of", &got), 1);
        assert_true(hash_equal(&here.done.digest, &h.done.digest));
        assert_non_null(strstr(h.opened.device.s, "emulated GPU 0"));
        assert_int_equal(strstr(h.opened.device.s, "emulated GPU 1") != NULL, n == 2);
        assert_int_equal(h.devices, 0);
        if (n == 1)
            assert_true(got > 0 && got < whole.opened.layers);
        alone = n == 1 ? got : alone;
        if (n == 2)
            assert_true(got > alone);
    }
    emulated_gpus(1, (uint64_t)1 << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_take_gpus_or_not),
        cmocka_unit_test(a_lost_gpu_is_told_and_costs_no_answer),
        cmocka_unit_test(answers_beside_each_other_with_drafts),
        cmocka_unit_test(a_batch_goes_by_the_gpu),
        cmocka_unit_test(weights_that_are_not_finite_are_refused),
        cmocka_unit_test(without_a_gpu),
        cmocka_unit_test(layers_are_shared_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

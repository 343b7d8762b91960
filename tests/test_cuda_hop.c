/* Layers for another machine on an emulated GPU: the answer is the processor's; a GPU without room, or that is lost, is
 * said, and the one who asks goes on alone. */
#include "base/file_map.h"
#include "inference/sched/hop.h"
#include "inference/sched/sched.h"
#include "tests/cuda/runtime_emulated.h"
#include "tests/support.h"

#include <string.h>

#define MODEL "models/kith-guide.gguf"

struct stage {
    struct bytes file;
    struct hop *hop;
    struct wire_opened hop_opened;
    struct wire_device device;
    struct wire_done done;
    uint64_t calls;
};

static uint64_t no_clock(void)
{
    return 1;
}

static struct devices all_devices(void)
{
    struct devices d = {.table = kith_device_table()};
    emulated_gpus(1, (uint64_t)1 << 30);
    d.n = d.table->start(&d.why);
    assert_true(d.n >= 1);
    return d;
}

/* One message of `out`, which is to be of that type. */
static struct wire_frame first_of(const struct buf *out, bool to_worker, enum wire_type type)
{
    struct wire_frame f;
    size_t used;
    assert_int_equal(wire_next(bytes_of_buf(out), to_worker, &f, &used), ERR_OK);
    assert_true(used > 0 && f.type == type);
    return f;
}

static enum err call(void *arg, uint32_t hop, struct bytes bytes, struct buf *answer, struct note *note)
{
    struct stage *s = arg;
    struct buf in = {0}, out = {0};
    struct wire_failed failed;
    struct wire_hop_answer m;
    struct wire_frame f;
    size_t used;
    enum err e = ERR_OK;
    assert_int_equal(hop, 0);
    wire_add_hop_call(&in, &(struct wire_hop_call){.ask = ++s->calls, .call = bytes});
    f = first_of(&in, true, WIRE_HOP_CALL);
    assert_int_equal(hop_take(s->hop, &f, &out, note), ERR_OK);
    assert_int_equal(wire_next(bytes_of_buf(&out), false, &f, &used), ERR_OK);
    if (f.type == WIRE_FAILED) {
        assert_true(wire_read_failed(f.body, &failed) && failed.ask == s->calls);
        e = wire_failure(&failed, note);
    } else {
        assert_true(f.type == WIRE_HOP_ANSWER && wire_read_hop_answer(f.body, &m));
        buf_add(answer, m.answer.p, m.answer.n);
    }
    buf_clear(&in);
    buf_clear(&out);
    return e;
}

static enum err open_hop(struct stage *s, const char *backend, const struct devices *devices, struct note *note)
{
    struct wire_open o = {.mode = WIRE_LAYERS, .root = {{3}}, .threads = 2, .batch = 32, .first = 1, .end = 3};
    struct buf out = {0};
    *s = (struct stage){.calls = 0};
    assert_true(text64_set(&o.backend, backend));
    assert_int_equal(file_map(MODEL, &s->file, note), ERR_OK);
    const struct hop_options ho = {.file = s->file, .pack_fd = -1, .devices = devices};
    enum err e = hop_open(&o, &ho, &out, &s->hop, note);
    if (e == ERR_OK)
        assert_true(wire_read_opened(first_of(&out, false, WIRE_OPENED).body, &s->hop_opened));
    buf_clear(&out);
    return e;
}

static void put_question(struct buf *frames)
{
    struct buf prompt = {0}, bytes = {0};
    struct request r;
    request_init(&r);
    for (uint32_t i = 0; i < 66; i++)
        wire_put_id(&prompt, 300 + (i * 11) % 150);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = 6;
    r.temp = 0.8f;
    request_put(&bytes, &r);
    wire_add_run(frames, &(struct wire_run){.ask = 1, .request = bytes_of_buf(&bytes)});
    buf_clear(&prompt);
    buf_clear(&bytes);
}

/* A question to a model two of whose layers the hop has, or to one in one piece. */
static void answer(struct stage *s, bool in_one_piece, uint32_t lose_at)
{
    struct buf out = {0}, frames = {0}, list = {0};
    struct sched *sched;
    struct note note = {{0}};
    wire_put_id(&list, 1);
    wire_put_id(&list, 3);
    struct wire_open o = {.root = {{3}}, .threads = 2, .batch = 32, .jobs = 2};
    if (!in_one_piece) {
        o.hops = bytes_of_buf(&list);
        o.pages = s->hop_opened.pages;
    }
    const struct sched_options so = {.file = s->file, .pack_fd = -1, .clock = no_clock, .call = call, .call_arg = s};
    if (sched_open(&o, &so, &out, &sched, &note) != ERR_OK)
        fail_msg("%s", note.text);
    put_question(&frames);
    struct wire_frame f = first_of(&frames, true, WIRE_RUN);
    assert_int_equal(sched_take(sched, &f, &out, &note), ERR_OK);
    emulated_lose_at(lose_at);
    while (sched_is_busy(sched))
        sched_step(sched, &out);
    emulated_lose_at(0);
    sched_close(sched);
    bool is_done = false;
    for (size_t used; wire_next(bytes_of_buf(&out), false, &f, &used) == ERR_OK && used; buf_drop(&out, used)) {
        if (f.type == WIRE_DONE)
            is_done = wire_read_done(f.body, &s->done);
        if (f.type == WIRE_DEVICE)
            assert_true(wire_read_device(f.body, &s->device));
    }
    assert_true(is_done);
    buf_clear(&out);
    buf_clear(&frames);
    buf_clear(&list);
}

static void close_stage(struct stage *s)
{
    hop_close(s->hop);
    file_unmap(s->file);
    assert_int_equal(emulated_bytes(), 0);
}

static void a_gpu_has_layers_for_others(void **state)
{
    (void)state;
    struct devices d = all_devices();
    struct hash want;
    static const char *const backends[] = {"ref", "auto", "cuda"};
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        struct stage s;
        struct note note = {{0}};
        if (open_hop(&s, backends[i], &d, &note) != ERR_OK)
            fail_msg("%s", note.text);
        assert_string_equal(s.hop_opened.backend.s, i ? "cuda" : "ref");
        assert_true(s.hop_opened.batch == 32 && s.hop_opened.pages > 0);
        if (i == 0)
            answer(&s, true, 0);
        want = i == 0 ? s.done.digest : want;
        assert_int_equal(s.calls, 0);
        answer(&s, false, 0);
        assert_true(s.calls > 0);
        assert_true(hash_equal(&want, &s.done.digest));
        assert_string_equal(s.device.device.s, "");
        close_stage(&s);
    }
}

static void a_gpu_that_is_lost_costs_no_answer(void **state)
{
    (void)state;
    struct devices d = all_devices();
    struct stage s;
    struct note note = {{0}};
    if (!emulated_is()) {
        print_message("skip: a real GPU is not lost for a test\n");
        skip();
    }
    assert_int_equal(open_hop(&s, "cuda", &d, &note), ERR_OK);
    answer(&s, true, 0);
    const struct hash want = s.done.digest;
    answer(&s, false, 5);
    assert_true(hash_equal(&want, &s.done.digest));
    assert_non_null(strstr(s.device.device.s, "is lost"));
    close_stage(&s);
}

static void a_gpu_without_room(void **state)
{
    (void)state;
    struct devices d = all_devices();
    struct stage s;
    struct note note = {{0}};
    if (!emulated_is()) {
        print_message("skip: a real GPU is not filled for a test\n");
        skip();
    }
    emulated_gpus(1, 1 << 20);
    assert_int_equal(open_hop(&s, "auto", &d, &note), ERR_OK);
    assert_string_not_equal(s.hop_opened.backend.s, "cuda");
    close_stage(&s);
    assert_int_equal(open_hop(&s, "cuda", &d, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "cuda"));
    file_unmap(s.file);
    emulated_gpus(1, (uint64_t)1 << 30);
}

static void no_gpu_is_used_beside_hops(void **state)
{
    (void)state;
    struct devices d = all_devices();
    struct buf out = {0}, list = {0};
    struct sched *sched;
    struct bytes file;
    struct note note = {{0}};
    wire_put_id(&list, 1);
    wire_put_id(&list, 3);
    struct wire_open o = {.threads = 1, .root = {{3}}, .pages = 9, .hops = bytes_of_buf(&list)};
    assert_true(text64_set(&o.backend, "cuda"));
    assert_int_equal(file_map(MODEL, &file, &note), ERR_OK);
    const struct sched_options so = {.file = file, .pack_fd = -1, .devices = &d, .clock = no_clock, .call = call};
    assert_int_equal(sched_open(&o, &so, &out, &sched, &note), ERR_UNSUPPORTED);
    assert_non_null(strstr(note.text, "beside layers elsewhere"));
    buf_clear(&list);
    file_unmap(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_has_layers_for_others),
        cmocka_unit_test(a_gpu_that_is_lost_costs_no_answer),
        cmocka_unit_test(a_gpu_without_room),
        cmocka_unit_test(no_gpu_is_used_beside_hops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

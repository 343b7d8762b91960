/* A model cut over processes of kith-worker, as it is over machines: one is asked, others have layers, and this test
 * carries what they say. The answer is that of the model in one piece, also when a hop fails in the middle; layers that
 * cannot be cut out are refused; and a model is cut into pieces of which each needs less memory. */
#include "inference/worker_proto.h"
#include "tests/support.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODEL   "models/kith-guide.gguf"
#define WAIT_MS 60000
#define TOKENS  24

struct process {
    pid_t pid;
    int fd;
    struct buf in;
};

static const char *program(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    assert_true(n > 0);
    path[n] = '\0';
    for (int up = 0; up < 2; up++)
        *strrchr(path, '/') = '\0';
    strcat(path, "/kith-worker");
    return path;
}

static void start(struct process *p)
{
    int pair[2], model = open(MODEL, O_RDONLY);
    const char *path = program();
    assert_true(model >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *p = (struct process){.pid = fork(), .fd = pair[0]};
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        int socket = fcntl(pair[1], F_DUPFD, 10), file = fcntl(model, F_DUPFD, 10);
        if (dup2(socket, WORKER_FD_SOCKET) < 0 || dup2(file, WORKER_FD_MODEL) < 0)
            _exit(120);
        setenv("KITH_CUDA", "", 1);
        execl(path, "kith-worker", (char *)NULL);
        _exit(121);
    }
    close(pair[1]);
    close(model);
}

static void stop(struct process *p)
{
    int status;
    close(p->fd);
    buf_clear(&p->in);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
}

static void send_to(struct process *p, struct buf *frames)
{
    for (size_t at = 0; at < frames->n;) {
        ssize_t n = send(p->fd, frames->p + at, frames->n - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
    buf_reset(frames);
}

/* The next message; it lasts until `used` bytes of p->in are dropped. */
static struct wire_frame hear(struct process *p, size_t *used)
{
    struct wire_frame f;
    for (;;) {
        assert_int_equal(wire_next(bytes_of_buf(&p->in), false, &f, used), ERR_OK);
        if (*used > 0)
            return f;
        struct pollfd wait = {.fd = p->fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
        buf_reserve(&p->in, 1u << 16);
        ssize_t n = recv(p->fd, p->in.p + p->in.n, 1u << 16, 0);
        if (n <= 0)
            fail_msg("the worker ended");
        p->in.n += (size_t)n;
    }
}

/* Opens, and what it says to that. */
static enum err open_it(struct process *p, const struct wire_open *o, struct wire_opened *opened, struct note *note)
{
    struct buf frames = {0};
    struct wire_failed failed;
    size_t used;
    struct wire_open open = *o;
    enum err e = ERR_OK;
    start(p);
    open.root = (struct hash){{7}};
    assert_true(text64_set(&open.backend, "auto"));
    wire_add_open(&frames, &open);
    send_to(p, &frames);
    buf_clear(&frames);
    struct wire_frame f = hear(p, &used);
    if (f.type == WIRE_FAILED) {
        assert_true(wire_read_failed(f.body, &failed));
        e = wire_failure(&failed, note);
    } else {
        assert_int_equal(f.type, WIRE_OPENED);
        assert_true(wire_read_opened(f.body, opened));
    }
    buf_drop(&p->in, used);
    return e;
}

struct cut {
    struct process head, hop[2];
    uint32_t hops, calls, fails_at; /* the call that fails; 0: none */
    struct wire_opened opened;
    unsigned devices; /* messages that say so */
};

/* Layers of a model, pairs of first and end, elsewhere. */
static void open_cut(struct cut *c, const uint32_t *ranges, uint32_t hops, const struct wire_open *like)
{
    struct wire_opened opened;
    struct note note = {{0}};
    struct buf list = {0};
    uint32_t pages = UINT32_MAX, batch = 0;
    *c = (struct cut){.hops = hops};
    for (uint32_t i = 0; i < hops; i++) {
        struct wire_open o = *like;
        o.mode = WIRE_LAYERS;
        o.first = ranges[2 * i];
        o.end = ranges[2 * i + 1];
        if (open_it(&c->hop[i], &o, &opened, &note) != ERR_OK)
            fail_msg("%s", note.text);
        pages = opened.pages < pages ? opened.pages : pages;
        batch = batch && batch < opened.batch ? batch : opened.batch;
        wire_put_id(&list, o.first);
        wire_put_id(&list, o.end);
    }
    struct wire_open o = *like;
    o.batch = batch;
    o.pages = hops ? pages : 0;
    o.hops = bytes_of_buf(&list);
    if (open_it(&c->head, &o, &c->opened, &note) != ERR_OK)
        fail_msg("%s", note.text);
    buf_clear(&list);
}

static void close_cut(struct cut *c)
{
    stop(&c->head);
    for (uint32_t i = 0; i < c->hops; i++)
        stop(&c->hop[i]);
}

/* A call to its hop, and the answer back. */
static void carry(struct cut *c, const struct wire_far_call *call)
{
    struct buf frames = {0};
    struct wire_hop_answer answer;
    size_t used;
    assert_true(call->hop < c->hops);
    struct process *hop = &c->hop[call->hop];
    if (++c->calls == c->fails_at) {
        struct wire_far_answer m = {.hop = call->hop, .code = ERR_CLOSED};
        wire_set_text(&m.text, "the line is cut");
        wire_add_far_answer(&frames, &m);
        send_to(&c->head, &frames);
        buf_clear(&frames);
        return;
    }
    wire_add_hop_call(&frames, &(struct wire_hop_call){.ask = c->calls, .call = call->call});
    send_to(hop, &frames);
    struct wire_frame f = hear(hop, &used);
    assert_int_equal(f.type, WIRE_HOP_ANSWER);
    assert_true(wire_read_hop_answer(f.body, &answer) && answer.ask == c->calls);
    wire_add_far_answer(&frames, &(struct wire_far_answer){.hop = call->hop, .answer = answer.answer});
    buf_drop(&hop->in, used);
    send_to(&c->head, &frames);
    buf_clear(&frames);
}

static void put_question(struct buf *frames, uint64_t ask)
{
    struct buf prompt = {0}, bytes = {0};
    struct request r;
    request_init(&r);
    for (uint32_t i = 0; i < 66; i++)
        wire_put_id(&prompt, 300 + (i * 11 + 7 * (uint32_t)ask) % 150);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = TOKENS;
    r.temp = ask % 2 ? 0.8f : 0.0f;
    request_put(&bytes, &r);
    wire_add_run(frames, &(struct wire_run){.ask = ask, .request = bytes_of_buf(&bytes)});
    buf_clear(&prompt);
    buf_clear(&bytes);
}

/* A replay of an answer that no model would write, for its witness. */
static void put_replay(struct buf *frames, uint64_t ask)
{
    struct buf prompt = {0}, tokens = {0}, bytes = {0};
    const struct hash key = {{(uint8_t)ask}};
    struct request r;
    request_init(&r);
    for (uint32_t i = 0; i < 66; i++)
        wire_put_id(&prompt, 300 + (i * 11 + 7 * (uint32_t)ask) % 150);
    for (uint32_t i = 0; i < TOKENS; i++)
        wire_put_id(&tokens, 300 + i);
    r.prompt = bytes_of_buf(&prompt);
    r.tokens_max = TOKENS;
    request_put(&bytes, &r);
    wire_add_verify(frames, &(struct wire_verify){.ask = ask,
                                                  .request = bytes_of_buf(&bytes),
                                                  .tokens = bytes_of_buf(&tokens),
                                                  .key = bytes_of(key.b, sizeof key.b)});
    buf_clear(&prompt);
    buf_clear(&tokens);
    buf_clear(&bytes);
}

static bool take_verified(const struct wire_frame *f, uint32_t n, struct hash *digests)
{
    struct wire_verified v;
    if (f->type != WIRE_VERIFIED)
        return false;
    assert_true(wire_read_verified(f->body, &v) && v.ask > n && v.ask <= 2 * n && !v.same);
    assert_int_equal(v.witness.n, HASH_SIZE);
    memcpy(digests[v.ask - 1].b, v.witness.p, HASH_SIZE);
    return true;
}

/* Several questions at once, and as many replays; their digests, and witnesses. */
static void ask(struct cut *c, uint32_t n, struct hash *digests)
{
    struct buf frames = {0};
    struct wire_far_call call;
    struct wire_done done;
    struct wire_device device;
    for (uint32_t i = 1; i <= n; i++)
        put_question(&frames, i);
    for (uint32_t i = 1; i <= n; i++)
        put_replay(&frames, n + i);
    send_to(&c->head, &frames);
    buf_clear(&frames);
    for (uint32_t left = 2 * n; left > 0;) {
        size_t used;
        struct wire_frame f = hear(&c->head, &used);
        if (f.type == WIRE_FAR_CALL) {
            assert_true(wire_read_far_call(f.body, &call));
            carry(c, &call);
        } else if (f.type == WIRE_DONE) {
            assert_true(wire_read_done(f.body, &done) && done.ask >= 1 && done.ask <= n);
            digests[done.ask - 1] = done.digest;
            left--;
        } else if (take_verified(&f, n, digests)) {
            left--;
        } else if (f.type == WIRE_DEVICE) {
            assert_true(wire_read_device(f.body, &device));
            assert_non_null(strstr(device.device.s, "the line is cut"));
            c->devices++;
        } else {
            assert_int_equal(f.type, WIRE_TOKEN);
        }
        buf_drop(&c->head.in, used);
    }
}

#define ASKS 3

static const struct wire_open plain = {.threads = 1, .jobs = 4};
static struct hash want[2 * ASKS];
static uint32_t layers;

static int ask_in_one_piece(void **state)
{
    struct cut c;
    (void)state;
    open_cut(&c, NULL, 0, &plain);
    layers = c.opened.layers;
    ask(&c, ASKS, want);
    close_cut(&c);
    assert_true(layers >= 4);
    return 0;
}

static void expect_same(const struct hash *got)
{
    for (uint32_t i = 0; i < 2 * ASKS; i++)
        assert_true(hash_equal(&want[i], &got[i]));
}

static void any_cut_gives_the_same(void **state)
{
    (void)state;
    const uint32_t cuts[][4] = {{0, layers - 1}, {1, 2}, {1, 2, 2, layers - 1}, {0, 1, 2, 3}};
    static const uint32_t hops[] = {1, 1, 2, 2};
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
        struct cut c;
        struct hash got[2 * ASKS];
        open_cut(&c, cuts[i], hops[i], &plain);
        assert_non_null(strstr(c.opened.device.s, "on other machines"));
        ask(&c, ASKS, got);
        expect_same(got);
        assert_true(c.calls > 8 && c.devices == 0);
        close_cut(&c);
    }
}

static void a_hop_that_fails_changes_nothing(void **state)
{
    (void)state;
    const uint32_t ranges[] = {1, 2, 2, layers - 1};
    static const uint32_t at[] = {1, 2, 9, 20};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        struct cut c;
        struct hash got[2 * ASKS];
        open_cut(&c, ranges, 2, &plain);
        c.fails_at = at[i];
        ask(&c, ASKS, got);
        expect_same(got);
        assert_int_equal(c.devices, 1);
        assert_int_equal(c.calls, at[i]); /* nobody is asked behind it */
        close_cut(&c);
    }
}

static void expect_refused(const struct wire_open *o, enum err want_e, const char *why)
{
    struct process p;
    struct wire_opened opened;
    struct note note = {{0}};
    assert_int_equal(open_it(&p, o, &opened, &note), want_e);
    if (!strstr(note.text, why))
        fail_msg("\"%s\" does not say \"%s\"", note.text, why);
    stop(&p);
}

static void what_cannot_be_cut_is_refused(void **state)
{
    (void)state;
    struct buf list = {0};
    const struct wire_open lent = {.mode = WIRE_LAYERS, .threads = 1, .first = 1, .end = layers};
    expect_refused(&lent, ERR_RANGE, "the last stays at home");
    wire_put_id(&list, 1);
    wire_put_id(&list, layers);
    const struct wire_open head = {.threads = 1, .pages = 99, .hops = bytes_of_buf(&list)};
    expect_refused(&head, ERR_RANGE, "the last stays here");
    buf_clear(&list);
}

/* A hop answers calls, and ends where it is asked anything else; one that is no call is refused, and the next goes on.
 */
static void a_hop_answers_calls_alone(void **state)
{
    (void)state;
    struct process p;
    struct wire_opened opened;
    struct wire_failed failed;
    struct buf frames = {0};
    struct note note = {{0}};
    size_t used;
    const struct wire_open o = {.mode = WIRE_LAYERS, .threads = 1, .first = 0, .end = 2};
    assert_int_equal(open_it(&p, &o, &opened, &note), ERR_OK);
    for (uint64_t i = 1; i < 3; i++) {
        wire_add_hop_call(&frames, &(struct wire_hop_call){.ask = i, .call = bytes_of("nonsense", 8)});
        send_to(&p, &frames);
        struct wire_frame f = hear(&p, &used);
        assert_true(f.type == WIRE_FAILED && wire_read_failed(f.body, &failed));
        assert_true(failed.ask == i && failed.code == ERR_PROTOCOL);
        buf_drop(&p.in, used);
    }
    put_question(&frames, 9);
    send_to(&p, &frames);
    struct wire_frame f = hear(&p, &used);
    assert_true(f.type == WIRE_FAILED && wire_read_failed(f.body, &failed));
    assert_true(failed.ask == 0 && failed.code == ERR_PROTOCOL);
    buf_clear(&frames);
    stop(&p);
}

/* Under a limit that the whole model does not fit in. */
static void pieces_need_less_memory(void **state)
{
    (void)state;
    const uint32_t ranges[] = {1, layers / 2, layers / 2, layers - 1};
    struct cut c;
    struct hash got[2 * ASKS];
    uint64_t low = 1u << 20, high = (uint64_t)1 << 30; /* the least that the model in one piece takes */
    while (high - low > 1u << 20) {
        struct process p;
        struct wire_opened opened;
        struct note note;
        const uint64_t middle = (low + high) / 2;
        const struct wire_open o = {.threads = 1, .batch = 16, .jobs = 1, .context = 256, .memory_bytes = middle};
        if (open_it(&p, &o, &opened, &note) == ERR_OK)
            high = middle;
        else
            low = middle;
        stop(&p);
    }
    const struct wire_open whole = {.threads = 1, .batch = 16, .jobs = 1, .context = 256, .memory_bytes = low};
    expect_refused(&whole, ERR_FULL, "MiB");
    open_cut(&c, ranges, 2, &whole);
    ask(&c, ASKS, got);
    expect_same(got);
    close_cut(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same),        cmocka_unit_test(a_hop_that_fails_changes_nothing),
        cmocka_unit_test(what_cannot_be_cut_is_refused), cmocka_unit_test(a_hop_answers_calls_alone),
        cmocka_unit_test(pieces_need_less_memory),
    };
    return cmocka_run_group_tests(tests, ask_in_one_piece, NULL);
}

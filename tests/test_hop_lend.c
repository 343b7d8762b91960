/* Lending layers: heads that do what they should not get nothing, and a head that does gets the layers' own answers.
 * Real workers, on both sides of a connection over loopback. */
#include "base/log.h"
#include "base/mem.h"
#include "inference/request.h"
#include "node/hops/hop_lend.h"
#include "node/hops/hop_wire.h"
#include "node/hops/hops.h"
#include "tests/net.h"
#include "tests/worker_stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL  "models/kith-guide.gguf" /* of four layers: 1 and 2 can be elsewhere */
#define LENDER 0                        /* the nodes */
#define HEAD   1
#define OTHER  2

struct end {
    struct stage *stage;
    unsigned at;
    uint64_t stream;
    unsigned closed, messages;
    enum err reason;
    char text[256];
    struct hop_ready ready;
};

struct side {
    char *dir;
    struct streams *streams;
    struct blobs *blobs;
    struct workers *workers;
};

struct setup {
    struct net net;
    struct side side[3];
    struct hop_lender *lender;
    struct hash root;
    bool imported, allow[3], may;
    unsigned changed;
    uint64_t more; /* that was asked for last */
    struct end end[3];
    /* of a run */
    bool is_over;
    enum err e;
    struct note note;
    struct hash digest;
    uint32_t tokens;
};

static const struct hash chain = {{1}};

static void on_imported(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct setup *s = arg;
    if (e != ERR_OK)
        fail_msg("%s", note->text);
    s->root = *root;
    s->imported = true;
}

static bool is_imported(void *arg)
{
    return ((struct setup *)arg)->imported;
}

static bool is_allowed(void *arg, const struct pubkey *node)
{
    struct setup *s = arg;
    for (unsigned i = 0; i < 3; i++)
        if (pubkey_equal(node, &s->net.node[i].id))
            return s->allow[i];
    return false;
}

static bool may(void *arg, uint64_t more, struct buf *why)
{
    struct setup *s = arg;
    s->more = more;
    if (!s->may)
        buf_add_text(why, "the battery is low");
    return s->may;
}

static void on_changed(void *arg)
{
    ((struct setup *)arg)->changed++;
}

static void side_open(struct setup *s, unsigned i, uint64_t memory_bytes)
{
    struct side *d = &s->side[i];
    net_start(&s->net, i, chain);
    d->dir = test_dir_new();
    d->streams = streams_new(s->net.host, s->net.node[i].peers);
    assert_int_equal(blobs_open(s->net.host, s->net.node[i].peers, d->dir, &d->blobs, NULL), ERR_OK);
    d->workers = workers_new(&(struct workers_options){.host = s->net.host,
                                                       .program = stage_program(),
                                                       .backend = "auto",
                                                       .threads = 1,
                                                       .memory_bytes = memory_bytes});
}

static void import(struct setup *s, unsigned i)
{
    char path[4096];
    assert_non_null(realpath(MODEL, path));
    s->imported = false;
    blobs_import(s->side[i].blobs, BLOB_MODEL, path, on_imported, s);
    net_run(&s->net, is_imported, s, 5000);
}

static void setup_open(struct setup *s, uint64_t head_memory)
{
    *s = (struct setup){.may = true};
    net_open(&s->net);
    for (unsigned i = 0; i < 3; i++)
        side_open(s, i, i == HEAD ? head_memory : 0);
    const struct side *l = &s->side[LENDER];
    const struct hop_lender_options o = {.host = s->net.host,
                                         .streams = l->streams,
                                         .blobs = l->blobs,
                                         .workers = l->workers,
                                         .key = &s->net.node[LENDER].key,
                                         .self = s->net.node[LENDER].id,
                                         .chain = chain,
                                         .is_allowed = is_allowed,
                                         .may = may,
                                         .changed = on_changed,
                                         .arg = s};
    s->lender = hop_lender_new(&o);
    net_join(&s->net, HEAD, LENDER);
    net_join(&s->net, OTHER, LENDER);
    s->allow[HEAD] = true;
}

static void setup_close(struct setup *s)
{
    hop_lender_free(s->lender);
    for (unsigned i = 0; i < 3; i++) {
        struct side *d = &s->side[i];
        workers_free(d->workers);
        blobs_close(d->blobs);
        streams_free(d->streams);
    }
    net_close(&s->net);
    for (unsigned i = 0; i < 3; i++)
        test_dir_remove(s->side[i].dir);
}

/* -- heads -- */

static void on_data(void *arg, uint64_t stream, struct bytes message)
{
    struct end *e = arg;
    uint8_t type;
    struct cursor c = hop_message_open(message, &type);
    assert_int_equal(stream, e->stream);
    e->messages++;
    if (type == HOP_READY) {
        hop_ready_get(&c, &e->ready);
        assert_true(cursor_end(&c));
    }
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct end *e = arg;
    e->closed += stream == e->stream; /* else it is one that another took the place of */
    e->reason = reason;
    snprintf(e->text, sizeof e->text, "%s", text);
}

static const struct stream_calls head_calls = {.data = on_data, .closed = on_closed};

static bool is_said(void *arg)
{
    const struct end *e = arg;
    return e->closed || e->messages;
}

static bool is_closed(void *arg)
{
    const struct end *e = arg;
    return e->closed > 0;
}

static struct end *open_raw(struct setup *s, unsigned who, struct bytes body)
{
    struct end *e = &s->end[who];
    *e = (struct end){.at = who};
    assert_int_equal(streams_open(s->side[who].streams, &s->net.node[LENDER].id, NULL, STREAM_LAYERS, body, &head_calls,
                                  e, &e->stream),
                     ERR_OK);
    net_run(&s->net, is_said, e, 20000);
    return e;
}

static struct end *open_as(struct setup *s, unsigned who, uint32_t first, uint32_t end)
{
    struct buf b = {0};
    hop_open_put(&b, &(struct hop_open){HOP_VERSION, s->root, REQUEST_ARITH, first, end});
    struct end *e = open_raw(s, who, bytes_of_buf(&b));
    buf_clear(&b);
    return e;
}

static void expect_refusal(struct end *e, enum err reason, const char *says)
{
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->messages, 0);
    assert_int_equal(e->reason, reason);
    if (!strstr(e->text, says))
        fail_msg("\"%s\" does not say \"%s\"", e->text, says);
}

static void say_part(struct setup *s, struct end *e, uint64_t number, bool last, struct bytes bytes)
{
    struct buf b = {0};
    const struct hop_part m = {number, last, bytes};
    hop_message_start(&b, HOP_CALL);
    hop_part_put(&b, &m);
    assert_int_equal(streams_send(s->side[e->at].streams, e->stream, bytes_of_buf(&b)), ERR_OK);
    buf_clear(&b);
}

static void refusals(void **state)
{
    (void)state;
    struct setup s;
    setup_open(&s, 0);
    expect_refusal(open_as(&s, OTHER, 1, 3), ERR_AUTH, "kith hop allow");
    expect_refusal(open_raw(&s, OTHER, bytes_of_text("x")), ERR_AUTH, "kith hop allow"); /* nobody learns more */
    expect_refusal(open_as(&s, HEAD, 1, 3), ERR_NOT_FOUND, "kith model pull");
    import(&s, LENDER);
    expect_refusal(open_raw(&s, HEAD, bytes_of_text("x")), ERR_FORMAT, "malformed");
    expect_refusal(open_raw(&s, HEAD, bytes_of(NULL, 0)), ERR_FORMAT, "malformed");
    expect_refusal(open_as(&s, HEAD, 0, 3), ERR_RANGE, "between");
    expect_refusal(open_as(&s, HEAD, 1, 4), ERR_RANGE, "of 4");
    expect_refusal(open_as(&s, HEAD, 2, 2), ERR_RANGE, "between");
    expect_refusal(open_as(&s, HEAD, 2, UINT32_MAX), ERR_RANGE, "between");
    struct buf b = {0};
    hop_open_put(&b, &(struct hop_open){HOP_VERSION + 1, s.root, REQUEST_ARITH, 1, 3});
    expect_refusal(open_raw(&s, HEAD, bytes_of_buf(&b)), ERR_UNSUPPORTED, "version");
    buf_clear(&b);
    s.may = false;
    expect_refusal(open_as(&s, HEAD, 1, 3), ERR_REFUSED, "the battery is low");
    assert_true(s.more > 0); /* how much it would be was asked */
    assert_int_equal(hop_lender_count(s.lender), 0);
    setup_close(&s);
}

static void one_head_at_a_time(void **state)
{
    (void)state;
    struct setup s;
    setup_open(&s, 0);
    import(&s, LENDER);
    s.allow[OTHER] = true;
    struct end *e = open_as(&s, HEAD, 1, 3);
    assert_int_equal(e->closed, 0);
    assert_true(e->ready.batch > 0 && e->ready.pages > 0 && e->ready.backend.n > 0);
    expect_refusal(open_as(&s, OTHER, 1, 2), ERR_BUSY, "already");
    const uint64_t first = e->stream;
    e = open_as(&s, HEAD, 1, 2); /* the same head: instead */
    assert_int_not_equal(e->stream, first);
    assert_int_equal(e->closed, 0);
    assert_int_equal(hop_lender_count(s.lender), 1);
    assert_true(hop_lender_bytes(s.lender) > 0);
    streams_close(s.side[HEAD].streams, e->stream, ERR_OK, "");
    net_wait(&s.net, 100);
    assert_int_equal(hop_lender_count(s.lender), 0);
    assert_int_equal(open_as(&s, OTHER, 1, 2)->closed, 0);
    setup_close(&s);
}

static void the_owner_takes_it_back(void **state)
{
    (void)state;
    struct setup s;
    setup_open(&s, 0);
    import(&s, LENDER);
    struct end *e = open_as(&s, HEAD, 1, 3);
    hop_lender_look(s.lender);
    assert_int_equal(hop_lender_count(s.lender), 1);
    s.may = false;
    hop_lender_look(s.lender);
    assert_int_equal(hop_lender_count(s.lender), 0);
    net_run(&s.net, is_closed, e, 5000);
    assert_int_equal(e->reason, ERR_REFUSED);
    assert_non_null(strstr(e->text, "the battery is low"));
    s.may = true;
    e = open_as(&s, HEAD, 1, 3);
    s.allow[HEAD] = false;
    hop_lender_look(s.lender);
    net_run(&s.net, is_closed, e, 5000);
    assert_int_equal(e->reason, ERR_AUTH);
    setup_close(&s);
}

static void calls_that_cannot_be(void **state)
{
    (void)state;
    struct setup s;
    uint8_t *p = mem_array(HOP_PART_MAX + 1, 1);
    setup_open(&s, 0);
    import(&s, LENDER);
    for (unsigned how = 0; how < 7; how++) {
        struct end *e = open_as(&s, HEAD, 1, 3);
        assert_int_equal(e->closed, 0);
        if (how == 0)
            say_part(&s, e, 2, true, bytes_of(p, 100));
        else if (how == 1)
            say_part(&s, e, 1, true, bytes_of(p, HOP_PART_MAX + 1));
        else if (how == 2)
            say_part(&s, e, 1, false, bytes_of(p, 0));
        else if (how == 3) /* whole, but nothing that layers could evaluate: the worker says so */
            say_part(&s, e, 1, true, bytes_of(p, 1000));
        else if (how == 4) {
            say_part(&s, e, 1, true, bytes_of(p, 1000));
            say_part(&s, e, 2, true, bytes_of(p, 1000)); /* another before there was an answer */
        } else
            assert_int_equal(streams_send(s.side[HEAD].streams, e->stream,
                                          how == 5 ? bytes_of(p, 0) : bytes_of_text("\x04nonsense")),
                             ERR_OK);
        net_run(&s.net, is_closed, e, 5000);
        assert_int_equal(e->reason, ERR_PROTOCOL);
        assert_int_equal(hop_lender_count(s.lender), 0);
    }
    free(p);
    setup_close(&s);
}

struct pouring {
    struct setup *s;
    struct end *e;
    uint8_t *p;
    uint64_t sent;
};

static bool is_poured(void *arg)
{
    struct pouring *x = arg;
    for (;;) {
        struct buf b = {0};
        const struct hop_part m = {1, false, {x->p, HOP_PART_MAX}};
        hop_message_start(&b, HOP_CALL);
        hop_part_put(&b, &m);
        enum err e = streams_send(x->s->side[HEAD].streams, x->e->stream, bytes_of_buf(&b));
        buf_clear(&b);
        if (e != ERR_OK)
            return x->e->closed > 0;
        x->sent += HOP_PART_MAX;
    }
}

static void a_call_without_end(void **state)
{
    (void)state;
    struct setup s;
    setup_open(&s, 0);
    import(&s, LENDER);
    struct pouring x = {.s = &s, .p = mem_array(HOP_PART_MAX, 1)};
    x.e = open_as(&s, HEAD, 1, 3);
    net_run(&s.net, is_poured, &x, 20000);
    assert_int_equal(x.e->reason, ERR_LIMIT);
    assert_true(x.sent >= FAR_CALL_MAX && x.sent < FAR_CALL_MAX + 2u * STREAM_WINDOW);
    free(x.p);
    setup_close(&s);
}

/* -- a head as it should be -- */

static void on_done(void *arg, enum err e, const struct worker_done *d, const struct note *note)
{
    struct setup *s = arg;
    s->is_over = true;
    s->e = e;
    s->note = *note;
    if (e == ERR_OK) {
        s->digest = d->digest;
        s->tokens = d->tokens;
    }
}

static bool is_over(void *arg)
{
    return ((struct setup *)arg)->is_over;
}

static const struct worker_calls run_done = {.done = on_done};

/* Of the head's worker, which starts if need be. */
static void run(struct setup *s)
{
    struct worker *w;
    struct note note;
    struct buf request = {0};
    int fd;
    assert_int_equal(blobs_fd(s->side[HEAD].blobs, &s->root, &fd, &note), ERR_OK);
    assert_int_equal(workers_get(s->side[HEAD].workers, &s->root, WORKER_FULL, fd, &w, &note), ERR_OK);
    run_request(3, 30, &request);
    s->is_over = false;
    worker_run(w, &(struct worker_work){.request = bytes_of_buf(&request)}, &run_done, s);
    buf_clear(&request);
    net_run(&s->net, is_over, s, 20000);
}

static struct hops *open_hops(struct setup *s, uint64_t wait_ms)
{
    const struct side *d = &s->side[HEAD];
    const struct hops_options o = {.host = s->net.host,
                                   .peers = s->net.node[HEAD].peers,
                                   .streams = d->streams,
                                   .blobs = d->blobs,
                                   .workers = d->workers,
                                   .chain = chain,
                                   .home = d->dir,
                                   .wait_ms = wait_ms};
    struct hops *h;
    struct note note;
    if (hops_open(&o, &h, &note) != ERR_OK)
        fail_msg("%s", note.text);
    return h;
}

static void set_hop(struct setup *s, struct hops *h, uint32_t first, uint32_t end)
{
    struct hop_place p = {.model = s->root, .node = s->net.node[LENDER].id, .first = first, .end = end};
    struct note note;
    if (hops_set(h, &p, &note) != ERR_OK)
        fail_msg("%s", note.text);
}

static uint32_t elsewhere(struct setup *s)
{
    struct worker_info info = {0};
    struct worker *w = workers_find(s->side[HEAD].workers, &s->root, WORKER_FULL);
    if (w)
        worker_get_info(w, &info);
    return info.elsewhere;
}

static bool is_together(void *arg)
{
    return elsewhere(arg) > 0;
}

static void the_same_answer_over_two_devices(void **state)
{
    (void)state;
    struct setup s;
    setup_open(&s, 0);
    import(&s, LENDER);
    import(&s, HEAD);
    struct hops *h = open_hops(&s, 300);
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    const struct hash whole = s.digest;
    set_hop(&s, h, 1, 3); /* the worker that is there starts anew with it */
    net_run(&s.net, is_together, &s, 10000);
    assert_int_equal(elsewhere(&s), 2);
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    assert_true(hash_equal(&s.digest, &whole));
    assert_int_equal(hop_lender_count(s.lender), 1);
    s.may = false;
    hop_lender_look(s.lender); /* idle: the next answer comes from here alone */
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    assert_true(hash_equal(&s.digest, &whole));
    s.may = true;
    net_run(&s.net, is_together, &s, 20000);
    run(&s);
    assert_true(hash_equal(&s.digest, &whole));
    hops_close(h);
    h = open_hops(&s, 300); /* from the file */
    assert_int_equal(hops_settings(h)->places_n, 1);
    workers_stop(s.side[HEAD].workers, workers_find(s.side[HEAD].workers, &s.root, WORKER_FULL));
    run(&s);
    assert_int_equal(elsewhere(&s), 2);
    assert_true(hash_equal(&s.digest, &whole));
    struct note note;
    assert_int_equal(hops_remove(h, &s.root, &s.net.node[LENDER].id, &note), ERR_OK);
    run(&s);
    assert_int_equal(elsewhere(&s), 0);
    assert_true(hash_equal(&s.digest, &whole));
    hops_close(h);
    setup_close(&s);
}

/* -- checking -- */

struct checking {
    struct setup *s;
    bool is_over, is_killed;
    enum err e;
    struct buf result;
};

static void on_checked(void *arg, enum err e, struct bytes result, const struct note *note)
{
    struct checking *c = arg;
    (void)note;
    c->e = e;
    c->is_over = true;
    buf_add(&c->result, result.p, result.n);
}

static void kill_workers(void)
{
    char path[64], line[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    (void)!fgets(line, sizeof line, f);
    fclose(f);
    for (char *at = line, *end; *at; at = end + strspn(end, " ")) {
        const long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    }
}

static void take_calls(void *arg, const struct hop_lent *t)
{
    *(uint64_t *)arg += t->calls;
}

/* All workers are killed once the hop answered some calls: the head's begins anew, on a new stream. */
static bool is_checked(void *arg)
{
    struct checking *c = arg;
    uint64_t calls = 0;
    hop_lender_each(c->s->lender, take_calls, &calls);
    if (calls >= 2 && !c->is_killed && !c->is_over) {
        kill_workers();
        c->is_killed = true;
    }
    return c->is_over;
}

/* Whatever dies while a hop is checked, one that answered rightly is not said to be wrong; and one that nobody kills is
 * right. */
static void a_check_that_is_cut_off_blames_nobody(void **state)
{
    (void)state;
    struct setup s;
    struct note note;
    setup_open(&s, 0);
    import(&s, LENDER);
    import(&s, HEAD);
    struct hops *h = open_hops(&s, 5000);
    set_hop(&s, h, 1, 3);
    for (unsigned i = 0; i < 4; i++) {
        struct checking c = {.s = &s, .is_killed = i == 3};
        assert_int_equal(hops_check(h, &s.root, on_checked, &c, &note), ERR_OK);
        net_run(&s.net, is_checked, &c, 20000);
        if (strstr(buf_text(&c.result), "\"agree\":false"))
            fail_msg("%s", buf_text(&c.result));
        assert_true(i < 3 || c.e == ERR_OK);
        assert_true(c.is_killed);
        buf_clear(&c.result);
    }
    hops_close(h);
    setup_close(&s);
}

/* What is not here and does not fit is said with the device that lacks, and with what to do. */
static void too_large_for_the_head_alone(void **state)
{
    (void)state;
    struct setup s;
    struct note note;
    char node[65];
    setup_open(&s, (uint64_t)5 << 19); /* the file has 3 MB */
    import(&s, LENDER);
    import(&s, HEAD);
    struct hops *h = open_hops(&s, 200);
    s.allow[HEAD] = false;
    set_hop(&s, h, 1, 3);
    run(&s);
    assert_int_equal(s.e, ERR_FULL);
    hex_put(node, s.net.node[LENDER].id.b, 32);
    if (!strstr(s.note.text, node) || !strstr(s.note.text, "layers 1-2") || !strstr(s.note.text, "kith hop"))
        fail_msg("%s", s.note.text);
    run(&s); /* the next question is waited for as well */
    assert_int_equal(s.e, ERR_FULL);
    assert_int_equal(hops_remove(h, &s.root, &s.net.node[LENDER].id, &note), ERR_OK);
    hops_close(h);
    setup_close(&s);
}

/* With them it fits; and what was begun with them is finished without. */
static void large_enough_for_both(void **state)
{
    (void)state;
    struct setup s;
    char node[65];
    setup_open(&s, (uint64_t)7 << 20); /* of 8 that the whole takes with these kernels' packed weights */
    import(&s, LENDER);
    import(&s, HEAD);
    struct hops *h = open_hops(&s, 200);
    s.allow[HEAD] = false;
    set_hop(&s, h, 1, 3);
    run(&s);
    if (s.e == ERR_OK) {
        hops_close(h);
        setup_close(&s);
        print_message("skip: with the kernels of this machine the model fits into 7 MiB\n");
        skip();
    }
    hex_put(node, s.net.node[LENDER].id.b, 32);
    if (s.e != ERR_FULL || !strstr(s.note.text, "the limit is 7 MiB") || !strstr(s.note.text, node))
        fail_msg("%s", s.note.text); /* the worker knows better than the file's size what it takes */
    s.allow[HEAD] = true;
    for (unsigned i = 0; i < 20 && s.e != ERR_OK; i++)
        run(&s);
    assert_int_equal(s.e, ERR_OK);
    assert_int_equal(elsewhere(&s), 2);
    s.may = false;
    hop_lender_look(s.lender);
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    hops_close(h);
    setup_close(&s);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    if (access(MODEL, R_OK) != 0) {
        print_message("skip: %s is not there\n", MODEL);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(one_head_at_a_time),
        cmocka_unit_test(the_owner_takes_it_back),
        cmocka_unit_test(calls_that_cannot_be),
        cmocka_unit_test(a_call_without_end),
        cmocka_unit_test(the_same_answer_over_two_devices),
        cmocka_unit_test(a_check_that_is_cut_off_blames_nobody),
        cmocka_unit_test(too_large_for_the_head_alone),
        cmocka_unit_test(large_enough_for_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

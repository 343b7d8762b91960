/* A model cut over two devices: a head gets the layers' own answers, a check blames nobody wrongly, and what does not
 * fit on one machine fits on both. Real workers, on both sides of a connection over loopback. */
#include "base/log.h"
#include "node/hops/hops.h"
#include "tests/hop_stage.h"
#include "tests/worker_stage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct setup {
    struct hop_stage stage;
    /* of a run */
    bool is_over;
    enum err e;
    struct note note;
    struct hash digest;
};

static void on_done(void *arg, enum err e, const struct worker_done *d, const struct note *note)
{
    struct setup *s = arg;
    s->is_over = true;
    s->e = e;
    s->note = *note;
    if (e == ERR_OK)
        s->digest = d->digest;
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
    assert_int_equal(blobs_fd(s->stage.side[HEAD].blobs, &s->stage.root, &fd, &note), ERR_OK);
    assert_int_equal(workers_get(s->stage.side[HEAD].workers, &s->stage.root, WORKER_FULL, fd, &w, &note), ERR_OK);
    run_request(3, 30, &request);
    s->is_over = false;
    worker_run(w, &(struct worker_work){.request = bytes_of_buf(&request)}, &run_done, s);
    buf_clear(&request);
    net_run(&s->stage.net, is_over, s, 20000);
}

static struct hops *open_hops(struct setup *s, uint64_t wait_ms)
{
    const struct hop_side *d = &s->stage.side[HEAD];
    const struct hops_options o = {.host = s->stage.net.host,
                                   .peers = s->stage.net.node[HEAD].peers,
                                   .streams = d->streams,
                                   .blobs = d->blobs,
                                   .workers = d->workers,
                                   .chain = hop_stage_chain,
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
    struct hop_place p = {.model = s->stage.root, .node = s->stage.net.node[LENDER].id, .first = first, .end = end};
    struct note note;
    if (hops_set(h, &p, &note) != ERR_OK)
        fail_msg("%s", note.text);
}

static uint32_t elsewhere(struct setup *s)
{
    struct worker_info info = {0};
    struct worker *w = workers_find(s->stage.side[HEAD].workers, &s->stage.root, WORKER_FULL);
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
    struct setup s = {0};
    hop_stage_open(&s.stage, 0);
    hop_stage_import(&s.stage, LENDER);
    hop_stage_import(&s.stage, HEAD);
    struct hops *h = open_hops(&s, 300);
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    const struct hash whole = s.digest;
    set_hop(&s, h, 1, 3); /* the worker that is there starts anew with it */
    net_run(&s.stage.net, is_together, &s, 10000);
    assert_int_equal(elsewhere(&s), 2);
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    assert_true(hash_equal(&s.digest, &whole));
    assert_int_equal(hop_lender_count(s.stage.lender), 1);
    s.stage.may = false;
    hop_lender_look(s.stage.lender); /* idle: the next answer comes from here alone */
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    assert_true(hash_equal(&s.digest, &whole));
    s.stage.may = true;
    net_run(&s.stage.net, is_together, &s, 20000);
    run(&s);
    assert_true(hash_equal(&s.digest, &whole));
    hops_close(h);
    h = open_hops(&s, 300); /* from the file */
    assert_int_equal(hops_settings(h)->places_n, 1);
    workers_stop(s.stage.side[HEAD].workers, workers_find(s.stage.side[HEAD].workers, &s.stage.root, WORKER_FULL));
    run(&s);
    assert_int_equal(elsewhere(&s), 2);
    assert_true(hash_equal(&s.digest, &whole));
    struct note note;
    assert_int_equal(hops_remove(h, &s.stage.root, &s.stage.net.node[LENDER].id, &note), ERR_OK);
    run(&s);
    assert_int_equal(elsewhere(&s), 0);
    assert_true(hash_equal(&s.digest, &whole));
    hops_close(h);
    hop_stage_close(&s.stage);
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
    hop_lender_each(c->s->stage.lender, take_calls, &calls);
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
    struct setup s = {0};
    struct note note;
    hop_stage_open(&s.stage, 0);
    hop_stage_import(&s.stage, LENDER);
    hop_stage_import(&s.stage, HEAD);
    struct hops *h = open_hops(&s, 5000);
    set_hop(&s, h, 1, 3);
    for (unsigned i = 0; i < 4; i++) {
        struct checking c = {.s = &s, .is_killed = i == 3};
        assert_int_equal(hops_check(h, &s.stage.root, on_checked, &c, &note), ERR_OK);
        net_run(&s.stage.net, is_checked, &c, 20000);
        if (strstr(buf_text(&c.result), "\"agree\":false"))
            fail_msg("%s", buf_text(&c.result));
        assert_true(i < 3 || c.e == ERR_OK);
        assert_true(c.is_killed);
        buf_clear(&c.result);
    }
    hops_close(h);
    hop_stage_close(&s.stage);
}

/* What is not here and does not fit is said with the device that lacks, and with what to do. */
static void too_large_for_the_head_alone(void **state)
{
    (void)state;
    struct setup s = {0};
    struct note note;
    char node[65];
    hop_stage_open(&s.stage, (uint64_t)5 << 19); /* the file has 3 MB */
    hop_stage_import(&s.stage, LENDER);
    hop_stage_import(&s.stage, HEAD);
    struct hops *h = open_hops(&s, 200);
    s.stage.allow[HEAD] = false;
    set_hop(&s, h, 1, 3);
    run(&s);
    assert_int_equal(s.e, ERR_FULL);
    hex_put(node, s.stage.net.node[LENDER].id.b, 32);
    if (!strstr(s.note.text, node) || !strstr(s.note.text, "layers 1-2") || !strstr(s.note.text, "kith hop"))
        fail_msg("%s", s.note.text);
    run(&s); /* the next question is waited for as well */
    assert_int_equal(s.e, ERR_FULL);
    assert_int_equal(hops_remove(h, &s.stage.root, &s.stage.net.node[LENDER].id, &note), ERR_OK);
    hops_close(h);
    hop_stage_close(&s.stage);
}

/* With them it fits; and what was begun with them is finished without. */
static void large_enough_for_both(void **state)
{
    (void)state;
    struct setup s = {0};
    char node[65];
    hop_stage_open(&s.stage, (uint64_t)7 << 20); /* of 8 that the whole takes with these kernels' packed weights */
    hop_stage_import(&s.stage, LENDER);
    hop_stage_import(&s.stage, HEAD);
    struct hops *h = open_hops(&s, 200);
    s.stage.allow[HEAD] = false;
    set_hop(&s, h, 1, 3);
    run(&s);
    if (s.e == ERR_OK) {
        hops_close(h);
        hop_stage_close(&s.stage);
        print_message("skip: with the kernels of this machine the model fits into 7 MiB\n");
        skip();
    }
    hex_put(node, s.stage.net.node[LENDER].id.b, 32);
    if (s.e != ERR_FULL || !strstr(s.note.text, "the limit is 7 MiB") || !strstr(s.note.text, node))
        fail_msg("%s", s.note.text); /* the worker knows better than the file's size what it takes */
    s.stage.allow[HEAD] = true;
    for (unsigned i = 0; i < 20 && s.e != ERR_OK; i++)
        run(&s);
    assert_int_equal(s.e, ERR_OK);
    assert_int_equal(elsewhere(&s), 2);
    s.stage.may = false;
    hop_lender_look(s.stage.lender);
    run(&s);
    assert_int_equal(s.e, ERR_OK);
    hops_close(h);
    hop_stage_close(&s.stage);
}

int main(void)
{
    log_open(LOG_BROKEN, NULL, NULL, NULL);
    if (access(HOP_MODEL, R_OK) != 0) {
        print_message("skip: %s is not there\n", HOP_MODEL);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_answer_over_two_devices),
        cmocka_unit_test(a_check_that_is_cut_off_blames_nobody),
        cmocka_unit_test(too_large_for_the_head_alone),
        cmocka_unit_test(large_enough_for_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The ring of a node's events: read in order, by several, each at its own pace; what is written over is counted. */
#include "node/api/events.h"

#include "base/limits.h"
#include "tests/support.h"

#include <string.h>

static void add(struct events *e, enum event_kind kind, const char *json)
{
    events_add(e, kind, NULL, bytes_of_text(json));
}

static void reads_in_order(void **state)
{
    (void)state;
    struct events *e = events_new();
    struct hash owner = {{7}};
    uint64_t next = events_end(e), late, missed;
    assert_int_equal(next, 1);
    assert_null(events_read(e, &next, &missed));
    add(e, EVENT_BLOCK, "{\"height\":1}");
    events_add(e, EVENT_JOB, &owner, bytes_of_text("{}"));
    late = events_end(e);
    const struct event *v = events_read(e, &next, &missed);
    assert_int_equal(v->number, 1);
    assert_int_equal(v->kind, EVENT_BLOCK);
    assert_memory_equal(v->data.p, "{\"height\":1}", v->data.n);
    assert_true(hash_is_zero(&v->owner));
    v = events_read(e, &next, &missed);
    assert_int_equal(v->number, 2);
    assert_true(hash_equal(&v->owner, &owner));
    assert_int_equal(missed, 0);
    assert_null(events_read(e, &next, &missed));
    add(e, EVENT_PEER, "{}");
    assert_int_equal(events_read(e, &late, &missed)->kind, EVENT_PEER); /* who came late has what came after it */
    assert_int_equal(events_read(e, &next, &missed)->kind, EVENT_PEER);
    events_free(e);
}

/* One that does not read is passed, told by how much, and goes on with the oldest that is there. */
static void counts_what_is_written_over(void **state)
{
    (void)state;
    struct events *e = events_new();
    uint64_t next = 1, missed;
    for (unsigned i = 0; i < EVENTS_KEPT_MAX; i++)
        add(e, EVENT_BLOCK, "{}");
    assert_int_equal(events_read(e, &next, &missed)->number, 1); /* exactly full: nothing is lost yet */
    assert_int_equal(missed, 0);
    for (unsigned i = 0; i < 5; i++)
        add(e, EVENT_JOB, "{\"long\":\"er than what stood there\"}");
    const struct event *v = events_read(e, &next, &missed);
    assert_int_equal(missed, 4); /* 1 was read, 2 to 5 were not */
    assert_int_equal(v->number, 6);
    for (unsigned i = 0; i < 3 * EVENTS_KEPT_MAX; i++)
        add(e, EVENT_BLOCK, "{}");
    next = 10;
    v = events_read(e, &next, &missed);
    assert_int_equal(missed, v->number - 10);
    assert_int_equal(events_end(e) - v->number, EVENTS_KEPT_MAX);
    unsigned n = 1;
    while (events_read(e, &next, &missed))
        n++;
    assert_int_equal(n, EVENTS_KEPT_MAX);
    next = UINT64_MAX; /* a place that never was */
    assert_null(events_read(e, &next, &missed));
    assert_int_equal(next, events_end(e));
    events_free(e);
}

static void has_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < EVENT_KINDS; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(event_kind_name((enum event_kind)i), event_kind_name((enum event_kind)k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_in_order),
        cmocka_unit_test(counts_what_is_written_over),
        cmocka_unit_test(has_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

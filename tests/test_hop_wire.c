/* What a head and a hop say to each other, and the file of who has which layers: nothing but bytes. */
#include "base/mem.h"
#include "node/hops/hop_wire.h"
#include "node/hops/hops_file.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

/* -- parts -- */

static uint8_t *noise(size_t n)
{
    uint8_t *p = mem_array(n, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 9));
    return p;
}

/* Sends all of it to a taker; the parts that it took. */
static unsigned carry(struct bytes bytes, struct hop_taking *to)
{
    struct hop_sending s = {0};
    struct buf message = {0};
    unsigned parts = 0;
    bool whole = false;
    hop_sending_start(&s, to->number, bytes);
    while (hop_sending_next(&s, HOP_CALL, &message)) {
        struct hop_part part;
        uint8_t type;
        struct cursor c = hop_message_open(bytes_of_buf(&message), &type);
        assert_int_equal(type, HOP_CALL);
        hop_part_get(&c, &part);
        assert_true(cursor_end(&c));
        assert_false(whole);
        assert_int_equal(hop_taking_add(to, &part, &whole), ERR_OK);
        hop_sending_step(&s);
        buf_reset(&message);
        parts++;
    }
    assert_true(whole);
    assert_true(bytes_equal(bytes_of_buf(&to->bytes), bytes));
    buf_clear(&message);
    hop_sending_clear(&s);
    return parts;
}

static void parts_are_put_together(void **state)
{
    static const struct {
        size_t n;
        unsigned parts;
    } cases[] = {{0, 1}, {1, 1}, {HOP_PART_MAX - 1, 1}, {HOP_PART_MAX, 1}, {HOP_PART_MAX + 1, 2}, {FAR_CALL_MAX, 128}};
    (void)state;
    uint8_t *p = noise(FAR_CALL_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hop_taking t = {.number = 3 + i};
        assert_int_equal(carry(bytes_of(p, cases[i].n), &t), cases[i].parts);
        hop_taking_clear(&t);
    }
    free(p);
}

static void parts_that_cannot_be(void **state)
{
    (void)state;
    uint8_t *p = noise(HOP_PART_MAX + 1);
    struct hop_taking t = {.number = 7};
    bool whole;
    struct hop_part part = {.number = 8, .last = true, .bytes = {p, 1}};
    assert_int_equal(hop_taking_add(&t, &part, &whole), ERR_PROTOCOL); /* another call */
    part = (struct hop_part){.number = 7, .bytes = {p, HOP_PART_MAX + 1}};
    assert_int_equal(hop_taking_add(&t, &part, &whole), ERR_PROTOCOL); /* too long */
    part = (struct hop_part){.number = 7};
    assert_int_equal(hop_taking_add(&t, &part, &whole), ERR_PROTOCOL); /* nothing, for ever */
    assert_int_equal(t.bytes.n, 0);
    part = (struct hop_part){.number = 7, .bytes = {p, HOP_PART_MAX}};
    for (unsigned i = 0; i < FAR_CALL_MAX / HOP_PART_MAX; i++)
        assert_int_equal(hop_taking_add(&t, &part, &whole), ERR_OK);
    part = (struct hop_part){.number = 7, .last = true, .bytes = {p, 1}};
    assert_int_equal(hop_taking_add(&t, &part, &whole), ERR_LIMIT);
    assert_int_equal(t.bytes.n, FAR_CALL_MAX);
    part.bytes.n = 0;
    assert_int_equal(hop_taking_add(&t, &part, &whole), ERR_OK); /* the last one may be empty */
    assert_true(whole);
    hop_taking_clear(&t);
    free(p);
}

/* -- statements -- */

static void every_field_is_signed(void **state)
{
    (void)state;
    struct seckey key;
    struct hop_statement s = {.arith = 1, .first = 4, .end = 12, .number = 9};
    key_new(&key);
    key_derive(&key, &s.node);
    s.answer = hop_bytes_hash(bytes_of_text("an answer"));
    hop_statement_sign(&s, &key);
    assert_true(hop_statement_verify(&s));
    struct buf raw = {0};
    hop_statement_put(&raw, &s);
    for (size_t i = 0; i < raw.n; i++) {
        struct hop_statement other;
        raw.p[i] ^= 1;
        struct cursor c = cursor_of(bytes_of_buf(&raw));
        hop_statement_get(&c, &other);
        assert_false(cursor_end(&c) && hop_statement_verify(&other));
        raw.p[i] ^= 1;
    }
    buf_clear(&raw);
}

static void calls_are_named_in_their_order(void **state)
{
    (void)state;
    const struct hash none = {{0}}, a = hop_bytes_hash(bytes_of_text("a")), b = hop_bytes_hash(bytes_of_text("b"));
    const struct hash only_a = hop_calls_hash(&none, &a), only_b = hop_calls_hash(&none, &b);
    const struct hash ab = hop_calls_hash(&only_a, &b), ba = hop_calls_hash(&only_b, &a);
    assert_false(hash_equal(&ab, &ba));
    assert_false(hash_equal(&only_a, &a));
}

/* -- who has what -- */

static struct hop_place place(uint8_t model, uint8_t node, uint32_t first, uint32_t end)
{
    struct hop_place p = {.model = {{model}}, .node = {{node}}, .first = first, .end = end};
    assert_true(text255_set(&p.endpoint, "host.example:7719"));
    return p;
}

static enum err set(struct hops_settings *s, struct hop_place p, struct note *note)
{
    struct hops_settings before = *s;
    enum err e = hops_settings_set(s, &p, 32, note);
    if (e != ERR_OK)
        assert_memory_equal(&before, s, sizeof before);
    return e;
}

static void ranges_are_checked(void **state)
{
    (void)state;
    struct hops_settings s = {0};
    struct note note;
    assert_int_equal(set(&s, place(1, 1, 4, 12), &note), ERR_OK);
    assert_int_equal(set(&s, place(1, 2, 11, 14), &note), ERR_RANGE); /* layer 11 twice */
    assert_non_null(strstr(note.text, "layers 4-11"));
    assert_int_equal(set(&s, place(1, 2, 12, 14), &note), ERR_OK);
    assert_int_equal(set(&s, place(1, 3, 0, 2), &note), ERR_RANGE);
    assert_non_null(strstr(note.text, "layer 0"));
    assert_int_equal(set(&s, place(1, 3, 20, 32), &note), ERR_RANGE);
    assert_non_null(strstr(note.text, "layer 31, the last"));
    assert_int_equal(set(&s, place(1, 3, 20, 31), &note), ERR_OK);
    assert_int_equal(set(&s, place(1, 3, 5, 5), &note), ERR_RANGE);
    assert_int_equal(set(&s, place(1, 1, 5, 8), &note), ERR_OK); /* another range of the same node: instead */
    assert_int_equal(s.places_n, 3);
    assert_int_equal(s.places[0].first, 5);
    assert_int_equal(set(&s, place(2, 1, 4, 12), &note), ERR_OK); /* another model */
    struct hop_place small = place(3, 1, 1, 2);
    assert_int_equal(hops_settings_set(&s, &small, 2, &note), ERR_RANGE); /* there is none between two */
    assert_true(hops_settings_remove(&s, &(struct hash){{1}}, &(struct pubkey){{2}}));
    assert_false(hops_settings_remove(&s, &(struct hash){{1}}, &(struct pubkey){{2}}));
}

static void no_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct hops_settings s = {0};
    struct note note;
    for (uint8_t i = 0; i < HOPS_MAX; i++)
        assert_int_equal(set(&s, place(1, i, 1u + i, 2u + i), &note), ERR_OK);
    assert_int_equal(set(&s, place(1, 99, 20, 21), &note), ERR_LIMIT);
    assert_int_equal(set(&s, place(1, 0, 20, 21), &note), ERR_OK); /* it moves */
    for (uint8_t i = 2; s.places_n < HOP_PLACES_MAX; i++)
        assert_int_equal(set(&s, place(i, 1, 1, 2), &note), ERR_OK);
    assert_int_equal(set(&s, place(200, 1, 1, 2), &note), ERR_LIMIT);
    for (unsigned i = 0; i < HOP_ALLOWED_MAX; i++) {
        const struct pubkey node = {{(uint8_t)i, 1}};
        assert_int_equal(hops_settings_allow(&s, &node, &note), ERR_OK);
        assert_int_equal(hops_settings_allow(&s, &node, &note), ERR_OK); /* again: nothing */
    }
    const struct pubkey more = {{0, 2}}, one = {{0, 1}};
    assert_int_equal(hops_settings_allow(&s, &more, &note), ERR_LIMIT);
    assert_false(hops_settings_deny(&s, &more));
    assert_true(hops_settings_deny(&s, &one));
    assert_false(hops_settings_is_allowed(&s, &one));
}

static void what_is_kept_is_read_as_it_was(void **state)
{
    (void)state;
    struct hops_settings s = {0}, again;
    struct note note;
    struct buf raw = {0};
    assert_int_equal(set(&s, place(2, 1, 4, 12), &note), ERR_OK);
    assert_int_equal(set(&s, place(1, 3, 9, 12), &note), ERR_OK);
    assert_int_equal(set(&s, place(1, 2, 2, 9), &note), ERR_OK);
    assert_int_equal(hops_settings_allow(&s, &(struct pubkey){{5}}, &note), ERR_OK);
    hops_file_store(&raw, &s);
    assert_true(hops_file_load(bytes_of_buf(&raw), &again));
    assert_int_equal(again.places_n, 3);
    assert_int_equal(again.places[0].first, 2); /* by model, then by layer */
    assert_int_equal(again.places[1].first, 9);
    assert_string_equal(again.places[2].endpoint.s, "host.example:7719");
    assert_true(hops_settings_is_allowed(&again, &(struct pubkey){{5}}));
    for (size_t i = 0; i < raw.n; i++) {
        raw.p[i] ^= 4;
        assert_false(hops_file_load(bytes_of_buf(&raw), &again));
        raw.p[i] ^= 4;
    }
    for (size_t n = 0; n < raw.n; n++)
        assert_false(hops_file_load(bytes_of(raw.p, n), &again));
    s.places[1].first = 8; /* as nobody could have set it: layer 8 twice */
    buf_reset(&raw);
    hops_file_store(&raw, &s);
    assert_false(hops_file_load(bytes_of_buf(&raw), &again));
    buf_clear(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_put_together),
        cmocka_unit_test(parts_that_cannot_be),
        cmocka_unit_test(every_field_is_signed),
        cmocka_unit_test(calls_are_named_in_their_order),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(no_more_than_there_is_room_for),
        cmocka_unit_test(what_is_kept_is_read_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

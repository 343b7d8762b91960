/* A connection as a state machine: two of them wired together in memory, on a clock that the test sets. */
#include "p2p/peer.h"
#include "tests/support.h"

#include <string.h>

struct side {
    struct seckey key;
    struct pubkey id;
    struct peer *peer;
    unsigned messages;
    enum msg_type last;
    size_t last_size;
};

struct wire {
    struct side a, b; /* a dials */
    uint64_t now_ms;
};

static struct hello hello_of(uint8_t chain)
{
    struct hello h = {.version = PROTOCOL_VERSION, .chain = {{chain}}, .height = chain};
    return h;
}

static void wire_open(struct wire *w, uint8_t chain_a, uint8_t chain_b)
{
    *w = (struct wire){.now_ms = 1000};
    struct peer_setup s[2] = {{.hello = hello_of(chain_a), .now_ms = 1000},
                              {.hello = hello_of(chain_b), .now_ms = 1000}};
    key_new(&w->a.key);
    key_new(&w->b.key);
    key_derive(&w->a.key, &w->a.id);
    key_derive(&w->b.key, &w->b.id);
    s[0].key = &w->a.key;
    s[1].key = &w->b.key;
    s[0].self = w->a.id;
    s[1].self = w->b.id;
    key_new(&s[0].ephemeral);
    key_new(&s[1].ephemeral);
    w->a.peer = peer_new_dialled(&s[0], &w->b.id);
    w->b.peer = peer_new_accepted(&s[1]);
    assert_non_null(w->a.peer);
}

static void wire_close(struct wire *w)
{
    peer_free(w->a.peer);
    peer_free(w->b.peer);
}

static void drain(struct side *s, uint64_t now_ms)
{
    struct peer_message m;
    while (peer_next(s->peer, &m, now_ms)) {
        s->messages++;
        s->last = m.type;
        s->last_size = m.body.n;
    }
}

/* Carries what `from` has to say, in pieces of `step` bytes; true if there was anything. */
static bool carry(struct wire *w, struct side *from, struct side *to, size_t step)
{
    bool any = false;
    for (;;) {
        struct bytes out = peer_output(from->peer);
        if (out.n == 0)
            return any;
        if (out.n > step)
            out.n = step;
        peer_receive(to->peer, out, w->now_ms);
        peer_output_drop(from->peer, out.n);
        drain(to, w->now_ms);
        any = true;
    }
}

static void run(struct wire *w, size_t step)
{
    while (carry(w, &w->a, &w->b, step) || carry(w, &w->b, &w->a, step))
        continue;
}

static void hello_makes_ready_whatever_the_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 100, 100000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct wire w;
        wire_open(&w, 1, 1);
        run(&w, steps[i]);
        assert_int_equal(peer_state(w.a.peer), PEER_READY);
        assert_int_equal(peer_state(w.b.peer), PEER_READY);
        assert_true(pubkey_equal(peer_key(w.b.peer), &w.a.id));
        assert_int_equal(peer_hello(w.a.peer)->height, 1);
        wire_close(&w);
    }
}

static void messages_of_every_size_arrive(void **state)
{
    (void)state;
    static uint8_t body[BLOCK_SIZE_MAX];
    static const size_t sizes[] = {0, 1, 65533, 65534, 65535, 131068, 131069, BLOCK_SIZE_MAX};
    struct wire w;
    wire_open(&w, 1, 1);
    run(&w, 1000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned before = w.b.messages;
        assert_int_equal(peer_send(w.a.peer, MSG_BLOCK, bytes_of(body, sizes[i])), ERR_OK);
        run(&w, 60000);
        assert_int_equal(w.b.messages, before + 1);
        assert_int_equal(w.b.last, MSG_BLOCK);
        assert_int_equal(w.b.last_size, sizes[i]);
    }
    assert_int_equal(peer_send(w.a.peer, MSG_VOTE, bytes_of(body, 1025)), ERR_LIMIT);
    wire_close(&w);
}

static void another_chain_is_told_apart(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, 1, 2);
    run(&w, 1000);
    assert_int_equal(peer_state(w.a.peer), PEER_ENDED);
    assert_int_equal(peer_reason(w.a.peer), ERR_CHAIN);
    assert_false(peer_is_faulty(w.a.peer));
    assert_non_null(strstr(peer_reason_text(w.a.peer), "chain 02"));
    wire_close(&w);
}

static void itself_is_noticed(void **state)
{
    (void)state;
    struct seckey key;
    struct pubkey id;
    key_new(&key);
    key_derive(&key, &id);
    struct peer_setup s = {.key = &key, .self = id, .hello = hello_of(1), .now_ms = 0};
    key_new(&s.ephemeral);
    struct wire w = {.a = {.peer = peer_new_dialled(&s, &id)}};
    key_new(&s.ephemeral);
    w.b.peer = peer_new_accepted(&s);
    run(&w, 1000);
    assert_int_equal(peer_reason(w.b.peer), ERR_DUPLICATE);
    wire_close(&w);
}

static void garbage_ends_it(void **state)
{
    (void)state;
    uint8_t junk[NOISE_ACT1_SIZE] = {0}, much[8192] = {0};
    struct wire w;
    wire_open(&w, 1, 1);
    peer_receive(w.b.peer, bytes_of(junk, sizeof junk), w.now_ms);
    assert_int_equal(peer_state(w.b.peer), PEER_ENDED);
    assert_true(peer_is_faulty(w.b.peer));
    wire_close(&w);

    wire_open(&w, 1, 1);
    peer_receive(w.b.peer, bytes_of(much, sizeof much), w.now_ms);
    assert_int_equal(peer_reason(w.b.peer), ERR_PROTOCOL);
    wire_close(&w);
    /* After the handshake an altered bit is found. */
    wire_open(&w, 1, 1);
    run(&w, 1000);
    assert_int_equal(peer_send(w.a.peer, MSG_TX, bytes_of(much, 100)), ERR_OK);
    struct bytes out = peer_output(w.a.peer);
    uint8_t copy[512];
    memcpy(copy, out.p, out.n);
    copy[out.n / 2] ^= 1;
    peer_receive(w.b.peer, bytes_of(copy, out.n), w.now_ms);
    drain(&w.b, w.now_ms);
    assert_int_equal(peer_reason(w.b.peer), ERR_AUTH);
    assert_int_equal(w.b.messages, 0);
    wire_close(&w);
}

/* What a peer that has the keys may send wrong: a frame's plaintext, and how it ends. */
static void frames_against_the_protocol(void **state)
{
    (void)state;
    static uint8_t big[1100];
    static const struct {
        uint8_t first;
        size_t n;
        enum err e;
    } cases[] = {
        {0, 0, ERR_PROTOCOL},                      /* empty frame */
        {99, 1, ERR_PROTOCOL},                     /* no such type */
        {MSG_HELLO, 100, ERR_PROTOCOL},            /* twice */
        {MSG_VOTE, 1026, ERR_LIMIT},               /* too large */
        {MSG_BLOCK | FRAME_MORE, 1, ERR_PROTOCOL}, /* empty part */
        {MSG_PING, 3, ERR_FORMAT},                 /* no ping */
        {MSG_PONG, 9, ERR_PROTOCOL},               /* that nobody asked for */
        {MSG_BYE, 1, ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* A peer built by hand from the noise machine alone. */
        struct seckey me, you, ephemeral;
        struct pubkey id;
        struct noise n;
        struct buf act = {0}, out = {0}, body = {0};
        key_new(&me);
        key_new(&you);
        key_new(&ephemeral);
        key_derive(&you, &id);
        struct pubkey mine;
        key_derive(&me, &mine);
        struct peer_setup s = {.key = &you, .self = id, .hello = hello_of(1)};
        key_new(&s.ephemeral);
        struct side b = {.peer = peer_new_accepted(&s)};
        struct point to = key_point_even(&id);
        assert_true(noise_init_initiator(&n, &me, &to, &ephemeral, &act));
        peer_receive(b.peer, bytes_of_buf(&act), 0);
        buf_reset(&act);
        assert_int_equal(noise_step(&n, peer_output(b.peer), &act), NOISE_OK);
        peer_output_drop(b.peer, peer_output(b.peer).n);
        peer_receive(b.peer, bytes_of_buf(&act), 0);
        struct hello h = hello_of(1);
        uint8_t type = MSG_HELLO;
        buf_add(&body, &type, 1);
        hello_put(&body, &h);
        noise_put(&n, &out, bytes_of_buf(&body));
        buf_reset(&body);
        big[0] = cases[i].first;
        noise_put(&n, &out, bytes_of(big, cases[i].n));
        peer_receive(b.peer, bytes_of_buf(&out), 0);
        drain(&b, 0);
        assert_int_equal(peer_state(b.peer), PEER_ENDED);
        assert_int_equal(peer_reason(b.peer), cases[i].e);
        assert_true(peer_is_faulty(b.peer));
        assert_int_equal(b.messages, 0);
        peer_free(b.peer);
        buf_clear(&act);
        buf_clear(&out);
        buf_clear(&body);
    }
}

static void time_limits(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, 1, 1);
    assert_int_equal(peer_timeout_ms(w.b.peer), 1000 + PEER_HANDSHAKE_MS);
    peer_step(w.b.peer, 1000 + PEER_HANDSHAKE_MS - 1);
    assert_int_equal(peer_state(w.b.peer), PEER_HANDSHAKE);
    peer_step(w.b.peer, 1000 + PEER_HANDSHAKE_MS);
    assert_int_equal(peer_reason(w.b.peer), ERR_TIMEOUT);
    wire_close(&w);

    wire_open(&w, 1, 1);
    run(&w, 1000);
    w.now_ms += PEER_PING_MS;
    peer_step(w.a.peer, w.now_ms);
    w.now_ms += 30;
    run(&w, 1000);
    assert_int_equal(peer_rtt_ms(w.a.peer), 30);
    /* b hears nothing any more */
    w.now_ms += PEER_SILENT_MS;
    assert_true(peer_timeout_ms(w.b.peer) <= w.now_ms);
    peer_step(w.b.peer, w.now_ms);
    assert_int_equal(peer_reason(w.b.peer), ERR_TIMEOUT);
    assert_false(peer_is_faulty(w.b.peer));
    wire_close(&w);
}

static void a_reader_too_slow_is_dropped(void **state)
{
    (void)state;
    static uint8_t block[BLOCK_SIZE_MAX];
    struct wire w;
    wire_open(&w, 1, 1);
    run(&w, 1000);
    enum err e = ERR_OK;
    for (int i = 0; i < 9 && e == ERR_OK; i++) {
        e = peer_send(w.a.peer, MSG_BLOCK, bytes_of(block, sizeof block));
        assert_true(peer_queued(w.a.peer) <= PEER_SEND_QUEUE_MAX);
    }
    assert_int_equal(e, ERR_FULL);
    assert_int_equal(peer_state(w.a.peer), PEER_ENDED);
    assert_int_equal(peer_send(w.a.peer, MSG_TX, bytes_of(block, 1)), ERR_STATE);
    wire_close(&w);
}

static void too_much_work_is_read_no_further(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, 1, 1);
    run(&w, 1000);
    unsigned n = PEER_RATE_BURST / 4 + 1000; /* TX costs 4 */
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(peer_send(w.a.peer, MSG_TX, bytes_of_text("x")), ERR_OK);
    run(&w, 100000);
    assert_true(peer_is_throttled(w.b.peer));
    assert_int_equal(peer_state(w.b.peer), PEER_READY);
    unsigned first = w.b.messages;
    assert_true(first < n && first >= PEER_RATE_BURST / 4);
    w.now_ms += 100;
    peer_step(w.b.peer, w.now_ms);
    drain(&w.b, w.now_ms);
    assert_true(w.b.messages > first && w.b.messages <= first + PEER_RATE_SECOND / 10 / 4 + 2);
    w.now_ms += 5000;
    peer_step(w.b.peer, w.now_ms);
    drain(&w.b, w.now_ms);
    assert_int_equal(w.b.messages, n);
    assert_false(peer_is_throttled(w.b.peer));
    wire_close(&w);
}

static void one_that_reads_nothing_goes(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, 1, 1);
    run(&w, 1000);
    assert_int_equal(peer_send(w.a.peer, MSG_TX, bytes_of_text("x")), ERR_OK);
    uint64_t start_ms = w.now_ms;
    while (peer_state(w.a.peer) == PEER_READY && w.now_ms < start_ms + 10 * PEER_SILENT_MS) {
        w.now_ms = peer_timeout_ms(w.a.peer) < w.now_ms + 1000 ? peer_timeout_ms(w.a.peer) : w.now_ms + 1000;
        peer_step(w.a.peer, w.now_ms);
        assert_int_equal(peer_send(w.b.peer, MSG_TX, bytes_of_text("y")), ERR_OK); /* it is not silent */
        carry(&w, &w.b, &w.a, 1000);
    }
    assert_int_equal(peer_reason(w.a.peer), ERR_TIMEOUT);
    assert_true(w.now_ms <= start_ms + PEER_SILENT_MS + PEER_PING_MS);
    assert_non_null(strstr(peer_reason_text(w.a.peer), "read nothing"));
    wire_close(&w);
}

static void what_is_charged_slows_down(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, 1, 1);
    run(&w, 1000);
    peer_charge(w.b.peer, PEER_RATE_BURST + 1);
    assert_true(peer_is_throttled(w.b.peer));
    w.now_ms += 1000;
    peer_step(w.b.peer, w.now_ms);
    assert_false(peer_is_throttled(w.b.peer));
    wire_close(&w);
}

static void bye_says_why(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w, 1, 1);
    run(&w, 1000);
    peer_end(w.a.peer, ERR_FULL, "has all the peers that it takes");
    run(&w, 1000);
    assert_int_equal(peer_reason(w.b.peer), ERR_FULL);
    assert_string_equal(peer_reason_text(w.b.peer), "said bye: has_all_the_peers_that_it_takes");
    assert_false(peer_is_faulty(w.b.peer));
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_makes_ready_whatever_the_pieces),
        cmocka_unit_test(messages_of_every_size_arrive),
        cmocka_unit_test(another_chain_is_told_apart),
        cmocka_unit_test(itself_is_noticed),
        cmocka_unit_test(garbage_ends_it),
        cmocka_unit_test(frames_against_the_protocol),
        cmocka_unit_test(time_limits),
        cmocka_unit_test(a_reader_too_slow_is_dropped),
        cmocka_unit_test(too_much_work_is_read_no_further),
        cmocka_unit_test(one_that_reads_nothing_goes),
        cmocka_unit_test(what_is_charged_slows_down),
        cmocka_unit_test(bye_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

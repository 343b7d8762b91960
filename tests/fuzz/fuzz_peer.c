/* A peer that has its keys and says what it likes: the input is cut into frames, encrypted properly, and
 * given to a connection whose clock moves on. It must end or go on, within its bounds. */
#include "p2p/peer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct peer *connect_to(struct noise *n, uint64_t now_ms)
{
    struct seckey mine = {{1, 2, 3}}, yours = {{7, 8, 9}}, e1 = {{4, 5, 6}};
    struct pubkey my_id, your_id;
    struct buf act = {0};
    key_derive(&mine, &my_id);
    key_derive(&yours, &your_id);
    struct peer_setup s = {.key = &yours,
                           .self = your_id,
                           .ephemeral = {{10, 11}},
                           .hello = {.version = PROTOCOL_VERSION},
                           .now_ms = now_ms};
    struct peer *p = peer_new_accepted(&s);
    struct point to = key_point_even(&your_id);
    CHECK(noise_init_initiator(n, &mine, &to, &e1, &act));
    peer_receive(p, bytes_of_buf(&act), now_ms);
    buf_reset(&act);
    CHECK(noise_step(n, peer_output(p), &act) == NOISE_OK);
    peer_output_drop(p, peer_output(p).n);
    peer_receive(p, bytes_of_buf(&act), now_ms);
    CHECK(peer_state(p) == PEER_HELLO);
    buf_clear(&act);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct noise n;
    uint64_t now_ms = 1;
    struct peer *p = connect_to(&n, now_ms);
    struct buf wire = {0};
    /* Starting with a proper hello if the first byte says so; then (length u8, frame) pairs. */
    if (size > 0 && data[0] & 1) {
        struct buf body = {0};
        uint8_t type = MSG_HELLO;
        struct hello h = {.version = PROTOCOL_VERSION};
        buf_add(&body, &type, 1);
        hello_put(&body, &h);
        noise_put(&n, &wire, bytes_of_buf(&body));
        buf_clear(&body);
    }
    for (size_t i = 1; i < size;) {
        size_t k = data[i++];
        if (k > size - i)
            k = size - i;
        noise_put(&n, &wire, bytes_of(data + i, k));
        i += k;
    }
    size_t step = size > 0 ? (size_t)data[0] + 1 : 1;
    for (size_t at = 0; at < wire.n && peer_state(p) != PEER_ENDED; at += step, now_ms += 7) {
        struct peer_message m;
        struct bytes in = bytes_of(wire.p + at, wire.n - at < step ? wire.n - at : step);
        peer_receive(p, in, now_ms);
        while (peer_next(p, &m, now_ms)) {
            const struct msg_rule *rule = msg_rule((uint8_t)m.type);
            CHECK(rule && m.body.n <= rule->size_max && peer_state(p) == PEER_READY);
            CHECK(m.type != MSG_HELLO && m.type != MSG_PING && m.type != MSG_PONG && m.type != MSG_BYE);
        }
        if (now_ms >= peer_timeout_ms(p))
            peer_step(p, now_ms);
        CHECK(peer_queued(p) <= PEER_SEND_QUEUE_MAX);
    }
    CHECK(peer_state(p) != PEER_ENDED || peer_reason(p) != ERR_OK);
    peer_free(p);
    noise_clear(&n);
    buf_clear(&wire);
    return 0;
}

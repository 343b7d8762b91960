/* The frames of a worker's socket, in both directions: whatever comes in, no frame reaches behind the input, and
 * every message that decodes encodes to the frame that it came from. */
#include "inference/worker_proto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const struct wire_frame *f, struct bytes whole)
{
    struct buf again = {0};
    bool is_right = false;
    switch (f->type) {
#define M(name, NAME, number, to_worker, body_max)                                                                     \
    case WIRE_##NAME: {                                                                                                \
        struct wire_##name m, n;                                                                                       \
        is_right = wire_read_##name(f->body, &m);                                                                      \
        if (is_right) {                                                                                                \
            wire_add_##name(&again, &m);                                                                               \
            CHECK(bytes_equal(bytes_of_buf(&again), whole));                                                           \
            CHECK(wire_read_##name(bytes_of(again.p + WIRE_HEAD, again.n - WIRE_HEAD), &n));                           \
            CHECK(wire_##name##_equal(&m, &n));                                                                        \
            struct buf json = {0};                                                                                     \
            wire_##name##_json(&json, &m);                                                                             \
            buf_clear(&json);                                                                                          \
        }                                                                                                              \
        break;                                                                                                         \
    }
        WIRE_MESSAGES(M)
#undef M
    }
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int way = 0; way < 2; way++) {
        struct bytes in = bytes_of(data, size);
        struct wire_frame f;
        size_t used;
        while (wire_next(in, way == 0, &f, &used) == ERR_OK && used > 0) {
            CHECK(used <= in.n && f.body.n + WIRE_HEAD == used);
            check_message(&f, bytes_of(in.p, used));
            in = bytes_of(in.p + used, in.n - used);
        }
    }
    return 0;
}

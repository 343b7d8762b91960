/* For targets that try one of many records. */
#ifndef KITH_TESTS_FUZZ_RECORD_H
#define KITH_TESTS_FUZZ_RECORD_H

#include "base/codec.h"

/* void try_NAME(struct bytes raw): what decodes is encoded to the same bytes, and decoding that gives an equal record.
 */
#define FUZZ_RECORD(name)                                                                                              \
    static void try_##name(struct bytes raw)                                                                           \
    {                                                                                                                  \
        struct cursor c = cursor_of(raw), d;                                                                           \
        struct name a, b;                                                                                              \
        struct buf again = {0};                                                                                        \
        name##_get(&c, &a);                                                                                            \
        if (!cursor_end(&c))                                                                                           \
            return;                                                                                                    \
        name##_put(&again, &a);                                                                                        \
        CHECK(bytes_equal(bytes_of_buf(&again), raw));                                                                 \
        d = cursor_of(bytes_of_buf(&again));                                                                           \
        name##_get(&d, &b);                                                                                            \
        CHECK(cursor_end(&d) && name##_equal(&a, &b));                                                                 \
        buf_clear(&again);                                                                                             \
    }

#endif

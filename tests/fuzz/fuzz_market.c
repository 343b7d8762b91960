/* Records of the market between nodes and in their files: the first byte chooses one. What decodes is encoded to the
 * same bytes, and decoding that gives an equal record. Offers are judged as well. */
#include "node/channel.h"
#include "node/history.h"
#include "node/job.h"
#include "node/job_wire.h"
#include "node/offer.h"
#include "node/provider.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS(R)                                                                                                     \
    R(job_open)                                                                                                        \
    R(job_secret)                                                                                                      \
    R(job_accept)                                                                                                      \
    R(job_tokens)                                                                                                      \
    R(job_pay)                                                                                                         \
    R(audit_open)                                                                                                      \
    R(audit_show)                                                                                                      \
    R(job_record)                                                                                                      \
    R(transcript)                                                                                                      \
    R(channel_head)                                                                                                    \
    R(history_entry)                                                                                                   \
    R(history_span)                                                                                                    \
    R(offer)

#define R(name)                                                                                                        \
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
RECORDS(R)
#undef R

/* No signature is found by chance. */
static void judge_offer(struct bytes raw)
{
    static const struct hash chain = {{1}};
    struct offer o;
    CHECK(offer_decode(raw, &chain, 1, &o) != ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes) = {
#define R(name) try_##name,
        RECORDS(R)
#undef R
            judge_offer,
    };
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}

/* Records of the market between nodes and in their files: the first byte chooses one. What decodes is encoded to the
 * same bytes, and decoding that gives an equal record. Offers are judged as well. */
#include "node/channel.h"
#include "node/history.h"
#include "node/job.h"
#include "node/job_wire.h"
#include "node/offer.h"
#include "node/provider.h"
#include "tests/fuzz/record.h"

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

RECORDS(FUZZ_RECORD)

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

/* Records of the market between nodes and in their files: the first byte chooses one. What decodes is encoded to the
 * same bytes, and decoding that gives an equal record. Offers are judged as well. */
#include "node/channel.h"
#include "node/history.h"
#include "node/job.h"
#include "node/job_wire.h"
#include "node/offer.h"
#include "node/provider.h"
#include "node/share_file.h"
#include "tests/fuzz/record.h"

#include <stdlib.h>
#include <string.h>

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
    R(offer)                                                                                                           \
    R(job_behind)

RECORDS(FUZZ_RECORD)
FUZZ_RECORD(share_file)

/* No signature is found by chance. */
static void judge_offer(struct bytes raw)
{
    static const struct hash chain = {{1}};
    struct offer o;
    CHECK(offer_decode(raw, &chain, 1, &o) != ERR_OK);
}

/* What this node serves, its checksum mended: the file ends with it, made over all with zeros in its place. */
static void try_share(struct bytes raw)
{
    struct market_share s;
    struct buf file = {0}, again = {0};
    buf_add(&file, raw.p, raw.n);
    if (file.n >= HASH_SIZE) {
        memset(file.p + file.n - HASH_SIZE, 0, HASH_SIZE);
        struct hash check = hash_once(HASH_FILE, file.p, file.n);
        memcpy(file.p + file.n - HASH_SIZE, check.b, HASH_SIZE);
    }
    if (share_file_load(bytes_of_buf(&file), &s)) {
        share_file_store(&again, &s);
        CHECK((file.p[0] == SHARE_FILE_FORM) == bytes_equal(bytes_of_buf(&again), bytes_of_buf(&file)));
        free((void *)(uintptr_t)s.models);
        CHECK(share_file_load(bytes_of_buf(&again), &s)); /* also what was read from the form of before */
        free((void *)(uintptr_t)s.models);
    }
    buf_clear(&file);
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes) = {
#define R(name) try_##name,
        RECORDS(R)
#undef R
            judge_offer,
        try_share_file,
        try_share,
    };
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}

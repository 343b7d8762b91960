/* Records of the market between nodes and in their files: the first byte chooses one. What decodes is encoded to the
 * same bytes, and decoding that gives an equal record. Offers are judged as well. */
#include "node/pay/channel.h"
#include "node/consensus/history.h"
#include "node/hops/hop_wire.h"
#include "node/hops/hops_file.h"
#include "node/market/job.h"
#include "node/market/job_wire.h"
#include "node/market/offer.h"
#include "node/market/provider.h"
#include "node/market/share_file.h"
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
    R(job_behind)                                                                                                      \
    R(job_step)

RECORDS(FUZZ_RECORD)
FUZZ_RECORD(share_file)

#define HOP_RECORDS(R)                                                                                                 \
    R(hop_open)                                                                                                        \
    R(hop_ready)                                                                                                       \
    R(hop_part)                                                                                                        \
    R(hop_statement)                                                                                                   \
    R(hop_signed)                                                                                                      \
    R(hop_place)                                                                                                       \
    R(hops_file)

HOP_RECORDS(FUZZ_RECORD)

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

/* Who has which layers, its checksum mended in the same way. What is read holds what every setting does. */
static void try_hops(struct bytes raw)
{
    struct hops_settings s;
    struct buf file = {0}, again = {0};
    buf_add(&file, raw.p, raw.n);
    if (file.n >= HASH_SIZE) {
        memset(file.p + file.n - HASH_SIZE, 0, HASH_SIZE);
        struct hash check = hash_once(HASH_FILE, file.p, file.n);
        memcpy(file.p + file.n - HASH_SIZE, check.b, HASH_SIZE);
    }
    if (hops_file_load(bytes_of_buf(&file), &s)) {
        hops_file_store(&again, &s);
        CHECK(bytes_equal(bytes_of_buf(&again), bytes_of_buf(&file)));
        for (unsigned i = 1; i < s.places_n; i++)
            CHECK(!hash_equal(&s.places[i].model, &s.places[i - 1].model) || s.places[i].first >= s.places[i - 1].end);
    }
    buf_clear(&file);
    buf_clear(&again);
}

/* Parts as they come: the first byte of each is how long it is, and whether it is the last. Never more than a call. */
static void try_parts(struct bytes raw)
{
    static const uint8_t zeros[128];
    struct hop_taking t = {.number = 1};
    size_t sum = 0;
    for (size_t i = 0; i < raw.n; i++) {
        const struct hop_part part = {1, raw.p[i] & 1, {zeros, raw.p[i] >> 1}};
        bool whole;
        if (hop_taking_add(&t, &part, &whole) != ERR_OK) {
            CHECK(part.bytes.n == 0 && !part.last);
            continue;
        }
        sum += part.bytes.n;
        CHECK(t.bytes.n == sum && sum <= FAR_CALL_MAX && whole == part.last);
    }
    hop_taking_clear(&t);
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
#define R(name) try_##name,
        HOP_RECORDS(R)
#undef R
            try_hops,
        try_parts,
    };
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}

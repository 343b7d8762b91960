/* Votes, evidence and the signer's file: whatever decodes is canonical and within its ranges. */
#include "chain/evidence.h"
#include "chain/signer.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hash chain = {{1}};
    struct bytes raw = bytes_of(data, size);
    struct buf again = {0};
    struct vote v;
    struct evidence e;
    struct signer s;
    struct pubkey key = {{2}};
    if (vote_decode(raw, &v)) {
        vote_put(&again, &v);
        CHECK(bytes_equal(bytes_of_buf(&again), raw));
        CHECK(!vote_verify(&v, &chain, &key)); /* no signature is found by chance */
    }
    buf_reset(&again);
    if (evidence_decode(raw, &e)) {
        evidence_put(&again, &e);
        CHECK(bytes_equal(bytes_of_buf(&again), raw));
        CHECK(!evidence_verify(&e, &chain));
    }
    buf_clear(&again);
    if (signer_get_file(&s, raw) == ERR_OK)
        CHECK(s.step <= SIGNER_PRECOMMIT);
    return 0;
}

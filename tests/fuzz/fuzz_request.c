/* A request from a stranger: what decodes encodes to the same bytes, and one that passes its check can be sampled with.
 */
#include "inference/sched/sampler.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VOCAB 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of(bytes_of(data, size));
    struct request r, again;
    struct note note;
    request_get(&c, &r);
    if (!cursor_end(&c))
        return 0;
    struct buf b = {0};
    request_put(&b, &r);
    CHECK(bytes_equal(bytes_of_buf(&b), bytes_of(data, size)));
    c = cursor_of(bytes_of_buf(&b));
    request_get(&c, &again);
    CHECK(cursor_end(&c) && request_equal(&r, &again));
    if (request_check(&r, VOCAB, 4096, &note) == ERR_OK) {
        struct sampler *s = sampler_new(&ops_ref, VOCAB);
        float logits[VOCAB];
        uint32_t ids[64], n = 0;
        for (; n < request_prompt_n(&r) && n < 64; n++)
            ids[n] = request_prompt_at(&r, n);
        for (uint32_t i = 0; i < VOCAB; i++)
            logits[i] = (float)(int32_t)(i * 37 % VOCAB) * 0.25f - 4.0f;
        CHECK(sampler_pick(s, &r, NULL, logits, ids, n, 0, n) < VOCAB);
        sampler_free(s);
    }
    buf_clear(&b);
    return 0;
}

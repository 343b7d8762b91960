/* The running digest. */
#include "inference/sched/digest.h"

struct hash digest_start(const struct hash *model, const struct request *r)
{
    struct hasher h;
    struct hash request = request_hash(r), prompt = hash_once(HASH_TOKENS, r->prompt.p, r->prompt.n);
    hash_start(&h, HASH_DIGEST);
    hash_add_u32(&h, r->arith);
    hash_add(&h, model->b, sizeof model->b);
    hash_add(&h, request.b, sizeof request.b);
    hash_add(&h, r->seed.b, sizeof r->seed.b);
    hash_add(&h, prompt.b, sizeof prompt.b);
    hash_add_u32(&h, request_prompt_n(r));
    return hash_end(&h);
}

void digest_add_floats(struct hasher *h, const float *x, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    hash_add(h, x, n * sizeof *x);
#else
    for (size_t i = 0; i < n; i++)
        hash_add_u32(h, arith_bits(x[i]));
#endif
}

struct hash digest_hidden(const float *hidden, size_t n)
{
    struct hasher h;
    hash_start(&h, HASH_HIDDEN);
    digest_add_floats(&h, hidden, n);
    return hash_end(&h);
}

void digest_add(struct hash *digest, const struct hash *hidden, uint32_t token)
{
    struct hasher h;
    hash_start(&h, HASH_DIGEST);
    hash_add(&h, digest->b, sizeof digest->b);
    hash_add(&h, hidden->b, sizeof hidden->b);
    hash_add_u32(&h, token);
    *digest = hash_end(&h);
}

void digest_add_numeric(struct hash *digest)
{
    struct hasher h;
    hash_start(&h, HASH_DIGEST);
    hash_add(&h, digest->b, sizeof digest->b);
    hash_add(&h, "numeric", 7);
    *digest = hash_end(&h);
}

struct hash digest_embedding(const struct hash *model, struct bytes ids, const float *vector, size_t n)
{
    struct hasher h;
    struct hash text = hash_once(HASH_TOKENS, ids.p, ids.n);
    hash_start(&h, HASH_DIGEST);
    hash_add(&h, "embedding", 9);
    hash_add_u32(&h, ARITH_VERSION);
    hash_add(&h, model->b, sizeof model->b);
    hash_add(&h, text.b, sizeof text.b);
    hash_add_u32(&h, (uint32_t)(ids.n / 4));
    digest_add_floats(&h, vector, n);
    return hash_end(&h);
}

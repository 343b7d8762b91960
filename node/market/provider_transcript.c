/* What was served, as it is kept for auditors, and what of it a receipt is over. */
#include "node/market/provider_in.h"

#include <string.h>

RECORD_DEFINE(transcript, TRANSCRIPT_FIELDS)

#define TRANSCRIPT_KEY_SIZE 65

static void transcript_key(uint8_t key[TRANSCRIPT_KEY_SIZE], const struct hash *channel, const struct hash *job)
{
    key[0] = 't';
    memcpy(key + 1, channel->b, sizeof channel->b);
    memcpy(key + 33, job->b, sizeof job->b);
}

void serving_put_transcript(const struct serving *v, struct kv_batch *batch)
{
    uint8_t key[TRANSCRIPT_KEY_SIZE];
    struct buf value = {0};
    uint32_t n = v->sent;
    struct transcript t = {.job = v->job,
                           .channel = v->channel->head.id,
                           .request_salt = v->salts.request_salt,
                           .answer_salt = v->salts.answer_salt,
                           .digest_salt = v->salts.digest_salt,
                           .stop = v->produced_all && v->sent == v->tokens.n / 4 ? v->stop : RECEIPT_OPEN,
                           .base = v->base,
                           .request = bytes_of_buf(&v->request),
                           .tokens = bytes_of(v->tokens.p, (size_t)n * 4),
                           .digests = bytes_of(v->digests.p, (size_t)n * 32),
                           .steps = bytes_of_buf(&v->steps)};
    if (n)
        memcpy(t.digest.b, v->digests.p + (size_t)(n - 1) * 32, 32);
    transcript_key(key, &v->channel->head.id, &v->job);
    transcript_put(&value, &t);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
}

enum err provider_transcript(struct provider *p, const struct hash *channel, const struct hash *job, struct buf *raw,
                             struct transcript *t)
{
    uint8_t key[TRANSCRIPT_KEY_SIZE];
    transcript_key(key, channel, job);
    enum err e = kv_get(p->s.kv, bytes_of(key, sizeof key), raw, NULL);
    if (e != ERR_OK)
        return e;
    struct cursor c = cursor_of(bytes_of_buf(raw));
    transcript_get(&c, t);
    return cursor_end(&c) ? ERR_OK : ERR_CORRUPT;
}

bool transcript_step(struct bytes steps, uint32_t at, struct hash *digest)
{
    for (size_t i = 0; i + STEP_SIZE <= steps.n; i += STEP_SIZE)
        if (load_le32(steps.p + i) == at) {
            memcpy(digest->b, steps.p + i + 4, sizeof digest->b);
            return true;
        }
    return false;
}

bool transcript_of_receipt(const struct receipt *r, const struct transcript *t, struct bytes *tokens,
                           struct hash *digest)
{
    const struct receipt_reach reach = receipt_reach(r, t->request);
    const uint32_t n = reach.answered;
    *tokens = bytes_of(t->tokens.p, (size_t)n * 4);
    *digest = (struct hash){{0}};
    if (reach.until)
        return transcript_step(t->steps, reach.until, digest);
    if (n > t->tokens.n / 4 || n > t->digests.n / 32)
        return false;
    if (n)
        memcpy(digest->b, t->digests.p + (size_t)(n - 1) * 32, sizeof digest->b);
    return true;
}

static bool opens(const struct receipt *r, const struct transcript *t)
{
    struct bytes tokens;
    struct hash shown;
    if (!transcript_of_receipt(r, t, &tokens, &shown))
        return false;
    struct hash request = receipt_commit(t->request_salt.b, t->request);
    struct hash answer = receipt_commit(t->answer_salt.b, tokens);
    struct hash digest = receipt_commit(t->digest_salt.b, bytes_of(shown.b, sizeof shown.b));
    return hash_equal(&request, &r->request_commit) && hash_equal(&answer, &r->answer_commit) &&
           hash_equal(&digest, &r->digest_commit);
}

bool provider_proves(void *arg, const struct receipt *r)
{
    struct buf raw = {0};
    struct transcript t;
    bool good = provider_transcript(arg, &r->channel, &r->job, &raw, &t) == ERR_OK && opens(r, &t);
    buf_clear(&raw);
    return good;
}

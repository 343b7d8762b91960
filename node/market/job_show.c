/* What a payer's node can show of a job that was settled: the transcript, and what opens the commitments of its
 * receipt. The salts of these come with the provider's word and nobody else has them, so they are kept beside the job's
 * own record, where it was paid: those of the leg that it was paid for last. A receipt over less than the whole answer
 * is not shown: the digest there is not kept. */
#include "node/market/job.h"

#include "node/pay/channel_past.h"

#include <string.h>

#define LETTER 's'

void job_salts_put(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    struct buf value = {0};
    if (!j->is_salted)
        return;
    job_key(key, LETTER, &j->r.id);
    job_accept_put(&value, &j->salts);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
}

void job_salts_delete(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    job_key(key, LETTER, &j->r.id);
    if (j->is_salted)
        kv_batch_delete(batch, bytes_of(key, sizeof key));
}

static bool get(struct job *j, struct bytes value)
{
    struct cursor c = cursor_of(value);
    job_accept_get(&c, &j->salts);
    return j->is_salted = cursor_end(&c);
}

enum err job_salts_load(struct jobs *jobs, struct note *note)
{
    return job_load_beside(jobs, &(struct job_beside){LETTER, "salts of job", get}, note);
}

static const struct job *find_paid(const struct jobs *jobs, const struct hash *paid_id)
{
    const struct job *j = jobs->first;
    while (j && !(j->is_salted && hash_equal(&j->r.paid_id, paid_id)))
        j = j->next;
    return j;
}

/* Does all that is shown open the receipt's commitments? */
static bool opens(const struct audit_show *show, const struct receipt *r)
{
    struct hash request = receipt_commit(show->request_salt.b, show->request);
    struct hash answer = receipt_commit(show->answer_salt.b, show->tokens);
    struct hash digest = receipt_commit(show->digest_salt.b, bytes_of(show->digest.b, sizeof show->digest.b));
    return hash_equal(&request, &r->request_commit) && hash_equal(&answer, &r->answer_commit) &&
           hash_equal(&digest, &r->digest_commit);
}

enum err jobs_show(struct jobs *jobs, const struct rec_settlement *s, uint32_t index, struct buf *plain)
{
    const struct channel *c = channel_list_find(&jobs->channels, &s->channel);
    const struct job *j = NULL;
    struct signed_receipt r;
    struct buf receipt = {0}, proof = {0};
    enum err e = c ? channel_past_find(jobs->s.kv, c, s, index, &r, &proof) : ERR_NOT_FOUND;
    if (e == ERR_OK)
        j = find_paid(jobs, &r.receipt.job);
    if (e == ERR_OK && !j)
        e = ERR_NOT_FOUND;
    if (e == ERR_OK) {
        signed_receipt_put(&receipt, &r);
        const struct audit_show show = {.receipt = bytes_of_buf(&receipt),
                                        .proof = bytes_of_buf(&proof),
                                        .request_salt = j->salts.request_salt,
                                        .answer_salt = j->salts.answer_salt,
                                        .digest_salt = j->salts.digest_salt,
                                        .request = bytes_of_buf(&j->request),
                                        .tokens = bytes_of_buf(&j->tokens),
                                        .digest = j->r.digest};
        if (opens(&show, &r.receipt))
            audit_show_put(plain, &show);
        else
            e = ERR_NOT_FOUND;
    }
    buf_clear(&receipt);
    buf_clear(&proof);
    return e;
}

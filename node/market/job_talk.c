/* Conversations: which jobs belong together, by an id that their client drew, kept beside the record of each. */
#include "node/market/job.h"

#define TALK_FIELDS(F)                                                                                                 \
    F(hash, talk)                                                                                                      \
    F(text255, title)
RECORD_DECLARE(talk_record, TALK_FIELDS)
RECORD_DEFINE(talk_record, TALK_FIELDS)

#define LETTER 'c'

void job_talk_put(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    struct buf value = {0};
    const struct talk_record r = {.talk = j->talk, .title = j->title};
    if (hash_is_zero(&j->talk))
        return;
    job_key(key, LETTER, &j->r.id);
    talk_record_put(&value, &r);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
}

void job_talk_delete(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    job_key(key, LETTER, &j->r.id);
    if (!hash_is_zero(&j->talk))
        kv_batch_delete(batch, bytes_of(key, sizeof key));
}

static bool get(struct job *j, struct bytes value)
{
    struct talk_record r;
    struct cursor c = cursor_of(value);
    talk_record_get(&c, &r);
    if (!cursor_end(&c))
        return false;
    j->talk = r.talk;
    j->title = r.title;
    return true;
}

enum err job_talk_load(struct jobs *jobs, struct note *note)
{
    return job_load_beside(jobs, &(struct job_beside){LETTER, "conversation of job", get}, note);
}

static bool is_of(const struct job *j, const struct hash *owner, const struct hash *talk)
{
    return hash_equal(&j->talk, talk) && (!owner || hash_equal(&j->r.owner, owner));
}

enum err jobs_forget_talk(struct jobs *jobs, const struct hash *owner, const struct hash *talk, struct note *note)
{
    struct kv_batch batch = {0};
    enum err e = ERR_OK;
    for (const struct job *j = jobs->first; j; j = j->next) {
        if (!is_of(j, owner, talk))
            continue;
        job_delete(j, &batch);
        if (!job_is_at_rest(j))
            e = note_set(note, ERR_STATE, "an answer of this conversation is under way: stop it, or wait for it");
        else if (job_is_challenged(j))
            e = note_set(note, ERR_STATE, "an answer of this conversation is being challenged, with what it says");
    }
    if (hash_is_zero(talk) || batch.count == 0)
        e = note_set(note, ERR_NOT_FOUND, "this node has no such conversation (any more)");
    if (e == ERR_OK)
        e = kv_write(jobs->s.kv, &batch, true, note);
    kv_batch_clear(&batch);
    for (struct job *j = jobs->first, *next; e == ERR_OK && j; j = next) {
        next = j->next;
        if (is_of(j, owner, talk))
            job_free(j);
    }
    return e;
}

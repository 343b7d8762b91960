/* How the answer to a chat is written, kept beside the job's own record where it does not show by itself: after a
 * restart nobody asks the model's template again. Marks that are text of the answer are found in it; those that are
 * none are kept, and with them where each token ends. */
#include "node/market/job.h"

#define FORM_FIELDS(F)                                                                                                 \
    F(u8, thought)                                                                                                     \
    F(flag, within)                                                                                                    \
    F(u8, said)                                                                                                        \
    F(blob, reaches)                                                                                                   \
    F(blob, marks)
RECORD_DECLARE(form_record, FORM_FIELDS)
RECORD_DEFINE(form_record, FORM_FIELDS)

#define LETTER 'w'

/* thought_form_shown knows it without us. */
static bool shows_itself(const struct job *j)
{
    const struct thought_form *form = &j->form.thought;
    return form->said == SAID_PLAIN &&
           (form->kind == THOUGHT_NONE || (form->kind == THOUGHT_THINK && !form->is_within && j->marks.n == 0));
}

void job_form_put(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    struct buf value = {0};
    const struct form_record r = {.thought = j->form.thought.kind,
                                  .within = j->form.thought.is_within,
                                  .said = j->form.thought.said,
                                  .reaches = j->marks.n ? bytes_of_buf(&j->reaches) : (struct bytes){0},
                                  .marks = bytes_of_buf(&j->marks)};
    if (shows_itself(j))
        return;
    job_key(key, LETTER, &j->r.id);
    form_record_put(&value, &r);
    kv_batch_put(batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    buf_clear(&value);
}

void job_form_delete(const struct job *j, struct kv_batch *batch)
{
    uint8_t key[JOB_KEY_SIZE];
    job_key(key, LETTER, &j->r.id);
    if (!shows_itself(j))
        kv_batch_delete(batch, bytes_of(key, sizeof key));
}

static bool get(struct job *j, struct bytes value)
{
    struct form_record r;
    struct cursor c = cursor_of(value);
    form_record_get(&c, &r);
    if (!cursor_end(&c) || r.thought >= THOUGHT_KINDS || r.said >= SAID_KINDS || r.reaches.n % 4)
        return false;
    j->form.thought = (struct thought_form){r.thought, r.within, r.said};
    buf_add(&j->reaches, r.reaches.p, r.reaches.n);
    buf_add(&j->marks, r.marks.p, r.marks.n);
    return true;
}

enum err job_form_load(struct jobs *jobs, struct note *note)
{
    return job_load_beside(jobs, &(struct job_beside){LETTER, "form of job", get}, note);
}

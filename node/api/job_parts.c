/* What was thought and what is said of a job's answer. */
#include "node/api/job_parts.h"

void job_parts_clear(struct job_parts *p)
{
    answer_parts_clear(&p->parts);
    buf_clear(&p->marked);
    *p = (struct job_parts){0};
}

void job_parts_read(struct job_parts *p, const struct job_view *v, size_t n, uint32_t tokens, bool is_over)
{
    struct bytes text = bytes_of(v->text, n), reaches = v->reaches;
    p->thought = (struct bytes){0};
    p->said = text;
    if (v->messages.n == 0 || v->called || n == 0)
        return;
    if (v->marks.n) {
        if (reaches.n / 4 > tokens)
            reaches.n = (size_t)tokens * 4;
        buf_reset(&p->marked);
        answer_marks_join(text, reaches, v->marks, &p->marked, NULL);
        text = bytes_of_buf(&p->marked);
    }
    answer_parts_read(&p->parts, thought_form_shown(v->form.thought), NULL, text, is_over);
    p->thought = bytes_of_buf(&p->parts.thought);
    p->said = bytes_of_buf(&p->parts.said);
}

void job_parts_of(struct job_parts *p, const struct job_view *v)
{
    job_parts_read(p, v, v->text_n, v->text_tokens, v->state >= JOB_DONE);
}

/* A job's answer as the node's own API tells it: what was thought, and what is said (node/api/answer_parts.h). Pure. */
#ifndef KITH_NODE_JOB_PARTS_H
#define KITH_NODE_JOB_PARTS_H

#include "node/api/answer_parts.h"
#include "node/market/jobs.h"

struct job_parts {
    struct answer_parts parts;
    struct buf marked;
    struct bytes thought, said; /* borrow from these and from the view */
};
/* {0} before the first. */
void job_parts_clear(struct job_parts *p);
/* Of the first `n` bytes of the text, that so many tokens ended in; of a longer answer both only grow. */
void job_parts_read(struct job_parts *p, const struct job_view *v, size_t n, uint32_t tokens, bool is_over);
/* Of all there is. */
void job_parts_of(struct job_parts *p, const struct job_view *v);

#endif

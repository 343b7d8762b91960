/* What the heads of the models' files that are here say: architecture, format, context. A model that is not loaded says
 * it nowhere else. Read on a thread the first time that somebody asks, and kept until the node ends. */
#ifndef KITH_NODE_MODEL_HEADS_H
#define KITH_NODE_MODEL_HEADS_H

#include "node/api/api.h"
#include "node/blobs/model_facts.h"

struct model_head {
    struct hash root;
    struct model_brief brief;
};

/* `rest` as of the call. */
typedef void (*model_heads_fn)(struct node *n, struct http_request *r, const char *rest);

/* Has `answer` answer the call once the heads of all models here were read: at once where they were. */
void model_heads_answer(const struct api_call *c, model_heads_fn answer);
/* NULL: not read, or not here. Borrowed until the next turn of the loop. */
const struct model_brief *model_heads_find(const struct node *n, const struct hash *root);

#endif

#include "node/api/model_heads.h"

#include "base/mem.h"
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file whose head is to be read. */
struct unread {
    struct model_head head;
    char *path;
};

struct reading {
    struct node *node;
    struct http_request *request; /* NULL: the client is gone */
    model_heads_fn answer;
    char rest[sizeof((struct api_call *)0)->rest];
    struct unread *file;
    size_t n;
};

const struct model_brief *model_heads_find(const struct node *n, const struct hash *root)
{
    for (size_t i = 0; i < n->model_heads_n; i++)
        if (hash_equal(&n->model_heads[i].root, root))
            return &n->model_heads[i].brief;
    return NULL;
}

static void keep(struct node *n, const struct model_head *head)
{
    if (model_heads_find(n, &head->root))
        return;
    n->model_heads = mem_resize(n->model_heads, n->model_heads_n + 1, sizeof *n->model_heads);
    n->model_heads[n->model_heads_n++] = *head;
}

static void add_unread(void *arg, const struct blobs_info *info)
{
    struct reading *r = arg;
    const char *path = info->whole ? blobs_path(r->node->blobs, &info->root) : NULL;
    if (info->kind != BLOB_MODEL || !path || model_heads_find(r->node, &info->root))
        return;
    r->file = mem_resize(r->file, r->n + 1, sizeof *r->file);
    r->file[r->n++] = (struct unread){.head.root = info->root, .path = mem_string(path)};
}

static void read_work(void *arg)
{
    struct reading *r = arg;
    for (size_t i = 0; i < r->n; i++)
        model_brief_read(r->file[i].path, &r->file[i].head.brief);
}

static void on_read(void *arg)
{
    struct reading *r = arg;
    for (size_t i = 0; i < r->n; i++) {
        keep(r->node, &r->file[i].head);
        free(r->file[i].path);
    }
    if (r->request)
        r->answer(r->node, r->request, r->rest);
    free(r->file);
    free(r);
}

static void on_client_gone(void *arg, struct http_request *request)
{
    struct reading *r = arg;
    (void)request;
    r->request = NULL;
}

void model_heads_answer(const struct api_call *c, model_heads_fn answer)
{
    struct reading *r = mem_new(sizeof *r);
    *r = (struct reading){.node = c->node, .request = c->request, .answer = answer};
    memcpy(r->rest, c->rest, sizeof r->rest);
    blobs_list(c->node->blobs, add_unread, r);
    if (r->n == 0) {
        on_read(r);
        return;
    }
    http_on_gone(c->request, on_client_gone, r);
    host_submit(c->node->host, read_work, on_read, r);
}

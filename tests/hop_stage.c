/* Three nodes over loopback with real workers. */
#include "tests/hop_stage.h"

#include "tests/worker_stage.h"

#include <stdlib.h>

const struct hash hop_stage_chain = {{1}};

static void on_imported(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct hop_stage *s = arg;
    if (e != ERR_OK)
        fail_msg("%s", note->text);
    s->root = *root;
    s->imported = true;
}

static bool is_imported(void *arg)
{
    return ((struct hop_stage *)arg)->imported;
}

static bool is_allowed(void *arg, const struct pubkey *node)
{
    struct hop_stage *s = arg;
    for (unsigned i = 0; i < 3; i++)
        if (pubkey_equal(node, &s->net.node[i].id))
            return s->allow[i];
    return false;
}

static bool may(void *arg, uint64_t more, struct buf *why)
{
    struct hop_stage *s = arg;
    s->more = more;
    if (!s->may)
        buf_add_text(why, "the battery is low");
    return s->may;
}

static void on_changed(void *arg)
{
    (void)arg;
}

static void side_open(struct hop_stage *s, unsigned i, uint64_t memory_bytes)
{
    struct hop_side *d = &s->side[i];
    net_start(&s->net, i, hop_stage_chain);
    d->dir = test_dir_new();
    d->streams = streams_new(s->net.host, s->net.node[i].peers);
    assert_int_equal(blobs_open(s->net.host, s->net.node[i].peers, d->dir, &d->blobs, NULL), ERR_OK);
    d->workers = workers_new(&(struct workers_options){.host = s->net.host,
                                                       .program = stage_program(),
                                                       .backend = "auto",
                                                       .threads = 1,
                                                       .memory_bytes = memory_bytes});
}

void hop_stage_import(struct hop_stage *s, enum hop_node i)
{
    char path[4096];
    assert_non_null(realpath(HOP_MODEL, path));
    s->imported = false;
    blobs_import(s->side[i].blobs, BLOB_MODEL, path, on_imported, s);
    net_run(&s->net, is_imported, s, 5000);
}

void hop_stage_open(struct hop_stage *s, uint64_t head_memory)
{
    *s = (struct hop_stage){.may = true};
    net_open(&s->net);
    for (unsigned i = 0; i < 3; i++)
        side_open(s, i, i == HEAD ? head_memory : 0);
    const struct hop_side *l = &s->side[LENDER];
    const struct hop_lender_options o = {.host = s->net.host,
                                         .streams = l->streams,
                                         .blobs = l->blobs,
                                         .workers = l->workers,
                                         .key = &s->net.node[LENDER].key,
                                         .self = s->net.node[LENDER].id,
                                         .chain = hop_stage_chain,
                                         .is_allowed = is_allowed,
                                         .may = may,
                                         .changed = on_changed,
                                         .arg = s};
    s->lender = hop_lender_new(&o);
    net_join(&s->net, HEAD, LENDER);
    net_join(&s->net, OTHER, LENDER);
    s->allow[HEAD] = true;
}

void hop_stage_close(struct hop_stage *s)
{
    hop_lender_free(s->lender);
    for (unsigned i = 0; i < 3; i++) {
        struct hop_side *d = &s->side[i];
        workers_free(d->workers);
        blobs_close(d->blobs);
        streams_free(d->streams);
    }
    net_close(&s->net);
    for (unsigned i = 0; i < 3; i++)
        test_dir_remove(s->side[i].dir);
}

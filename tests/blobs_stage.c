#include "tests/blobs_stage.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

void blobs_stage_done(void *arg, enum err e, const struct hash *root, const struct note *note)
{
    struct blobs_done *d = arg;
    d->called = true;
    d->e = e;
    d->root = *root;
    d->note = *note;
}

bool blobs_stage_is_done(void *arg)
{
    return ((struct blobs_done *)arg)->called;
}

struct hash blobs_stage_chain(uint8_t b)
{
    struct hash h = {{b}};
    return h;
}

void blobs_stage_start(struct blobs_stage *f, unsigned i)
{
    net_start(&f->net, i, blobs_stage_chain(1));
    assert_int_equal(blobs_open(f->net.host, f->net.node[i].peers, f->dir[i], &f->blobs[i], NULL), ERR_OK);
}

void blobs_stage_stop(struct blobs_stage *f, unsigned i)
{
    blobs_close(f->blobs[i]);
    f->blobs[i] = NULL;
    net_stop(&f->net, i);
}

void blobs_stage_open(struct blobs_stage *f, unsigned n)
{
    *f = (struct blobs_stage){0};
    net_open(&f->net);
    for (unsigned i = 0; i < n; i++) {
        f->dir[i] = test_dir_new();
        blobs_stage_start(f, i);
    }
    f->content = malloc(BLOBS_SIZE);
    for (size_t i = 0; i < BLOBS_SIZE; i++)
        f->content[i] = (uint8_t)(i * 131 + i / 777);
    struct merkle_tree *tree = merkle_tree_of(f->content, BLOBS_SIZE);
    f->root = merkle_tree_root(tree);
    merkle_tree_free(tree);
    struct buf path = {0};
    buf_add_format(&path, "%s/model.gguf", f->dir[0]);
    f->file = strdup(buf_text(&path));
    buf_clear(&path);
    assert_int_equal(file_write(f->file, 0644, bytes_of(f->content, BLOBS_SIZE), NULL), ERR_OK);
}

void blobs_stage_close(struct blobs_stage *f)
{
    for (unsigned i = 0; i < 4; i++)
        if (f->blobs[i])
            blobs_stage_stop(f, i);
    net_close(&f->net);
    for (unsigned i = 0; i < 4; i++)
        if (f->dir[i])
            test_dir_remove(f->dir[i]);
    free(f->file);
    free(f->content);
}

void blobs_stage_import(struct blobs_stage *f, unsigned i)
{
    struct blobs_done d = {0};
    blobs_import(f->blobs[i], BLOB_MODEL, f->file, blobs_stage_done, &d);
    assert_false(d.called);
    net_run(&f->net, blobs_stage_is_done, &d, 10000);
    assert_int_equal(d.e, ERR_OK);
    assert_true(hash_equal(&d.root, &f->root));
}

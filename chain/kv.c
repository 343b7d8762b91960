/* Batches, and the calls through a store's table. */
#include "chain/kv.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* An operation: u8 put(1) or delete(0), u32 key length, key, for a put u32 value length, value. */
static uint8_t *piece_put(uint8_t *to, struct bytes piece)
{
    CHECK(piece.n <= UINT32_MAX);
    store_le32(to, (uint32_t)piece.n);
    if (piece.n)
        memcpy(to + 4, piece.p, piece.n);
    return to + 4 + piece.n;
}

void kv_batch_put(struct kv_batch *b, struct bytes key, struct bytes value)
{
    size_t n = 1 + 4 + key.n + 4 + value.n;
    buf_reserve(&b->ops, n);
    uint8_t *to = b->ops.p + b->ops.n;
    *to = 1;
    piece_put(piece_put(to + 1, key), value);
    b->ops.n += n;
    b->count++;
}

void kv_batch_delete(struct kv_batch *b, struct bytes key)
{
    size_t n = 1 + 4 + key.n;
    buf_reserve(&b->ops, n);
    uint8_t *to = b->ops.p + b->ops.n;
    *to = 0;
    piece_put(to + 1, key);
    b->ops.n += n;
    b->count++;
}

void kv_batch_append(struct kv_batch *b, const struct kv_batch *from)
{
    buf_add(&b->ops, from->ops.p, from->ops.n);
    b->count += from->count;
}

void kv_batch_clear(struct kv_batch *b)
{
    buf_clear(&b->ops);
    b->count = 0;
}

static struct bytes next_piece(const struct buf *b, size_t *at)
{
    struct bytes piece = {b->p + *at + 4, load_le32(b->p + *at)};
    *at += 4 + piece.n;
    CHECK(*at <= b->n);
    return piece;
}

bool kv_batch_next(const struct kv_batch *b, size_t *at, struct bytes *key, struct bytes *value)
{
    if (*at == b->ops.n)
        return false;
    bool put = b->ops.p[(*at)++] == 1;
    *key = next_piece(&b->ops, at);
    *value = put ? next_piece(&b->ops, at) : (struct bytes){0};
    return true;
}

enum err kv_get(struct kv *kv, struct bytes key, struct buf *value, struct note *note)
{
    return kv->ops->get(kv, key, value, note);
}

enum err kv_scan(struct kv *kv, struct bytes prefix, kv_visit_fn visit, void *arg, struct note *note)
{
    return kv->ops->scan(kv, prefix, prefix, visit, arg, note);
}

enum err kv_scan_from(struct kv *kv, struct bytes prefix, struct bytes from, kv_visit_fn visit, void *arg,
                      struct note *note)
{
    return kv->ops->scan(kv, prefix, from, visit, arg, note);
}

enum err kv_write(struct kv *kv, const struct kv_batch *batch, bool sync, struct note *note)
{
    return kv->ops->write(kv, batch, sync, note);
}

enum err kv_room(const struct kv *kv, size_t need, struct note *note)
{
    return kv->ops->room(kv, need, note);
}

void kv_close(struct kv *kv)
{
    if (kv)
        kv->ops->close(kv);
}

/* -- views of stores that have none of their own: a copy, as operations of a batch -- */

struct copy_view {
    struct kv_view view; /* first */
    struct kv_batch rows;
    size_t at;
};

static bool copy_one(void *arg, struct bytes key, struct bytes value)
{
    kv_batch_put(arg, key, value);
    return true;
}

static bool copy_next(struct kv_view *v, struct bytes *key, struct bytes *value)
{
    struct copy_view *c = (struct copy_view *)v;
    return kv_batch_next(&c->rows, &c->at, key, value);
}

static enum err copy_close(struct kv_view *v)
{
    kv_batch_clear(&((struct copy_view *)v)->rows);
    free(v);
    return ERR_OK;
}

static const struct kv_view_ops copy_ops = {copy_next, copy_close};

enum err kv_view_open(struct kv *kv, struct bytes prefix, struct kv_view **out, struct note *note)
{
    *out = NULL;
    if (kv->ops->view)
        return kv->ops->view(kv, prefix, out, note);
    struct copy_view *c = mem_new(sizeof *c);
    c->view.ops = &copy_ops;
    enum err e = kv_scan(kv, prefix, copy_one, &c->rows, note);
    if (e == ERR_OK)
        *out = &c->view;
    else
        (void)!copy_close(&c->view);
    return e;
}

bool kv_view_next(struct kv_view *v, struct bytes *key, struct bytes *value)
{
    return v->ops->next(v, key, value);
}

enum err kv_view_close(struct kv_view *v)
{
    return v ? v->ops->close(v) : ERR_OK;
}

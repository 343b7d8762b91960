/* What is found by another way than its name: dues by time, draws by height, auditors by model, and indexes from an id
 * to another. */
#include "chain/state_core.h"

/* -- what happens by itself -- */

static struct key due_key(const struct due *d)
{
    struct key k = key_class(STATE_DUE);
    key_add_u64(&k, d->time_ms);
    key_add_u8(&k, (uint8_t)d->kind);
    key_add(&k, d->id.b, sizeof d->id.b);
    return k;
}

void state_put_due(struct state *s, const struct due *d)
{
    struct key k = due_key(d);
    struct buf b = {0};
    rec_due_put(&b, &d->rec);
    store(s, &k, bytes_of_buf(&b));
    buf_clear(&b);
}

void state_remove_due(struct state *s, const struct due *d)
{
    struct key k = due_key(d);
    drop(s, &k);
}

bool state_next_due(const struct state *s, const struct due *after, struct due *out)
{
    struct key prefix = key_class(STATE_DUE), from = {0};
    struct bytes key, value;
    if (after)
        from = due_key(after);
    if (!walk(s, &prefix, after ? &from : NULL, &key, &value))
        return false;
    struct cursor c = cursor_of(value);
    out->time_ms = load_be64(key.p + 1);
    out->kind = (enum due_kind)key.p[9];
    memcpy(out->id.b, key.p + 10, sizeof out->id.b);
    rec_due_get(&c, &out->rec);
    CHECK(cursor_end(&c));
    return true;
}

bool state_first_due(const struct state *s, struct due *out)
{
    return state_next_due(s, NULL, out);
}

static struct key draw_key(uint64_t height, const struct hash *settlement)
{
    struct key k = key_class(STATE_DRAW);
    key_add_u64(&k, height);
    key_add(&k, settlement->b, sizeof settlement->b);
    return k;
}

void state_put_draw(struct state *s, uint64_t height, const struct hash *settlement)
{
    struct key k = draw_key(height, settlement);
    store(s, &k, bytes_of("", 0));
}

void state_remove_draw(struct state *s, uint64_t height, const struct hash *settlement)
{
    struct key k = draw_key(height, settlement);
    drop(s, &k);
}

bool state_next_draw(const struct state *s, const struct hash *after, uint64_t *height, struct hash *settlement)
{
    struct key prefix = key_class(STATE_DRAW), from = {0};
    struct bytes key, value;
    if (after)
        from = draw_key(*height, after);
    if (!walk(s, &prefix, after ? &from : NULL, &key, &value))
        return false;
    *height = load_be64(key.p + 1);
    memcpy(settlement->b, key.p + 9, sizeof settlement->b);
    return true;
}

bool state_first_draw(const struct state *s, uint64_t *height, struct hash *settlement)
{
    return state_next_draw(s, NULL, height, settlement);
}

/* -- indexes -- */

static struct key auditor_key(const struct hash *model, const struct pubkey *owner)
{
    struct key k = key_one(STATE_AUDITOR, model->b);
    if (owner)
        key_add(&k, owner->b, sizeof owner->b);
    return k;
}

void state_put_auditor(struct state *s, const struct hash *model, const struct pubkey *owner, const struct pubkey *node)
{
    s->auditors_version++;
    struct key k = auditor_key(model, owner);
    store(s, &k, bytes_of(node->b, sizeof node->b));
}

void state_remove_auditor(struct state *s, const struct hash *model, const struct pubkey *owner,
                          const struct pubkey *node)
{
    s->auditors_version++;
    struct key k = auditor_key(model, owner);
    if (bytes_equal(lookup(s, &k), bytes_of(node->b, sizeof node->b)))
        drop(s, &k);
}

bool state_next_auditor(const struct state *s, const struct hash *model, const struct pubkey *after,
                        struct pubkey *owner, struct pubkey *node)
{
    struct key prefix = auditor_key(model, NULL), from = {0};
    struct bytes key, value;
    if (after)
        from = auditor_key(model, after);
    if (!walk(s, &prefix, after ? &from : NULL, &key, &value))
        return false;
    CHECK(value.n == sizeof node->b);
    memcpy(owner->b, key.p + prefix.n, sizeof owner->b);
    memcpy(node->b, value.p, sizeof node->b);
    return true;
}

static bool index_get(const struct state *s, enum state_class cls, const struct hash *id, struct hash *out)
{
    struct key k = key_one(cls, id->b);
    struct bytes value = lookup(s, &k);
    *out = (struct hash){{0}};
    if (!value.p)
        return false;
    CHECK(value.n == sizeof out->b);
    memcpy(out->b, value.p, sizeof out->b);
    return true;
}

static void index_put(struct state *s, enum state_class cls, const struct hash *id, const struct hash *to)
{
    struct key k = key_one(cls, id->b);
    store(s, &k, bytes_of(to->b, sizeof to->b));
}

static struct hash name_hash(const struct text64 *name)
{
    return hash_once(HASH_STATE_KEY, name->s, name->n);
}

bool state_get_name(const struct state *s, const struct text64 *name, struct hash *root)
{
    struct hash id = name_hash(name);
    return index_get(s, STATE_NAME, &id, root);
}

void state_put_name(struct state *s, const struct text64 *name, const struct hash *root)
{
    struct hash id = name_hash(name);
    index_put(s, STATE_NAME, &id, root);
}

bool state_get_tensor(const struct state *s, const struct hash *tensor, struct hash *model)
{
    return index_get(s, STATE_TENSOR, tensor, model);
}

void state_put_tensor(struct state *s, const struct hash *tensor, const struct hash *model)
{
    index_put(s, STATE_TENSOR, tensor, model);
}

bool state_get_cipher(const struct state *s, const struct hash *cipher, struct hash *plain)
{
    return index_get(s, STATE_CIPHER, cipher, plain);
}

void state_put_cipher(struct state *s, const struct hash *cipher, const struct hash *plain)
{
    index_put(s, STATE_CIPHER, cipher, plain);
}

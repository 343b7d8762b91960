#include "node/share_file.h"

#include "base/mem.h"

RECORD_DEFINE(share_file, SHARE_FILE_FIELDS)

static struct hash check_of(const struct share_file *f)
{
    struct share_file bare = *f;
    struct buf b = {0};
    bare.check = (struct hash){{0}};
    share_file_put(&b, &bare);
    struct hash h = hash_once(HASH_FILE, b.p, b.n);
    buf_clear(&b);
    return h;
}

void share_file_store(struct buf *out, const struct market_share *s)
{
    struct share_file f = {.on = s->on,
                           .price_in = s->price_in,
                           .price_out = s->price_out,
                           .slots = s->slots,
                           .models = {(const uint8_t *)s->models, s->models_n}};
    f.check = check_of(&f);
    share_file_put(out, &f);
}

bool share_file_load(struct bytes raw, struct market_share *s)
{
    struct share_file f;
    struct cursor c = cursor_of(raw);
    share_file_get(&c, &f);
    if (!cursor_end(&c))
        return false;
    struct hash check = check_of(&f);
    if (!hash_equal(&check, &f.check))
        return false;
    struct hash *models = mem_array(f.models.n ? f.models.n : 1, sizeof *models);
    for (uint32_t i = 0; i < f.models.n; i++)
        models[i] = hashes_at(&f.models, i);
    *s = (struct market_share){f.on, f.price_in, f.price_out, f.slots, models, f.models.n};
    return true;
}

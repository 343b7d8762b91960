#include "node/market/share_file.h"

#include "base/mem.h"

RECORD_DEFINE(share_file, SHARE_FILE_FIELDS)
RECORD_DEFINE(share_file_old, SHARE_FILE_OLD_FIELDS)

/* Over the record with a check of zero. */
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

static struct hash check_of_old(const struct share_file_old *f)
{
    struct share_file_old bare = *f;
    struct buf b = {0};
    bare.check = (struct hash){{0}};
    share_file_old_put(&b, &bare);
    struct hash h = hash_once(HASH_FILE, b.p, b.n);
    buf_clear(&b);
    return h;
}

void share_file_store(struct buf *out, const struct market_share *s)
{
    const struct share_rules *r = &s->rules;
    struct share_file f = {.form = SHARE_FILE_FORM,
                           .on = s->on,
                           .finishing = s->finishing,
                           .price_in = s->price_in,
                           .price_out = s->price_out,
                           .slots = s->slots,
                           .paused_until_ms = s->paused_until_ms,
                           .from_min = r->from_min,
                           .to_min = r->to_min,
                           .idle_only = r->idle_only,
                           .on_battery = r->on_battery,
                           .temperature_max = r->temperature_max,
                           .memory_max_mb = r->memory_max_mb,
                           .models = {(const uint8_t *)s->models, s->models_n}};
    f.check = check_of(&f);
    share_file_put(out, &f);
}

static void take_models(const struct hashes *from, struct market_share *s)
{
    struct hash *models = mem_array(from->n ? from->n : 1, sizeof *models);
    for (uint32_t i = 0; i < from->n; i++)
        models[i] = hashes_at(from, i);
    s->models = models;
    s->models_n = from->n;
}

static bool load_old(struct bytes raw, struct market_share *s)
{
    struct share_file_old f;
    struct cursor c = cursor_of(raw);
    share_file_old_get(&c, &f);
    if (!cursor_end(&c))
        return false;
    struct hash check = check_of_old(&f);
    if (!hash_equal(&check, &f.check))
        return false;
    *s = (struct market_share){.on = f.on, .price_in = f.price_in, .price_out = f.price_out, .slots = f.slots};
    take_models(&f.models, s);
    return true;
}

bool share_file_load(struct bytes raw, struct market_share *s)
{
    struct share_file f;
    struct cursor c = cursor_of(raw);
    if (raw.n && raw.p[0] != SHARE_FILE_FORM)
        return load_old(raw, s);
    share_file_get(&c, &f);
    if (!cursor_end(&c))
        return false;
    struct hash check = check_of(&f);
    if (!hash_equal(&check, &f.check))
        return false;
    *s = (struct market_share){.on = f.on,
                               .finishing = f.finishing,
                               .price_in = f.price_in,
                               .price_out = f.price_out,
                               .slots = f.slots,
                               .paused_until_ms = f.paused_until_ms,
                               .rules = {.from_min = f.from_min,
                                         .to_min = f.to_min,
                                         .idle_only = f.idle_only,
                                         .on_battery = f.on_battery,
                                         .temperature_max = f.temperature_max,
                                         .memory_max_mb = f.memory_max_mb}};
    take_models(&f.models, s);
    return true;
}

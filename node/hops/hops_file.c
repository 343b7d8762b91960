/* The file of hops, and changes to what is in it. */
#include "node/hops/hops_file.h"

#include <string.h>

RECORD_DEFINE(hop_place, HOP_PLACE_FIELDS)
RECORD_DEFINE(hops_file, HOPS_FILE_FIELDS)

/* Over the record with a check of zero. */
static struct hash check_of(const struct hops_file *f)
{
    struct hops_file bare = *f;
    struct buf b = {0};
    bare.check = (struct hash){{0}};
    hops_file_put(&b, &bare);
    struct hash h = hash_once(HASH_FILE, b.p, b.n);
    buf_clear(&b);
    return h;
}

void hops_file_store(struct buf *out, const struct hops_settings *s)
{
    struct buf places = {0};
    for (unsigned i = 0; i < s->places_n; i++)
        hop_place_put(&places, &s->places[i]);
    struct hops_file f = {.form = HOPS_FILE_FORM,
                          .places = bytes_of_buf(&places),
                          .allowed = bytes_of(s->allowed, s->allowed_n * sizeof *s->allowed)};
    f.check = check_of(&f);
    hops_file_put(out, &f);
    buf_clear(&places);
}

static int by_place(const struct hop_place *a, const struct hop_place *b)
{
    int by_model = hash_compare(&a->model, &b->model);
    return by_model ? by_model : a->first < b->first ? -1 : a->first > b->first;
}

/* What stands at `place` beside itself. */
static bool clashes(const struct hops_settings *s, const struct hop_place *place)
{
    for (unsigned i = 0; i < s->places_n; i++) {
        const struct hop_place *p = &s->places[i];
        if (p != place && hash_equal(&p->model, &place->model) &&
            (pubkey_equal(&p->node, &place->node) || (p->first < place->end && place->first < p->end)))
            return true;
    }
    return false;
}

static bool are_places_right(const struct hops_settings *s)
{
    unsigned of_model = 0;
    for (unsigned i = 0; i < s->places_n; i++) {
        const struct hop_place *p = &s->places[i];
        of_model = i > 0 && hash_equal(&p[-1].model, &p->model) ? of_model + 1 : 1;
        if (p->first == 0 || p->first >= p->end || of_model > HOPS_MAX || clashes(s, p) ||
            (i > 0 && by_place(p - 1, p) >= 0))
            return false;
    }
    return true;
}

bool hops_file_load(struct bytes raw, struct hops_settings *s)
{
    struct hops_file f;
    struct cursor c = cursor_of(raw);
    *s = (struct hops_settings){0};
    hops_file_get(&c, &f);
    if (!cursor_end(&c) || f.form != HOPS_FILE_FORM)
        return false;
    struct hash check = check_of(&f);
    if (!hash_equal(&check, &f.check) || f.allowed.n % sizeof *s->allowed || f.allowed.n > sizeof s->allowed)
        return false;
    if (f.allowed.n)
        memcpy(s->allowed, f.allowed.p, f.allowed.n);
    s->allowed_n = (unsigned)(f.allowed.n / sizeof *s->allowed);
    struct cursor places = cursor_of(f.places);
    while (places.p && places.n > 0 && s->places_n < HOP_PLACES_MAX)
        hop_place_get(&places, &s->places[s->places_n++]);
    return cursor_end(&places) && are_places_right(s);
}

static unsigned find_place(const struct hops_settings *s, const struct hash *model, const struct pubkey *node)
{
    unsigned i = 0;
    while (i < s->places_n && !(hash_equal(&s->places[i].model, model) && pubkey_equal(&s->places[i].node, node)))
        i++;
    return i;
}

static enum err check_range(const struct hop_place *p, uint32_t layers, struct note *note)
{
    const char *stays = "stays with whoever asks, since it sees the tokens";
    if (p->first >= p->end)
        return note_set(note, ERR_RANGE, "layers %u-%u: the first of them stands in front, as 4-11", p->first,
                        p->end - 1);
    if (layers < 3)
        return note_set(note, ERR_RANGE, "the model has %u layers: there is none between its first and its last",
                        layers);
    if (p->first == 0)
        return note_set(note, ERR_RANGE, "layer 0 %s: 1-%u can be elsewhere", stays, layers - 2);
    if (p->end >= layers)
        return note_set(note, ERR_RANGE, "layer %u, the last of this model, %s: 1-%u can be elsewhere", layers - 1,
                        stays, layers - 2);
    return ERR_OK;
}

enum err hops_settings_set(struct hops_settings *s, const struct hop_place *place, uint32_t layers, struct note *note)
{
    char node[2 * sizeof place->node.b + 1];
    unsigned of_model = 1;
    enum err e = check_range(place, layers, note);
    if (e != ERR_OK)
        return e;
    unsigned at = find_place(s, &place->model, &place->node);
    for (unsigned i = 0; i < s->places_n; i++) {
        const struct hop_place *p = &s->places[i];
        if (i == at || !hash_equal(&p->model, &place->model))
            continue;
        of_model++;
        hex_put(node, p->node.b, sizeof p->node.b);
        if (p->first < place->end && place->first < p->end)
            return note_set(note, ERR_RANGE, "layers %u-%u are at the node %s already: kith hop rm takes them back",
                            p->first, p->end - 1, node);
    }
    if (of_model > HOPS_MAX)
        return note_set(note, ERR_LIMIT, "layers of one model may be at %d other devices at most", HOPS_MAX);
    if (at == s->places_n && at == HOP_PLACES_MAX)
        return note_set(note, ERR_LIMIT, "layers may be at %d places at most, of all models", HOP_PLACES_MAX);
    if (at < s->places_n)
        memmove(&s->places[at], &s->places[at + 1], (--s->places_n - at) * sizeof *s->places);
    at = s->places_n++;
    for (; at > 0 && by_place(&s->places[at - 1], place) > 0; at--)
        s->places[at] = s->places[at - 1];
    s->places[at] = *place;
    return ERR_OK;
}

bool hops_settings_remove(struct hops_settings *s, const struct hash *model, const struct pubkey *node)
{
    unsigned at = find_place(s, model, node);
    if (at == s->places_n)
        return false;
    memmove(&s->places[at], &s->places[at + 1], (--s->places_n - at) * sizeof *s->places);
    return true;
}

static unsigned find_allowed(const struct hops_settings *s, const struct pubkey *node)
{
    unsigned i = 0;
    while (i < s->allowed_n && !pubkey_equal(&s->allowed[i], node))
        i++;
    return i;
}

enum err hops_settings_allow(struct hops_settings *s, const struct pubkey *node, struct note *note)
{
    if (hops_settings_is_allowed(s, node))
        return ERR_OK;
    if (s->allowed_n == HOP_ALLOWED_MAX)
        return note_set(note, ERR_LIMIT, "%d devices may borrow layers at most: kith hop deny takes one out",
                        HOP_ALLOWED_MAX);
    s->allowed[s->allowed_n++] = *node;
    return ERR_OK;
}

bool hops_settings_deny(struct hops_settings *s, const struct pubkey *node)
{
    unsigned at = find_allowed(s, node);
    if (at == s->allowed_n)
        return false;
    memmove(&s->allowed[at], &s->allowed[at + 1], (--s->allowed_n - at) * sizeof *s->allowed);
    return true;
}

bool hops_settings_is_allowed(const struct hops_settings *s, const struct pubkey *node)
{
    return find_allowed(s, node) < s->allowed_n;
}

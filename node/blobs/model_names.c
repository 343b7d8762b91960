/* Names of models on this machine: all of them in memory, each written as it changes. */
#include "node/blobs/model_names.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define KEY_SIZE (1 + HASH_SIZE)

struct named {
    struct hash root;
    struct text64 name;
};

struct model_names {
    struct kv *kv;
    struct named *all; /* [MODEL_NAMES_MAX] */
    unsigned n;
};

static void key_of(uint8_t key[KEY_SIZE], const struct hash *root)
{
    key[0] = 'n';
    memcpy(key + 1, root->b, HASH_SIZE);
}

static bool load_one(void *arg, struct bytes key, struct bytes value)
{
    struct model_names *m = arg;
    struct cursor c = cursor_of(value);
    struct named one;
    codec_get_text64(&c, &one.name);
    if (key.n != KEY_SIZE || !cursor_end(&c) || m->n == MODEL_NAMES_MAX)
        return true; /* a name is no loss that would be worth not starting */
    memcpy(one.root.b, key.p + 1, HASH_SIZE);
    m->all[m->n++] = one;
    return true;
}

enum err model_names_open(struct kv *kv, struct model_names **out, struct note *note)
{
    struct model_names *m = mem_new(sizeof *m);
    m->kv = kv;
    m->all = mem_array(MODEL_NAMES_MAX, sizeof *m->all);
    enum err e = kv_scan(kv, bytes_of("n", 1), load_one, m, note);
    if (e != ERR_OK) {
        model_names_close(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

void model_names_close(struct model_names *m)
{
    if (!m)
        return;
    free(m->all);
    free(m);
}

static struct named *find_root(const struct model_names *m, const struct hash *root)
{
    for (unsigned i = 0; i < m->n; i++)
        if (hash_equal(&m->all[i].root, root))
            return &m->all[i];
    return NULL;
}

static struct named *find_name(const struct model_names *m, const char *name)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->all[i].name.s, name) == 0)
            return &m->all[i];
    return NULL;
}

const char *model_names_of(const struct model_names *m, const struct hash *root)
{
    const struct named *one = find_root(m, root);
    return one ? one->name.s : "";
}

bool model_names_find(const struct model_names *m, const char *name, struct hash *root)
{
    const struct named *one = find_name(m, name);
    if (one)
        *root = one->root;
    return one != NULL;
}

enum err model_names_check(const char *name, struct note *note)
{
    struct text64 text;
    struct hash root;
    if (!*name || !text64_set(&text, name))
        return note_set(note, ERR_FORMAT, "\"%.80s\" is no name for a model: 1 to 64 bytes of text", name);
    if (strcmp(name, "default") == 0 || hex_get(name, root.b, sizeof root.b))
        return note_set(note, ERR_FORMAT, "\"%s\" stands for something else already: choose another name", name);
    return ERR_OK;
}

enum err model_names_set(struct model_names *m, const struct hash *root, const char *name, struct note *note)
{
    struct named fresh = {.root = *root};
    struct kv_batch batch = {{0}, 0};
    struct buf value = {0};
    uint8_t key[KEY_SIZE];
    enum err e = model_names_check(name, note);
    if (e != ERR_OK)
        return e;
    CHECK(text64_set(&fresh.name, name));
    const struct named *had = find_root(m, root), *other = find_name(m, name);
    if (!had && !other && m->n == MODEL_NAMES_MAX)
        return note_set(note, ERR_LIMIT, "%u models have names here already: kith model rm removes one",
                        MODEL_NAMES_MAX);
    if (other && !hash_equal(&other->root, root)) {
        key_of(key, &other->root);
        kv_batch_delete(&batch, bytes_of(key, sizeof key));
    }
    codec_put_text64(&value, &fresh.name);
    key_of(key, root);
    kv_batch_put(&batch, bytes_of(key, sizeof key), bytes_of_buf(&value));
    e = kv_write(m->kv, &batch, true, note);
    kv_batch_clear(&batch);
    buf_clear(&value);
    if (e != ERR_OK)
        return e;
    struct named *old;
    while ((old = find_root(m, root)) || (old = find_name(m, name)))
        *old = m->all[--m->n];
    m->all[m->n++] = fresh;
    return ERR_OK;
}

enum err model_names_remove(struct model_names *m, const struct hash *root, struct note *note)
{
    struct kv_batch batch = {{0}, 0};
    struct named *one = find_root(m, root);
    if (!one)
        return ERR_OK;
    uint8_t key[KEY_SIZE];
    key_of(key, root);
    kv_batch_delete(&batch, bytes_of(key, sizeof key));
    enum err e = kv_write(m->kv, &batch, true, note);
    kv_batch_clear(&batch);
    if (e == ERR_OK)
        *one = m->all[--m->n];
    return e;
}

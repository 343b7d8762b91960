/* The channels of one side of this node. */
#include "node/pay/channel_list.h"

#include "base/mem.h"

#include <stdlib.h>

void channel_list_clear(struct channel_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        channel_clear(l->at[i]);
        free(l->at[i]);
    }
    free(l->at);
    *l = (struct channel_list){0};
}

static void add_loaded(void *arg, struct channel *c)
{
    channel_list_add(arg, c);
}

enum err channel_list_load(struct channel_list *l, struct kv *kv, uint8_t side, struct note *note)
{
    return channel_load(kv, side, add_loaded, l, note);
}

void channel_list_add(struct channel_list *l, struct channel *c)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->at = mem_resize(l->at, l->room, sizeof *l->at);
    }
    l->at[l->n++] = c;
}

void channel_list_remove(struct channel_list *l, struct channel *c)
{
    size_t i = 0;
    while (i < l->n && l->at[i] != c)
        i++;
    CHECK(i < l->n);
    l->at[i] = l->at[--l->n];
    channel_clear(c);
    free(c);
}

struct channel *channel_list_find(const struct channel_list *l, const struct hash *id)
{
    for (size_t i = 0; i < l->n; i++)
        if (hash_equal(&l->at[i]->head.id, id))
            return l->at[i];
    return NULL;
}

struct channel *channel_list_refresh(struct channel_list *l, const struct hash *chain, const struct rec_channel *rec)
{
    struct channel *c = channel_list_find(l, &rec->id);
    if (!c) {
        const struct channel_head head = {
            .id = rec->id, .chain = *chain, .payer = rec->payer, .provider = rec->provider, .model = rec->model};
        c = mem_new(sizeof *c);
        channel_init(c, &head);
        channel_list_add(l, c);
    }
    c->head.funded = rec->deposit;
    c->head.settled = rec->settled;
    return c;
}

void channel_list_each(const struct channel_list *l, channel_fn fn, void *arg)
{
    for (size_t i = 0; i < l->n; i++)
        fn(arg, l->at[i]);
}

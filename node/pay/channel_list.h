/* The channels of one side of this node: those that it pays through, or those that it is paid through. They are the
 * list's own, and stay where they are until they are removed. */
#ifndef KITH_NODE_CHANNEL_LIST_H
#define KITH_NODE_CHANNEL_LIST_H

#include "chain/records.h"
#include "node/pay/channel.h"

struct channel_list {
    struct channel **at;
    size_t n, room;
};

void channel_list_clear(struct channel_list *l);
/* Every one that is stored of a side, added. On an error those before it are there. */
enum err channel_list_load(struct channel_list *l, struct kv *kv, uint8_t side, struct note *note) MUST_USE;
void channel_list_add(struct channel_list *l, struct channel *take);
void channel_list_remove(struct channel_list *l, struct channel *c);
/* NULL: not there. */
struct channel *channel_list_find(const struct channel_list *l, const struct hash *id);
/* What the ledger says is in a channel, and settled of it, into ours, which is made where it is missing. */
struct channel *channel_list_refresh(struct channel_list *l, const struct hash *chain, const struct rec_channel *rec);
typedef void (*channel_fn)(void *arg, struct channel *c);
void channel_list_each(const struct channel_list *l, channel_fn fn, void *arg);

#endif

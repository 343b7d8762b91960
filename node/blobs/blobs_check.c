/* Whole blobs, read again by and by. A disk that changes a byte changes neither time nor inode, so a start does not see
 * it; a model with a changed weight gives other answers, which cost its provider the bond. One leaf after the other is
 * compared with the list that has the blob's root, slowly enough to disturb nobody. What differs makes the blob a part:
 * its users are told, and the leaves that are wrong are fetched again. */
#include "node/blobs/blobs_in.h"

#include "base/limits.h"
#include "base/log.h"

#include <inttypes.h>

static void turn(void *arg);

static void go_on_in(struct blobs *b, uint64_t delay_ms)
{
    host_timer_set(b->host, &b->check_timer, delay_ms, turn, b);
}

void blobs_found_damaged(struct item *it, uint64_t leaf)
{
    struct blobs *b = it->owner;
    struct note note = {{0}};
    struct hash root = it->root;
    enum blob_kind kind = it->kind;
    char hex[65];
    hex_put(hex, root.b, sizeof root.b);
    log_event(LOG_ODD, "blobs", "damaged",
              "root=%.16s leaf=%" PRIu64
              ": the disk gives back other bytes than were written; what is damaged is fetched",
              hex, leaf);
    enum err e = blobs_item_demote(it, &note);
    if (e != ERR_OK)
        log_event(LOG_ODD, "blobs", "not made a part", "root=%.16s why=%s", hex, note.text);
    if (b->on_damage)
        b->on_damage(b->damage_arg, &root);
    if (e == ERR_OK)
        blobs_pull(b, kind, &root, NULL, NULL);
}

bool blobs_leaf_is_right(struct item *it, uint64_t leaf)
{
    uint8_t bytes[LEAF_SIZE];
    uint32_t n = merkle_leaf_size(it->size, leaf);
    if (!blobs_item_read(it, leaf * LEAF_SIZE, bytes, n))
        return false;
    struct hash h = merkle_leaf_hash(bytes, n);
    return hash_equal(&h, merkle_tree_leaf(it->tree, leaf));
}

static void turn(void *arg)
{
    struct blobs *b = arg;
    struct item *it = b->check_at;
    for (unsigned i = 0; it && it->whole && i < BLOB_CHECK_LEAVES && b->check_leaf < merkle_leaves(it->size); i++) {
        if (!blobs_leaf_is_right(it, b->check_leaf)) {
            blobs_found_damaged(it, b->check_leaf);
            break;
        }
        b->check_leaf++;
    }
    if (it && (!it->whole || b->check_leaf >= merkle_leaves(it->size))) {
        b->check_at = it = it->next;
        b->check_leaf = 0;
    }
    if (!it)
        b->check_at = b->items; /* from the beginning, after a rest */
    go_on_in(b, it ? BLOB_CHECK_MS : BLOB_REST_MS);
}

void blobs_check_start(struct blobs *b)
{
    b->check_at = b->items;
    go_on_in(b, BLOB_CHECK_MS);
}

void blobs_check_stop(struct blobs *b)
{
    host_timer_cancel(b->host, &b->check_timer);
}

void blobs_on_damage(struct blobs *b, blobs_damage_fn fn, void *arg)
{
    b->on_damage = fn;
    b->damage_arg = arg;
}

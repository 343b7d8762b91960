/* HOME/hops: which layers of which models other devices of the owner have, and which of his devices may borrow some of
 * this one. It says who is let near a stream of activations, so what was not written as it stands is refused. */
#ifndef KITH_NODE_HOPS_FILE_H
#define KITH_NODE_HOPS_FILE_H

#include "base/codec.h"

#define HOPS_FILE_MAX  (128u << 10)
#define HOPS_FILE_FORM 1

/* Layers [first, end) of the model are at that node. `endpoint`: HOST:PORT, or empty: as the address book knows it. */
#define HOP_PLACE_FIELDS(F) F(hash, model) F(pubkey, node) F(text255, endpoint) F(u32, first) F(u32, end)
RECORD_DECLARE(hop_place, HOP_PLACE_FIELDS)

/* `places`: records one behind the other, sorted by model, then first layer; `allowed`: public keys. */
#define HOPS_FILE_FIELDS(F) F(u8, form) F(blob, places) F(blob, allowed) F(hash, check)
RECORD_DECLARE(hops_file, HOPS_FILE_FIELDS)

struct hops_settings {
    struct hop_place places[HOP_PLACES_MAX];
    unsigned places_n;
    struct pubkey allowed[HOP_ALLOWED_MAX];
    unsigned allowed_n;
};

void hops_file_store(struct buf *out, const struct hops_settings *s);
/* False for anything that hops_file_store did not write. */
bool hops_file_load(struct bytes raw, struct hops_settings *s) MUST_USE;

/* Changes; the settings stay as they were where they fail. Ranges of one model must not overlap, a node has one of each
 * model, HOPS_MAX of a model at most; `layers`: that the model has, of which the first and the last stay here. */
enum err hops_settings_set(struct hops_settings *s, const struct hop_place *place, uint32_t layers,
                           struct note *note) MUST_USE;
bool hops_settings_remove(struct hops_settings *s, const struct hash *model, const struct pubkey *node) MUST_USE;
enum err hops_settings_allow(struct hops_settings *s, const struct pubkey *node, struct note *note) MUST_USE;
bool hops_settings_deny(struct hops_settings *s, const struct pubkey *node) MUST_USE;
bool hops_settings_is_allowed(const struct hops_settings *s, const struct pubkey *node);

#endif

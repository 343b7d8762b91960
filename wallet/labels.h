/* What a person calls addresses and transactions, and which addresses are accounts that are only watched: their keys
 * are elsewhere. Nothing secret, and nothing that money depends on.
 *
 * The file is BIP 329's: one JSON object a line, {"type":"addr"|"tx","ref":"..","label":".."}, so that wallets can pass
 * it on; a watched account has "watch":true besides. Other types, which other wallets may write, are kept as they are.
 * The last line that we write is of a type of our own, "checksum", over all lines in front of it: a disk that changes
 * an id or a name is found. A file without it, as other wallets write it, is taken as it is, lines behind it too.
 */
#ifndef KITH_WALLET_LABELS_H
#define KITH_WALLET_LABELS_H

#include "base/codec.h"
#include "wallet/address.h"

enum label_type { LABEL_ADDR, LABEL_TX };

struct label {
    enum label_type type;
    uint8_t id[32]; /* public key of an address, or id of a transaction */
    struct text255 text;
    bool watch; /* of addresses */
};

struct labels {
    struct label *at;
    unsigned n, room;
    struct buf others;                   /* lines of other types */
    char prefix[ADDRESS_PREFIX_MAX + 1]; /* of addresses, as the file has them; "" as long as there is none */
};

void labels_clear(struct labels *l);
/* Of an address or a transaction; NULL if it has none. Borrowed until the next labels_set. */
const struct label *labels_find(const struct labels *l, enum label_type type, const uint8_t id[32]);
/* The address that is called so; NULL if there is none, or more than one. */
const struct label *labels_find_text(const struct labels *l, const char *text);
/* In place of what was there; an empty text removes. ERR_FORMAT for text over 255 bytes or not clean, ERR_EXISTS where
 * another address has that label, ERR_LIMIT. */
enum err labels_set(struct labels *l, enum label_type type, const uint8_t id[32], const char *text, bool watch,
                    struct note *note) MUST_USE;

/* The note names the line that is wrong. Total over hostile input; *l is empty on failure. */
enum err labels_get(struct bytes file, struct labels *l, struct note *note) MUST_USE;
/* Addresses with l->prefix, or the main network's. */
void labels_put(struct buf *out, const struct labels *l);
/* No file is no labels. */
enum err labels_read(const char *path, struct labels *l, struct note *note) MUST_USE;
enum err labels_write(const char *path, const struct labels *l, struct note *note) MUST_USE;

#endif

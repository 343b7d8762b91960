/* HOME/share: on which terms this node serves, over restarts. A price is in it, so what was not written as it stands is
 * refused. */
#ifndef KITH_NODE_SHARE_FILE_H
#define KITH_NODE_SHARE_FILE_H

#include "node/market.h"

#define SHARE_FILE_MAX (64u << 10)

#define SHARE_FILE_FIELDS(F)                                                                                           \
    F(flag, on) F(amount, price_in) F(amount, price_out) F(u32, slots) F(hashes, models) F(hash, check)
RECORD_DECLARE(share_file, SHARE_FILE_FIELDS)

void share_file_store(struct buf *out, const struct market_share *s);
/* False for anything that share_file_store did not write. s->models is the caller's to free. */
bool share_file_load(struct bytes raw, struct market_share *s) MUST_USE;

#endif

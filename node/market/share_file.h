/* HOME/share: on which terms this node serves, over restarts. A price is in it, so what was not written as it stands is
 * refused. The first byte is the form: that of before the rules began with a flag, and is still read. */
#ifndef KITH_NODE_SHARE_FILE_H
#define KITH_NODE_SHARE_FILE_H

#include "node/market/market.h"

#define SHARE_FILE_MAX  (64u << 10)
#define SHARE_FILE_FORM 2

#define SHARE_FILE_FIELDS(F)                                                                                           \
    F(u8, form)                                                                                                        \
    F(flag, on)                                                                                                        \
    F(flag, finishing)                                                                                                 \
    F(amount, price_in)                                                                                                \
    F(amount, price_out)                                                                                               \
    F(u32, slots)                                                                                                      \
    F(u64, paused_until_ms)                                                                                            \
    F(u32, from_min)                                                                                                   \
    F(u32, to_min)                                                                                                     \
    F(flag, idle_only)                                                                                                 \
    F(flag, on_battery)                                                                                                \
    F(u32, temperature_max)                                                                                            \
    F(u32, memory_max_mb)                                                                                              \
    F(hashes, models)                                                                                                  \
    F(hash, check)
RECORD_DECLARE(share_file, SHARE_FILE_FIELDS)

/* As it was before there were rules. */
#define SHARE_FILE_OLD_FIELDS(F)                                                                                       \
    F(flag, on) F(amount, price_in) F(amount, price_out) F(u32, slots) F(hashes, models) F(hash, check)
RECORD_DECLARE(share_file_old, SHARE_FILE_OLD_FIELDS)

void share_file_store(struct buf *out, const struct market_share *s);
/* False for anything that share_file_store did not write, now or before there were rules: the rules are then what they
 * are for whoever names none. s->models is the caller's to free. */
bool share_file_load(struct bytes raw, struct market_share *s) MUST_USE;

#endif

/* Inside the market: shared by market.c (store, offers, events) and market_share.c (is this machine lent now?). Nobody
 * else includes it. */
#ifndef KITH_NODE_MARKET_IN_H
#define KITH_NODE_MARKET_IN_H

#include "node/market/market.h"
#include "node/market/plant.h"
#include "node/blobs/model_names.h"
#include "node/market/provider.h"

struct share_look; /* readings that a thread is taking */

struct market {
    struct market_services s;
    char *home;
    struct text255 endpoint;
    struct hash default_model; /* zero: none */
    struct model_names *names;
    struct text64 said; /* market_model_name's */
    struct planting planting;
    struct provider *provider;
    struct settle *settle;
    struct auditor *auditor;
    struct doubts *doubts;
    struct jobs *jobs;
    struct hops *hops;
    struct hop_lender *lender;
    struct timer offer_timer;
    bool is_full, is_soon; /* as it was offered last; the timer is set for that */

    /* whether this machine is lent: market_share.c */
    bool is_lent;      /* offers stand, and jobs are taken */
    bool holds_models; /* it was, and the workers for it may still be there */
    struct share_readings readings;
    struct share_state decided;
    uint64_t models_bytes; /* that the lent models take; layers come on top */
    uint64_t hop_asked_ms; /* when layers were last asked for; 0: never */
    struct share_look *look;
    struct timer share_timer, hops_timer;
};

/* market.c */
void market_offer_all(void *market);
/* An offer of no slots takes back the one before: else others would try it until it expires. */
void market_withdraw(struct market *m, const struct hash *model);
bool market_is_registered(const struct market *m, const struct hash *model);

/* market_share.c: from HOME/share, before the first offer. */
enum err share_open(struct market *m, struct note *note) MUST_USE;
void share_close(struct market *m);
/* May `more` bytes of layers be lent, by the owner's rules? Also while no model is: layers are his other devices'.
 * Appends why not. */
bool share_may_hop(void *market, uint64_t more, struct buf *why);
/* Layers are lent that were not, or no more; or somebody may have none any more. */
void share_on_hops(void *market);
/* A job was taken or has ended. */
void share_on_slots(struct market *m);

#endif

/* Inside access to data: shared by access.c (keys) and access_hashes.c (hashes of plain leaves between nodes). Nobody
 * else includes it. */
#ifndef KITH_NODE_ACCESS_IN_H
#define KITH_NODE_ACCESS_IN_H

#include "node/data/access.h"

struct giving;
struct fetching;

struct access {
    struct access_options o;
    char *home;
    struct giving *giving;
    unsigned giving_n;
    struct fetching *fetching;
};

/* access_hashes.c: a streams_accept_fn, and the end of all that is under way. */
enum err access_on_asked(void *arg, uint64_t stream, const struct pubkey *from, struct bytes body,
                         const struct stream_calls **calls, void **calls_arg);
void access_hashes_stop(struct access *a);

#endif

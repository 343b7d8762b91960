/* What several pieces of the market do with the services that they share. */
#include "base/seal.h"
#include "base/secret.h"
#include "node/market/market.h"

enum err market_worker(const struct market_services *s, const struct hash *model, struct worker **out,
                       struct note *note)
{
    int fd;
    *out = workers_find(s->workers, model, WORKER_FULL);
    if (*out) {
        worker_wake(*out);
        return ERR_OK;
    }
    enum err e = blobs_fd(s->blobs, model, &fd, note);
    return e == ERR_OK ? workers_get(s->workers, model, WORKER_FULL, fd, out, note) : e;
}

bool market_seal(const struct market_services *s, const struct pubkey *to, struct bytes plain, struct buf *out)
{
    struct seckey ephemeral;
    do
        host_random(s->host, ephemeral.b, sizeof ephemeral.b);
    while (!key_is_valid(&ephemeral));
    bool good = seal_to_key(out, to, &ephemeral, plain.p, plain.n);
    secret_wipe(&ephemeral, sizeof ephemeral);
    return good;
}

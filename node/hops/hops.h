/* Models that are cut over several devices of one owner: which layers are where (HOME/hops), and that the head's worker
 * finds them there. For each model of which some layers are elsewhere:
 *
 *     REST --its worker is to start--> GATHERING --all hops are ready--> TOGETHER --a hop is lost--> ALONE
 *      ^                                  '--HOP_WAIT_MS; room for all--> ALONE       (jobs go on: the worker has
 *      |                                  '-----------------; no room--> refused       all the layers by then)
 *      '--the worker is stopped-- any     ALONE --all hops are ready, the worker is idle--> its process starts again
 *
 * The streams are open while the worker is wanted: the devices hold the layers for no longer than that. No token, no
 * logit and no key of the head's leaves it: only the stream of activations does.
 */
#ifndef KITH_NODE_HOPS_H
#define KITH_NODE_HOPS_H

#include "node/blobs/blobs.h"
#include "node/hops/hop_link.h"
#include "node/hops/hops_file.h"
#include "node/worker/worker.h"

struct hops;

struct hops_options {
    struct host *host;
    struct peers *peers;
    struct streams *streams;
    struct blobs *blobs;
    struct workers *workers;
    struct hash chain;
    const char *home;
    uint64_t wait_ms;           /* for tests; 0: HOP_WAIT_MS */
    void (*changed)(void *arg); /* whom this device lends to; may be NULL */
    void *arg;
};
enum err hops_open(const struct hops_options *o, struct hops **out, struct note *note) MUST_USE;
void hops_close(struct hops *h);

/* Each is on the disk when it returns ERR_OK, and holds at once. */
enum err hops_set(struct hops *h, const struct hop_place *place, struct note *note) MUST_USE;
enum err hops_remove(struct hops *h, const struct hash *model, const struct pubkey *node, struct note *note) MUST_USE;
enum err hops_allow(struct hops *h, const struct pubkey *node, struct note *note) MUST_USE;
enum err hops_deny(struct hops *h, const struct pubkey *node, struct note *note) MUST_USE;
const struct hops_settings *hops_settings(const struct hops *h);

struct hops_info {
    const struct hop_place *place;
    struct hop_link_info link;
    const char *state; /* "rest", "connecting", "loading", "ready", "lost" */
    bool used;         /* by the head's worker, now */
};
typedef void (*hops_info_fn)(void *arg, const struct hops_info *info);
void hops_each(const struct hops *h, hops_info_fn fn, void *arg);

/* Is every hop's work right? Runs a short, fixed request through new streams, evaluates the same calls with this
 * device's own copy of the model, and compares with what the hops signed. fn is called once, on the loop, never within
 * the call, and not when all is closed; `result` is an object as docs/api.md has it for /kith/v1/share/hops/check.
 * ERR_BUSY: the model is answering. */
typedef void (*hops_check_fn)(void *arg, enum err e, struct bytes result, const struct note *note);
enum err hops_check(struct hops *h, const struct hash *model, hops_check_fn fn, void *arg, struct note *note) MUST_USE;

#endif

/* Lending layers of a model to other devices of the same owner (node/hops/hop_wire.h): the hop's side.
 *
 *     opened --allowed, whole, may--> LOADING --opened--> READY --parts--> READY --whole--> WORKING --answer-->
 * ANSWERING ^                                                      |
 *                                                           '------------------------ all sent, signed ------------'
 *     any --against the protocol, the worker ended, a rule of the owner says no, denied, closed--> gone
 *
 * A head is a node key that the owner allowed; nobody else gets further than its opening. One head has layers of a
 * model at a time, and one stream for it: opening another takes the place of the first, whose connection may be dead
 * unseen. What a stream can make this device hold: the worker's memory, one call, one answer.
 */
#ifndef KITH_NODE_HOP_LEND_H
#define KITH_NODE_HOP_LEND_H

#include "node/blobs/blobs.h"
#include "node/net/streams.h"
#include "node/worker/worker.h"

struct hop_lender;

struct hop_lender_options {
    struct host *host;
    struct streams *streams;
    struct blobs *blobs;
    struct workers *workers;
    const struct seckey *key; /* the node's; as key_derive left it; outlives the lender */
    struct pubkey self;
    struct hash chain;
    /* Has the owner allowed that node? */
    bool (*is_allowed)(void *arg, const struct pubkey *node);
    /* May this device lend `more` bytes of layers beside what it lends? Appends why not. */
    bool (*may)(void *arg, uint64_t more, struct buf *why);
    void (*changed)(void *arg); /* something is lent that was not, or is no more */
    void *arg;
};
struct hop_lender *hop_lender_new(const struct hop_lender_options *o);
void hop_lender_free(struct hop_lender *l);
/* What is lent and may not be any more ends, and the head is told why. */
void hop_lender_look(struct hop_lender *l);

struct hop_lent {
    struct hash model;
    struct pubkey node;
    uint32_t first, end;
    bool ready; /* else it is loading */
    uint64_t calls, memory_bytes;
};
typedef void (*hop_lent_fn)(void *arg, const struct hop_lent *lent);
void hop_lender_each(const struct hop_lender *l, hop_lent_fn fn, void *arg);
uint64_t hop_lender_bytes(const struct hop_lender *l); /* of memory */
unsigned hop_lender_count(const struct hop_lender *l);

#endif

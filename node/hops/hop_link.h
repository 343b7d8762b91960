/* The head's end of one hop (node/hops/hop_wire.h): a stream to the device that lends the layers, kept open while they
 * are wanted, and at most one call on it.
 *
 *     REST --wanted--> CONNECTING --connected--> LOADING --HOP_READY--> READY --call--> CALLING --signed--> READY
 *      ^                   |                        |                     |                |
 *      |                   '----------- closed, refused, late, against the protocol, a wrong statement -----> PAUSED
 *      '--not wanted-- any;                                     PAUSED --timer--> CONNECTING
 *
 * An answer counts once its statement is the hop's own over exactly what was asked and answered; the last
 * HOP_STATEMENTS of them are kept. The pauses double while nothing gets better, up to HOP_PAUSE_MAX_MS.
 */
#ifndef KITH_NODE_HOP_LINK_H
#define KITH_NODE_HOP_LINK_H

#include "node/hops/hop_wire.h"
#include "node/net/streams.h"

struct hop_link;

struct hop_link_options {
    struct host *host;
    struct peers *peers;
    struct streams *streams;
    struct hash chain;
    struct pubkey node;
    const char *endpoint; /* "" or NULL: as the address book knows it; copied */
    struct hop_open of;
    uint64_t call_ms; /* for tests; 0: HOP_CALL_MS */
};
struct hop_link_calls {
    void (*changed)(void *arg); /* it is ready, or is no more; the latter not beside an answer that says so */
    /* Of hop_link_call, unless the link was told to forget it. ERR_OK: `s` is its statement, borrowed. */
    void (*answer)(void *arg, enum err e, struct bytes answer, const struct hop_statement *s, const char *text);
};
/* Nothing is called within a call of these functions. */
struct hop_link *hop_link_new(const struct hop_link_options *o, const struct hop_link_calls *calls, void *arg);
void hop_link_free(struct hop_link *l);

void hop_link_want(struct hop_link *l, bool wanted);
/* Of a ready one that forgot the call before, this waits until that is over. ERR_STATE: it is not ready. */
enum err hop_link_call(struct hop_link *l, struct bytes call) MUST_USE;
/* Nobody waits for the answer any more. The call counts all the same: the layers have seen it. */
void hop_link_forget(struct hop_link *l);

enum hop_link_state { HOP_REST, HOP_CONNECTING, HOP_LOADING, HOP_IS_READY, HOP_CALLING, HOP_PAUSED };
struct hop_link_info {
    enum hop_link_state state;
    struct hop_ready ready; /* in HOP_IS_READY and HOP_CALLING */
    uint64_t since_ms;      /* the state, on the host's clock */
    uint64_t calls;         /* answered, since it was made */
    uint64_t bytes_out, bytes_in;
    const char *why; /* it was given up last; "" */
};
bool hop_link_is_ready(const struct hop_link *l);
void hop_link_get_info(const struct hop_link *l, struct hop_link_info *out);
/* The i-th newest statement that is kept; NULL behind the last. */
const struct hop_statement *hop_link_statement(const struct hop_link *l, unsigned i);

#endif

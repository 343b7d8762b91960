/* A node that asks, for the tests of what it pays with: its real jobs, account and channels on a real ledger; at the
 * other end of real streams two providers that do as they are told. Transactions wait for a block that the test makes.
 */
#ifndef KITH_TESTS_ASKER_H
#define KITH_TESTS_ASKER_H

#include "node/market/job.h"
#include "node/market/plant.h"
#include "tests/net.h"
#include "tests/world.h"

/* Nodes, and their keys in the world. */
enum { PAYER, CHEAP, DEAR, NODES };
#define KEY(node)  ((node) + 1u)
#define MODEL      9
#define PROMPT     10u      /* tokens, unless a test says otherwise, */
#define PROMPT_MAX 2000u    /* ... up to so many */
#define TOKEN_MOTE 1000000u /* of the cheap one, in and out; the dear one takes twice that */
#define SERVED_MAX 256u     /* jobs that are taken in all */

/* A job as its provider has it. */
struct served {
    struct asker *asker;
    unsigned node;
    uint64_t stream; /* 0: over */
    struct hash job, channel;
    struct buf request, tokens;
    uint32_t prompt_n;
    uint32_t base, paid; /* tokens that others had answered; vouchers that came */
    bool accepted;
};

struct asker {
    struct net net;
    struct world *w;
    struct streams *streams[NODES];
    struct market_services s;
    struct jobs *jobs;
    char *dir;
    struct served served[SERVED_MAX], provider[NODES]; /* the latter: who serves */
    unsigned served_n;
    unsigned opens, topups, closes, challenges; /* transactions that were sent */
    uint64_t made;                              /* jobs */
    uint32_t prompt_n;                          /* of the next ones */
    const struct planting *sown;                /* what providers answer with; NULL: with digests like any */
};

/* A cmocka setup and its teardown: the cheap one offers, nothing is asked yet. */
int asker_begin(void **state);
int asker_end(void **state);
/* The asking process alone, in the order in which a node stops. */
void asker_start(struct asker *s);
void asker_stop(struct asker *s);
void asker_start_provider(struct asker *s, unsigned node);
void asker_stop_provider(struct asker *s, unsigned node);
void asker_offer(struct asker *s, unsigned node);

/* With what was sent; the asking node hears of it, or (alone) does not. */
void asker_block(struct asker *s);
void asker_block_alone(struct asker *s);

/* A job that costs PROMPT + tokens_max at most, in tokens. Its text is nobody's business. */
struct job *asker_ask(struct asker *s, uint32_t tokens_max);
/* With a provider, over an open stream. */
bool asker_runs(const struct job *j);
/* The pause before the next try is over. */
void asker_try_again(struct job *j);

/* As its provider has it; NULL: nobody has. */
struct served *asker_find_served(struct asker *s, const struct job *j);
/* Waits until somebody has. */
struct served *asker_serve(struct asker *s, const struct job *j);
/* A step of the prompt and a receipt over it, as an honest provider says them, but for what is not 0 here. */
struct asker_step {
    uint32_t told; /* instead of `at` */
    uint32_t tokens_out, stop, dearer;
    bool is_untold, has_answer, has_other_digest;
};
void asker_deliver_step(struct served *v, uint32_t at, const struct asker_step *wrong);
/* So many more tokens, and a receipt over all. */
void asker_deliver(struct served *v, uint32_t n, uint8_t stop);
/* The same of a job, and waits until it is paid. */
void asker_pay(struct asker *s, const struct job *j, uint32_t n, uint8_t stop);
/* Until so many transactions wait for a block; until a job is over; until it has no leg to a provider. */
void asker_wait_sent(struct asker *s, uint32_t n);
void asker_wait_over(struct asker *s, const struct job *j);
void asker_wait_alone(struct asker *s, const struct job *j);

#endif

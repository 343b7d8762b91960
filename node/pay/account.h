/* The node's own account on the ledger: its hot key signs what the node does by itself (opening
 * channels, settling, audit reports). Transactions go out one at a time, in order, each when the one
 * before is in a block; one that is not seen in a block is offered again, the same bytes, so it counts
 * once. What waits here is lost with the process: whoever asked looks at the ledger after a restart, or, where a second
 * one would cost, keeps the bytes and goes on with those.
 */
#ifndef KITH_NODE_ACCOUNT_H
#define KITH_NODE_ACCOUNT_H

#include "chain/ledger.h"
#include "node/host/host.h"

struct account;

/* Offers a transaction to the pool and the network. */
typedef enum err (*account_submit_fn)(void *arg, struct bytes tx, struct note *note);
/* e: ERR_OK when it is in a block and had its effect; otherwise why not. Never within account_send. ERR_STATE of a
 * top-up may mean that it had its effect, and that a snapshot took the word of it: the channel says what it holds. */
typedef void (*account_done_fn)(void *arg, enum err e, const struct hash *id, const struct note *note);

struct account *account_new(struct host *host, struct ledger *ledger, const struct seckey *key,
                            account_submit_fn submit, void *arg);
/* No callback comes any more. */
void account_free(struct account *a);
struct pubkey account_key(const struct account *a);
struct amount account_balance(const struct account *a);
void account_send(struct account *a, enum tx_kind kind, struct bytes body, account_done_fn done, void *arg);
/* `keep` has the signed bytes on the disk before they leave, each time anew where they had to be made again; its error
 * is told to `done`, and nothing leaves. */
typedef enum err (*account_keep_fn)(void *arg, struct bytes tx);
void account_send_kept(struct account *a, enum tx_kind kind, struct bytes body, account_keep_fn keep,
                       account_done_fn done, void *arg);
/* Goes on with bytes that were kept. ERR_STATE: the ledger has another transaction in their place, or no memory of it
 * any more; ERR_FORMAT: they are none of this account's. `done` is not called then. */
enum err account_resume(struct account *a, struct bytes tx, account_keep_fn keep, account_done_fn done,
                        void *arg) MUST_USE;
/* A block was committed. */
void account_step(struct account *a);

#endif

/* The address book: who can be dialled where, bounded, and hard to fill with one liar's addresses.
 *
 * Addresses that others told lie in the `new` half, in buckets chosen by a keyed hash of (network of who told, network
 * of the host; endpoint_group): keys cost nothing, so a network reaches only a few buckets, with however many keys. One
 * that was connected to moves to the `tried` half, bucket by network group, and is not pushed out by any new one. A
 * full bucket gives up the entry that failed most, the oldest of these.
 */
#ifndef KITH_P2P_BOOK_H
#define KITH_P2P_BOOK_H

#include "p2p/endpoint.h"
#include "p2p/msg.h"
#include "p2p/way.h"

struct book;

/* `key` is random and secret. */
struct book *book_new(const uint8_t key[32]);
void book_free(struct book *b);
unsigned book_count(const struct book *b);

/* Told by somebody at `teller`; what has no host or port, or is known, is ignored, and so is what only a private
 * network reaches, told by one who is outside: nobody there can know it, and might want it dialled. */
void book_add(struct book *b, const struct endpoint *teller, const struct addr *a);
/* A connection to it stood. */
void book_good(struct book *b, const struct addr *a, uint64_t wall_ms);
/* It could not be reached; forgotten after some failures if it is only hearsay. */
void book_bad(struct book *b, const struct pubkey *key);
bool book_find(const struct book *b, const struct pubkey *key, struct addr *out) MUST_USE;

/* Some entry, tried and new ones alike by turns, chosen by the random number; false if there is none. */
bool book_pick(const struct book *b, uint64_t random, struct addr *out) MUST_USE;
/* Up to `max` different ones in an order that the random number shuffles; tried first. */
unsigned book_sample(const struct book *b, uint64_t random, struct addr *out, unsigned max);

/* For the file that keeps it. Reading takes its key, if the book is empty, adds what is well formed and returns false
 * at the first that is not. */
void book_put(const struct book *b, struct buf *out);
bool book_get(struct book *b, struct bytes in) MUST_USE;

#endif

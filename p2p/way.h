/* How a node is dialled: directly, or through others that keep a connection to it.
 *
 *     HOST:PORT                              directly
 *     RELAY@HOST:PORT[,RELAY@HOST:PORT]      through the node RELAY (64 hexadecimal digits), which is dialled at
 * HOST:PORT
 *
 * It is what stands as the endpoint in HELLO, ADDRS, offers and the ledger's providers. Each way through relays has one
 * text: what parses prints as it was. */
#ifndef KITH_P2P_WAY_H
#define KITH_P2P_WAY_H

#include "p2p/endpoint.h"

#define WAY_RELAYS_MAX 2 /* of IPv4 always both have room in a text255 */

struct way {
    unsigned relays; /* 0: directly, at at[0] */
    struct pubkey relay[WAY_RELAYS_MAX];
    struct endpoint at[WAY_RELAYS_MAX];
};

/* With a host and a port to dial. The note names the text and what is wrong with it. */
enum err way_parse(const char *text, struct way *out, struct note *note) MUST_USE;
/* Those relays that have room, in their order; returns how many that are, or 0 for a direct one. */
unsigned way_print(const struct way *w, char text[ENDPOINT_TEXT_ROOM]);
/* Its `i`th relay alone. */
struct way way_only(const struct way *w, unsigned i);
/* Is a text that parses one through relays? */
bool way_is_relayed(const char *text);
/* "PUBKEY@WAY" */
enum err way_parse_peer(const char *text, struct pubkey *key, struct way *out, struct note *note) MUST_USE;

#endif

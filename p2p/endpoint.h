/* Where a node is: "HOST:PORT" (an IPv6 host in brackets). How it is dialled, and who it is: p2p/way.h. */
#ifndef KITH_P2P_ENDPOINT_H
#define KITH_P2P_ENDPOINT_H

#include "base/key.h"

#define ENDPOINT_TEXT_ROOM 256

struct endpoint {
    char host[ENDPOINT_TEXT_ROOM]; /* without brackets; "" in ":PORT" */
    uint16_t port;
};

/* The note names the text and what is wrong with it. The host is in its one spelling: Example.org. is example.org,
 * 127.1 and ::ffff:127.0.0.1 are 127.0.0.1. */
enum err endpoint_parse(const char *text, struct endpoint *out, struct note *note) MUST_USE;
/* Cut off if the host is too long for it, which endpoint_parse does not let happen. */
void endpoint_print(const struct endpoint *e, char text[ENDPOINT_TEXT_ROOM]);

/* The part of a host that costs money to have many of: the first two numbers of an IPv4 address, the first two groups
 * of an IPv6 address, the last two labels of a name. Borrowed from `e`. */
struct bytes endpoint_group(const struct endpoint *e);
/* Not a name. */
bool endpoint_is_address(const struct endpoint *e);
/* Only this machine or its own network reaches it (RFC 1122, 1918, 3927, 4193, 4291, 6598). */
bool endpoint_is_private(const struct endpoint *e);

#endif

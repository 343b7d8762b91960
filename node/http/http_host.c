/* What the Host header may say. A page of another site can have its name point to this machine (DNS rebinding), and its
 * requests then say that name: so names are ours only where we know of them. An address is nobody's to rebind. */
#include "node/http/http_in.h"

#include <string.h>
#include <strings.h>

#define NAME_ROOM 256

/* Without the port. What is neither of these nor followed by a port is no name, however it begins. */
static bool name_of(const char *host, char name[NAME_ROOM])
{
    if (!host)
        return false;
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (n == 0 || n >= NAME_ROOM || n > strlen(host))
        return false;
    const char *port = host + n + 1;
    if (host[n] && (host[n] != ':' || strspn(port, "0123456789") != strlen(port)))
        return false;
    memcpy(name, host, n);
    name[n] = 0;
    return true;
}

bool http_host_is_loopback(const char *host)
{
    char name[NAME_ROOM];
    return name_of(host, name) &&
           (strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 || strcmp(name, "[::1]") == 0);
}

bool http_host_is_ours(const struct http *h, int fd, const char *host)
{
    char name[NAME_ROOM], address[NAME_ROOM];
    if (!name_of(host, name))
        return false;
    if (http_host_is_loopback(host) || (http_own_address(fd, address, sizeof address) && strcmp(name, address) == 0))
        return true;
    for (unsigned i = 0; i < h->names_n; i++)
        if (strcasecmp(name, h->name[i]) == 0)
            return true;
    return false;
}

/* Endpoints, both ways. */
#include "p2p/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX (ENDPOINT_TEXT_ROOM - 9) /* with brackets and a port it has room */

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;
    size_t n = 0;
    for (; text[n] >= '0' && text[n] <= '9' && n < 6; n++)
        value = value * 10 + (unsigned)(text[n] - '0');
    *port = (uint16_t)value;
    return n > 0 && text[n] == 0 && value <= UINT16_MAX;
}

/* What a host name or an address is made of; no brackets, no control characters, no second '@'. */
static bool host_is_clean(const char *host, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = host[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
                  c == '_' || c == ':' || c == '%';
        if (!ok)
            return false;
    }
    return true;
}

/* -- one spelling -- */

/* Both of an address within IPv6: one of IPv4 comes so to a socket that listens for both. False: it is none. */
static bool read_six(const struct endpoint *e, struct in6_addr *six)
{
    char text[INET6_ADDRSTRLEN];
    size_t n = strcspn(e->host, "%");
    if (n >= sizeof text || !strchr(e->host, ':'))
        return false;
    memcpy(text, e->host, n);
    text[n] = 0;
    return inet_pton(AF_INET6, text, six) == 1;
}

static void settle_six(struct endpoint *e)
{
    struct in6_addr six;
    char text[INET6_ADDRSTRLEN], again[2 * ENDPOINT_TEXT_ROOM];
    if (!read_six(e, &six))
        return;
    if (IN6_IS_ADDR_V4MAPPED(&six))
        inet_ntop(AF_INET, six.s6_addr + 12, again, sizeof again);
    else
        snprintf(again, sizeof again, "%s%s", inet_ntop(AF_INET6, &six, text, sizeof text),
                 e->host + strcspn(e->host, "%"));
    if (strlen(again) <= HOST_MAX)
        memcpy(e->host, again, strlen(again) + 1);
}

/* A host has one text, or one network could be called by as many as there are ways to write it: names in small letters
 * and without a dot behind, addresses as inet_ntop has them, whichever of inet_aton's numbers they were said in. */
static void settle(struct endpoint *e)
{
    struct in_addr four;
    size_t n = strlen(e->host);
    while (n > 1 && e->host[n - 1] == '.')
        e->host[--n] = 0;
    if (strchr(e->host, ':')) {
        settle_six(e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (e->host[i] >= 'A' && e->host[i] <= 'Z')
            e->host[i] = (char)(e->host[i] - 'A' + 'a');
    if (n > 0 && inet_aton(e->host, &four))
        inet_ntop(AF_INET, &four, e->host, sizeof e->host);
}

enum err endpoint_parse(const char *text, struct endpoint *out, struct note *note)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    *out = (struct endpoint){{0}, 0};
    if (!colon || !parse_port(colon + 1, &out->port))
        return note_set(note, ERR_FORMAT, "%.200s is no HOST:PORT with a port from 0 to 65535", text);
    size_t n = (size_t)(colon - text);
    bool bracket = n >= 2 && host[0] == '[' && host[n - 1] == ']';
    if (bracket) {
        host++;
        n -= 2;
    }
    if (n > HOST_MAX || !host_is_clean(host, n) || (!bracket && memchr(host, ':', n)))
        return note_set(note, ERR_FORMAT, "%.200s is no HOST:PORT: write an IPv6 address in [brackets]", text);
    memcpy(out->host, host, n);
    settle(out);
    return ERR_OK;
}

void endpoint_print(const struct endpoint *e, char text[ENDPOINT_TEXT_ROOM])
{
    bool bracket = strchr(e->host, ':') != NULL;
    snprintf(text, ENDPOINT_TEXT_ROOM, "%s%.247s%s:%u", bracket ? "[" : "", e->host, bracket ? "]" : "", e->port);
}

struct bytes endpoint_group(const struct endpoint *e)
{
    size_t n = strlen(e->host), dots = 0;
    bool digits = strspn(e->host, "0123456789.") == n;
    char mark = strchr(e->host, ':') ? ':' : '.';
    if (digits || mark == ':') {
        for (size_t i = 0; i < n; i++)
            if (e->host[i] == mark && ++dots == 2)
                return bytes_of(e->host, i);
    } else {
        for (size_t i = n; i > 0; i--)
            if (e->host[i - 1] == '.' && ++dots == 2)
                return bytes_of(e->host + i, n - i);
    }
    return bytes_of(e->host, n);
}

bool endpoint_is_address(const struct endpoint *e)
{
    struct in6_addr six;
    struct in_addr four;
    return read_six(e, &six) || inet_pton(AF_INET, e->host, &four) == 1;
}

static bool is_private_four(const uint8_t b[4])
{
    return b[0] == 0 || b[0] == 10 || b[0] == 127 || (b[0] == 172 && b[1] >= 16 && b[1] < 32) ||
           (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254) || (b[0] == 100 && b[1] >= 64 && b[1] < 128);
}

bool endpoint_is_private(const struct endpoint *e)
{
    static const char name[] = "localhost";
    struct in6_addr six;
    struct in_addr four;
    size_t n = strlen(e->host), behind = sizeof name - 1;
    if (inet_aton(e->host, &four))
        return is_private_four((const uint8_t *)&four);
    if (read_six(e, &six))
        return IN6_IS_ADDR_V4MAPPED(&six) ? is_private_four(six.s6_addr + 12)
                                          : IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
                                                IN6_IS_ADDR_LINKLOCAL(&six) || (six.s6_addr[0] & 0xfe) == 0xfc;
    return n >= behind && strcmp(e->host + n - behind, name) == 0 && (n == behind || e->host[n - behind - 1] == '.');
}

/* Endpoints, both ways. */
#include "p2p/endpoint.h"

#include <stdio.h>
#include <string.h>

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
    if (n > sizeof out->host - 9 || !host_is_clean(host, n) || (!bracket && memchr(host, ':', n)))
        return note_set(note, ERR_FORMAT, "%.200s is no HOST:PORT: write an IPv6 address in [brackets]", text);
    memcpy(out->host, host, n);
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

bool endpoint_is_private(const struct endpoint *e)
{
    unsigned a, b;
    if (sscanf(e->host, "%u.%u.", &a, &b) == 2)
        return a == 0 || a == 10 || a == 127 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) ||
               (a == 169 && b == 254) || (a == 100 && b >= 64 && b < 128);
    if (!strchr(e->host, ':'))
        return strcmp(e->host, "localhost") == 0;
    return strcmp(e->host, "::1") == 0 || strncmp(e->host, "fe80:", 5) == 0 || strncmp(e->host, "fc", 2) == 0 ||
           strncmp(e->host, "fd", 2) == 0;
}

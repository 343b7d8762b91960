/* Endpoints and addresses, both ways. */
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

enum err endpoint_parse_peer(const char *text, struct pubkey *key, struct endpoint *endpoint, struct note *note)
{
    char hex[2 * sizeof key->b + 1] = {0};
    const char *at = strchr(text, '@');
    if (!at || at - text != (ptrdiff_t)sizeof hex - 1)
        return note_set(note, ERR_FORMAT, "%.200s is no PUBKEY@HOST:PORT with a key of 64 hexadecimal digits", text);
    memcpy(hex, text, sizeof hex - 1);
    if (!hex_get(hex, key->b, sizeof key->b) || !key_public_is_valid(key))
        return note_set(note, ERR_FORMAT, "%s is no public key", hex);
    enum err e = endpoint_parse(at + 1, endpoint, note);
    if (e == ERR_OK && (endpoint->port == 0 || endpoint->host[0] == 0))
        return note_set(note, ERR_FORMAT, "%.200s names no host or no port to dial", at + 1);
    return e;
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

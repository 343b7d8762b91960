/* Ways to a node, both ways. */
#include "p2p/way.h"

#include <stdio.h>
#include <string.h>

#define KEY_DIGITS 64

static enum err parse_direct(const char *text, struct endpoint *out, struct note *note)
{
    enum err e = endpoint_parse(text, out, note);
    if (e == ERR_OK && (out->port == 0 || out->host[0] == 0))
        return note_set(note, ERR_FORMAT, "%.200s names no host or no port to dial", text);
    return e;
}

/* The key in front of the first '@'. */
static enum err parse_key(const char *text, struct pubkey *key, struct note *note)
{
    char hex[KEY_DIGITS + 1] = {0};
    const char *at = strchr(text, '@');
    if (!at || at - text != KEY_DIGITS)
        return note_set(note, ERR_FORMAT, "%.200s is no PUBKEY@HOST:PORT with a key of 64 hexadecimal digits", text);
    memcpy(hex, text, KEY_DIGITS);
    if (!hex_get(hex, key->b, sizeof key->b) || !key_public_is_valid(key))
        return note_set(note, ERR_FORMAT, "%s is no public key", hex);
    return ERR_OK;
}

static enum err parse_relay(const char *text, size_t n, struct way *out, struct note *note)
{
    char one[ENDPOINT_TEXT_ROOM];
    unsigned i = out->relays;
    if (i == WAY_RELAYS_MAX || n >= sizeof one)
        return note_set(note, ERR_FORMAT, "%.200s names more than %u relays", text, WAY_RELAYS_MAX);
    memcpy(one, text, n);
    one[n] = 0;
    enum err e = parse_key(one, &out->relay[i], note);
    if (e == ERR_OK)
        e = parse_direct(one + KEY_DIGITS + 1, &out->at[i], note);
    if (e == ERR_OK && i > 0 && pubkey_equal(&out->relay[0], &out->relay[i]))
        return note_set(note, ERR_FORMAT, "%.64s stands twice as a relay", one);
    out->relays++;
    return e;
}

bool way_is_relayed(const char *text)
{
    return strchr(text, '@') != NULL;
}

enum err way_parse(const char *text, struct way *out, struct note *note)
{
    char again[ENDPOINT_TEXT_ROOM];
    *out = (struct way){0};
    if (!way_is_relayed(text))
        return parse_direct(text, &out->at[0], note);
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        enum err e = parse_relay(p, n, out, note);
        if (e != ERR_OK)
            return e;
        p += n;
        if (*p == 0)
            break;
    }
    if (way_print(out, again) != out->relays || strcmp(again, text) != 0)
        return note_set(note, ERR_FORMAT, "%.200s is not how a way through relays is written: %.100s", text, again);
    return ERR_OK;
}

unsigned way_print(const struct way *w, char text[ENDPOINT_TEXT_ROOM])
{
    size_t n = 0;
    unsigned i;
    if (w->relays == 0)
        endpoint_print(&w->at[0], text);
    else
        text[0] = 0;
    for (i = 0; i < w->relays; i++) {
        char at[ENDPOINT_TEXT_ROOM], hex[KEY_DIGITS + 1];
        endpoint_print(&w->at[i], at);
        hex_put(hex, w->relay[i].b, sizeof w->relay[i].b);
        if (n + (i > 0) + KEY_DIGITS + 1 + strlen(at) >= ENDPOINT_TEXT_ROOM)
            break;
        n += (size_t)snprintf(text + n, ENDPOINT_TEXT_ROOM - n, "%s%s@%.190s", i ? "," : "", hex, at);
    }
    return i;
}

struct way way_only(const struct way *w, unsigned i)
{
    return (struct way){.relays = w->relays > 0, .relay = {w->relay[i]}, .at = {w->at[i]}};
}

enum err way_parse_peer(const char *text, struct pubkey *key, struct way *out, struct note *note)
{
    enum err e = parse_key(text, key, note);
    return e == ERR_OK ? way_parse(text + KEY_DIGITS + 1, out, note) : e;
}

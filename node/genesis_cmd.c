/* Making a genesis file from the command line. */
#include "node/genesis_cmd.h"

#include "base/mem.h"
#include "chain/genesis.h"
#include "wallet/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct holders {
    struct genesis_holder *at;
    size_t n;
};

struct ask {
    const char *out, *chain;
    struct holders validators, accounts;
    uint64_t time_ms;
    bool is_lasting;
};

static enum err holder_add(struct holders *h, const char *text, struct note *note)
{
    char key[ADDRESS_TEXT_ROOM];
    struct genesis_holder new = {{{0}}, {0}};
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n == 0 || n >= sizeof key)
        return note_set(note, ERR_USAGE, "%.100s: KEY:AMOUNT is needed", text);
    memcpy(key, text, n);
    key[n] = 0;
    enum err e = ERR_OK;
    if (n != 64 || !hex_get(key, new.key.b, sizeof new.key.b))
        e = address_get(key, NULL, &new.key, note);
    if (e == ERR_OK)
        e = amount_parse(colon + 1, &new.amount, note);
    if (e != ERR_OK)
        return ERR_USAGE;
    h->at = mem_resize(h->at, h->n + 1, sizeof *h->at);
    h->at[h->n++] = new;
    return ERR_OK;
}

static enum err word_take(struct ask *a, const char *name, const char *value, struct note *note)
{
    char *end;
    if (strcmp(name, "--out") == 0)
        a->out = value;
    else if (strcmp(name, "--chain") == 0)
        a->chain = value;
    else if (strcmp(name, "--validator") == 0)
        return holder_add(&a->validators, value, note);
    else if (strcmp(name, "--account") == 0)
        return holder_add(&a->accounts, value, note);
    else if (strcmp(name, "--time") == 0) {
        errno = 0;
        a->time_ms = strtoull(value, &end, 10);
        if (*value < '0' || *value > '9' || *end || errno)
            return note_set(note, ERR_USAGE, "--time %.40s: milliseconds since 1970 are needed", value);
    } else
        return note_set(note, ERR_USAGE, "%.60s is no option of kithd genesis", name);
    return ERR_OK;
}

static enum err words_take(struct ask *a, int n, char **words, struct note *note)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(words[i], "--lasting") == 0) {
            a->is_lasting = true;
            continue;
        }
        if (i + 1 == n)
            return note_set(note, ERR_USAGE, "%.60s needs a value", words[i]);
        enum err e = word_take(a, words[i], words[i + 1], note);
        if (e != ERR_OK)
            return e;
        i++;
    }
    if (!a->out || !a->chain || a->validators.n == 0)
        return note_set(note, ERR_USAGE, "kithd genesis needs --out FILE, --chain NAME and a --validator KEY:STAKE");
    return ERR_OK;
}

static enum err write_it(const struct ask *a, struct note *note)
{
    struct buf accounts = {0}, validators = {0};
    struct genesis g = {.version = GENESIS_VERSION,
                        .time_ms = a->time_ms,
                        .params = a->is_lasting ? params_default() : params_private()};
    enum err e = ERR_OK;
    if (!text64_set(&g.name, a->chain) ||
        !text64_set(&g.prefix, a->is_lasting ? ADDRESS_PREFIX : ADDRESS_PREFIX_PRIVATE))
        e = note_set(note, ERR_USAGE, "--chain %.80s: a name of at most 64 clean characters is needed", a->chain);
    if (e == ERR_OK)
        e = genesis_list(a->accounts.at, a->accounts.n, &accounts, note);
    if (e == ERR_OK)
        e = genesis_list(a->validators.at, a->validators.n, &validators, note);
    g.accounts = bytes_of_buf(&accounts);
    g.validators = bytes_of_buf(&validators);
    if (e == ERR_OK)
        e = genesis_check(&g, note);
    if (e == ERR_OK)
        e = genesis_write(a->out, &g, note);
    if (e == ERR_OK) {
        char hex[65];
        struct hash id = genesis_chain_id(&g);
        hex_put(hex, id.b, sizeof id.b);
        printf("%s\n", hex);
    }
    buf_clear(&accounts);
    buf_clear(&validators);
    return e;
}

enum err genesis_cmd(int words_n, char **words, struct note *note)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct ask a = {.time_ms = (uint64_t)now.tv_sec * 1000};
    enum err e = words_take(&a, words_n, words, note);
    if (e == ERR_OK)
        e = write_it(&a, note);
    free(a.validators.at);
    free(a.accounts.at);
    return e;
}

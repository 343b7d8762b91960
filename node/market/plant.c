/* What is planted: plant.h. */
#include "node/market/plant.h"

#include "base/file.h"
#include "base/secret.h"

#include <string.h>

#define FILE_MAX 16384

static enum err take_line(struct planting *p, char *line, bool *has_key, struct note *note)
{
    char *word = line + strspn(line, " \t"), *value = word + strcspn(word, " \t");
    bool fits = false;
    if (*word == 0 || *word == '#')
        return ERR_OK;
    if (*value)
        *value++ = 0;
    value += strspn(value, " \t");
    value[strcspn(value, " \t\r")] = 0;
    if (strcmp(word, "key") == 0 && !*has_key)
        fits = *has_key = hex_get(value, p->key, sizeof p->key);
    else if (strcmp(word, "payer") == 0 && p->payers < PLANT_PAYERS_MAX)
        fits = hex_get(value, p->payer[p->payers].b, sizeof p->payer->b) && key_public_is_valid(&p->payer[p->payers]) &&
               ++p->payers;
    return fits ? ERR_OK
                : note_set(note, ERR_FORMAT,
                           "plant: \"%.20s\": a line is `key` or `payer`, with 64 hexadecimal digits; one key, at most "
                           "%u payers",
                           word, PLANT_PAYERS_MAX);
}

enum err planting_read(const char *path, struct planting *out, struct note *note)
{
    struct buf text = {0};
    bool has_key = false;
    char *rest = NULL;
    *out = (struct planting){0};
    enum err e = file_read(path, FILE_MAX, &text, note);
    char *content = e == ERR_OK ? (char *)(uintptr_t)buf_text(&text) : NULL;
    for (char *line = content ? strtok_r(content, "\n", &rest) : NULL; line && e == ERR_OK;
         line = strtok_r(NULL, "\n", &rest))
        e = take_line(out, line, &has_key, note);
    if (e == ERR_OK && !has_key)
        e = note_set(note, ERR_FORMAT, "plant: %s has no line `key HEX`: both nodes need the same one", path);
    secret_wipe(text.p, text.n);
    buf_clear(&text);
    return e;
}

bool planting_for(const struct planting *p, const struct pubkey *payer)
{
    for (unsigned i = 0; p && i < p->payers; i++)
        if (pubkey_equal(&p->payer[i], payer))
            return true;
    return false;
}

static struct hash derive(const struct planting *p, const struct hash *job, uint8_t which)
{
    uint8_t message[HASH_SIZE + 1];
    memcpy(message, job->b, HASH_SIZE);
    message[HASH_SIZE] = which;
    return hash_keyed(HASH_PLANT, p->key, message, sizeof message);
}

struct hash planting_secret(const struct planting *p, const struct hash *job)
{
    return derive(p, job, 0);
}

struct hash planting_salt(const struct planting *p, const struct hash *job)
{
    return derive(p, job, 1);
}

bool planting_made(const struct planting *p, const struct receipt *r)
{
    struct hash secret = planting_secret(p, &r->job), salt = planting_salt(p, &r->job), digest = plant_digest(&secret);
    struct hash commit = receipt_commit(salt.b, bytes_of(digest.b, sizeof digest.b));
    return hash_equal(&commit, &r->digest_commit);
}

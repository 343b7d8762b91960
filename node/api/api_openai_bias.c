/* `logit_bias`: what is to be added to the logits of some tokens, sorted as the request has it. */
#include "node/api/api_openai.h"

#include "base/mem.h"
#include "inference/request.h"

#include <stdlib.h>
#include <string.h>

static int by_token(const void *a, const void *b)
{
    uint32_t x = ((const struct request_bias *)a)->token, y = ((const struct request_bias *)b)->token;
    return (x > y) - (x < y);
}

/* Decimal digits without zeros in front, so that no token has two names. */
static bool read_token(const char *text, uint32_t *out)
{
    size_t n = strspn(text, "0123456789");
    unsigned long v = strtoul(text, NULL, 10);
    if (n == 0 || text[n] || n > 9 || (n > 1 && *text == '0') || v >= VOCAB_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static enum err read_one(const char *key, const json_t *value, struct request_bias *out, struct note *note)
{
    double x = json_number_value(value);
    if (!read_token(key, &out->token))
        return note_set(note, ERR_FORMAT, "logit_bias has a member %.40s that is no token: its number is needed", key);
    if (!json_is_number(value) || !(x >= -100 && x <= 100))
        return note_set(note, ERR_RANGE, "logit_bias of token %u must be a number from -100 to 100", out->token);
    out->add = (float)x;
    return ERR_OK;
}

enum err openai_read_biases(json_t *object, struct buf *out, struct note *note)
{
    const char *key;
    json_t *value;
    size_t n = 0;
    enum err e = ERR_OK;
    if (!json_is_given(object))
        return ERR_OK;
    if (!json_is_object(object))
        return note_set(note, ERR_FORMAT, "logit_bias must be an object: token numbers, and what to add to each");
    if (json_object_size(object) > BIASES_MAX)
        return note_set(note, ERR_RANGE, "logit_bias has %zu tokens: at most %d are allowed", json_object_size(object),
                        BIASES_MAX);
    struct request_bias *all = mem_array(json_object_size(object) + 1, sizeof *all);
    json_object_foreach(object, key, value)
    {
        if (e == ERR_OK)
            e = read_one(key, value, &all[n], note);
        n += all[n].add != 0;
    }
    qsort(all, n, sizeof *all, by_token);
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        request_bias_put(out, all[i]);
    free(all);
    return e;
}

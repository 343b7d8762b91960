/* Strict JSON over jansson. */
#include "base/json.h"

#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

/* jansson bounds its own depth at 2048 when built by Debian; ours is smaller, counted before it runs. */
static bool depth_is_bounded(struct bytes text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"')
            in_string = true;
        else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if ((c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return true;
}

json_t *json_parse(struct bytes text, struct note *note)
{
    json_error_t error;
    if (text.n > JSON_BYTES_MAX) {
        note_set(note, ERR_LIMIT, "JSON of %zu bytes: at most %u are read", text.n, JSON_BYTES_MAX);
        return NULL;
    }
    if (text.n && memchr(text.p, 0, text.n)) {
        note_set(note, ERR_FORMAT, "JSON with a raw NUL byte");
        return NULL;
    }
    if (!depth_is_bounded(text)) {
        note_set(note, ERR_LIMIT, "JSON nested deeper than %d", JSON_DEPTH_MAX);
        return NULL;
    }
    json_t *value = json_loadb(text.n ? (const char *)text.p : "", text.n,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value) {
        enum json_error_code code = json_error_code(&error);
        bool is_json = code == json_error_numeric_overflow || code == json_error_duplicate_key;
        note_set(note, ERR_FORMAT, "%s: line %d column %d: %s", is_json ? "JSON that is not taken" : "not JSON",
                 error.line, error.column, error.text);
    }
    return value;
}

static int add_piece(const char *p, size_t n, void *out)
{
    buf_add(out, p, n);
    return 0;
}

void json_print(struct buf *out, const json_t *value)
{
    CHECK(json_dump_callback(value, add_piece, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) == 0);
}

void json_print_short(struct buf *out, const json_t *value)
{
    bool same = false;
    for (size_t digits = 15; digits <= 17 && !same; digits++) {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *again = text ? json_parse(bytes_of_text(text), NULL) : NULL;
        same = json_equal(value, again);
        if (same)
            buf_add_text(out, text);
        json_decref(again);
        free(text);
    }
    if (!same)
        json_print(out, value);
}

const char *json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

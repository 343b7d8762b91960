#include "wallet/labels.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void labels_clear(struct labels *l)
{
    free(l->at);
    buf_clear(&l->others);
    *l = (struct labels){0};
}

static struct label *find(const struct labels *l, enum label_type type, const uint8_t id[32])
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->at[i].type == type && memcmp(l->at[i].id, id, 32) == 0)
            return &l->at[i];
    return NULL;
}

const struct label *labels_find(const struct labels *l, enum label_type type, const uint8_t id[32])
{
    return find(l, type, id);
}

const struct label *labels_find_text(const struct labels *l, const char *text)
{
    const struct label *found = NULL;
    for (unsigned i = 0; i < l->n; i++) {
        if (l->at[i].type != LABEL_ADDR || strcmp(l->at[i].text.s, text) != 0)
            continue;
        if (found)
            return NULL;
        found = &l->at[i];
    }
    return found;
}

static struct label *grow(struct labels *l)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 16;
        l->at = mem_resize(l->at, l->room, sizeof *l->at);
    }
    return &l->at[l->n++];
}

static enum err set(struct labels *l, enum label_type type, const uint8_t id[32], const struct text255 *text,
                    bool watch, struct note *note)
{
    struct label *at = find(l, type, id);
    if (!at && l->n == WALLET_LABELS_MAX)
        return note_set(note, ERR_LIMIT, "there are %u labels already: more are not kept", WALLET_LABELS_MAX);
    if (!at)
        at = grow(l);
    *at = (struct label){.type = type, .text = *text, .watch = watch};
    memcpy(at->id, id, sizeof at->id);
    return ERR_OK;
}

static void remove_label(struct labels *l, const struct label *at)
{
    if (!at)
        return;
    size_t i = (size_t)(at - l->at);
    memmove(&l->at[i], &l->at[i + 1], (l->n - i - 1) * sizeof *l->at);
    l->n--;
}

enum err labels_set(struct labels *l, enum label_type type, const uint8_t id[32], const char *text, bool watch,
                    struct note *note)
{
    struct text255 t;
    if (!*text) {
        remove_label(l, find(l, type, id));
        return ERR_OK;
    }
    if (!text255_set(&t, text))
        return note_set(note, ERR_FORMAT, "\"%.40s\": a label is up to 255 bytes of plain text on one line", text);
    for (unsigned i = 0; type == LABEL_ADDR && i < l->n; i++)
        if (l->at[i].type == LABEL_ADDR && strcmp(l->at[i].text.s, text) == 0 && memcmp(l->at[i].id, id, 32) != 0)
            return note_set(note, ERR_EXISTS, "another address is called \"%.80s\" already", text);
    return set(l, type, id, &t, watch, note);
}

/* -- the file -- */

static enum err get_ref(struct labels *l, const char *ref, enum label_type type, uint8_t id[32], struct note *note)
{
    struct pubkey key;
    if (type == LABEL_TX)
        return strlen(ref) == 64 && hex_get(ref, id, 32)
                   ? ERR_OK
                   : note_set(note, ERR_FORMAT, "\"%.70s\" is no transaction's id", ref);
    enum err e = address_get(ref, NULL, &key, note);
    if (e != ERR_OK)
        return e;
    memcpy(id, key.b, sizeof key.b);
    if (!l->prefix[0]) /* address_get knows both networks' */
        snprintf(l->prefix, sizeof l->prefix, "%.*s", (int)strcspn(ref, "1"), ref);
    return ERR_OK;
}

static void put_check(struct buf *out)
{
    char hex[2 * HASH_SIZE + 1];
    struct hash sum = hash_once(HASH_FILE, out->p, out->n);
    hex_put(hex, sum.b, HASH_SIZE);
    buf_add_format(out, "{\"type\":\"checksum\",\"ref\":\"%s\"}\n", hex);
}

static enum err check(struct bytes before, const char *ref, struct note *note)
{
    struct hash sum = hash_once(HASH_FILE, before.p, before.n), said;
    return hex_get(ref, said.b, HASH_SIZE) && hash_equal(&sum, &said)
               ? ERR_OK
               : note_set(
                     note, ERR_CORRUPT,
                     "the lines in front were changed after kith wrote them: restore the file, or remove this line "
                     "if it was you");
}

/* `before`: all lines in front of it. */
static enum err get_line(struct bytes line, struct bytes before, struct labels *l, struct note *note)
{
    uint8_t id[32];
    struct text255 text;
    json_t *v = json_parse(line, note);
    if (!v)
        return ERR_FORMAT;
    const char *type = json_text(v, "type"), *ref = json_text(v, "ref"), *label = json_text(v, "label");
    bool is_tx = type && strcmp(type, "tx") == 0, is_addr = type && strcmp(type, "addr") == 0;
    enum err e = ERR_OK;
    if (!type || !ref)
        e = note_set(note, ERR_FORMAT, "\"type\" or \"ref\" is missing");
    else if (strcmp(type, "checksum") == 0)
        e = check(before, ref, note);
    else if (!is_tx && !is_addr) {
        buf_add(&l->others, line.p, line.n);
        buf_add_text(&l->others, "\n");
    } else if (!label || !*label || !text255_set(&text, label))
        e = note_set(note, ERR_FORMAT, "\"label\" is up to 255 bytes of plain text");
    else if ((e = get_ref(l, ref, is_tx ? LABEL_TX : LABEL_ADDR, id, note)) == ERR_OK)
        e = set(l, is_tx ? LABEL_TX : LABEL_ADDR, id, &text, is_addr && json_is_true(json_object_get(v, "watch")),
                note);
    json_decref(v);
    return e;
}

enum err labels_get(struct bytes file, struct labels *l, struct note *note)
{
    unsigned number = 0;
    *l = (struct labels){0};
    for (size_t at = 0; at < file.n;) {
        struct note why = {{0}};
        const uint8_t *end = memchr(file.p + at, '\n', file.n - at);
        size_t n = end ? (size_t)(end - file.p) - at : file.n - at;
        number++;
        enum err e = n ? get_line(bytes_of(file.p + at, n), bytes_of(file.p, at), l, &why) : ERR_OK;
        if (e != ERR_OK) {
            labels_clear(l);
            return note_set(note, e, "line %u: %.200s", number, why.text);
        }
        at += n + 1;
    }
    return ERR_OK;
}

static void put_label(struct buf *out, const struct label *l, const char *prefix)
{
    char ref[ADDRESS_TEXT_ROOM > 65 ? ADDRESS_TEXT_ROOM : 65];
    struct pubkey key;
    memcpy(key.b, l->id, sizeof key.b);
    if (l->type == LABEL_TX)
        hex_put(ref, l->id, sizeof l->id);
    else
        address_put(prefix, &key, ref);
    buf_add_format(out, "{\"type\":\"%s\",\"ref\":\"%s\",\"label\":", l->type == LABEL_TX ? "tx" : "addr", ref);
    codec_json_string(out, l->text.s, l->text.n);
    buf_add_text(out, l->watch ? ",\"watch\":true}\n" : "}\n");
}

void labels_put(struct buf *out, const struct labels *l)
{
    const char *prefix = l->prefix[0] ? l->prefix : ADDRESS_PREFIX_MAIN;
    for (unsigned i = 0; i < l->n; i++)
        put_label(out, &l->at[i], prefix);
    buf_add(out, l->others.p, l->others.n);
}

enum err labels_read(const char *path, struct labels *l, struct note *note)
{
    struct buf file = {0};
    struct note why = {{0}};
    *l = (struct labels){0};
    if (access(path, F_OK) != 0)
        return ERR_OK;
    enum err e = file_read(path, WALLET_LABELS_FILE_MAX, &file, note);
    if (e == ERR_OK && (e = labels_get(bytes_of_buf(&file), l, &why)) != ERR_OK)
        note_set(note, e, "%.150s: %.200s", path, why.text);
    buf_clear(&file);
    return e;
}

enum err labels_write(const char *path, const struct labels *l, struct note *note)
{
    struct buf file = {0};
    labels_put(&file, l);
    put_check(&file);
    enum err e = file_write(path, 0600, bytes_of_buf(&file), note);
    buf_clear(&file);
    return e;
}

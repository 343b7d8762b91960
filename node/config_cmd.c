#include "node/config_cmd.h"

#include "base/codec.h"
#include "base/file.h"
#include "base/limits.h"
#include "node/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 300

/* Words with two dashes are options of a start, and so are the values of --home and --config. */
struct words {
    char *options[WORDS_MAX], *others[WORDS_MAX];
    int options_n, others_n;
    bool json;
};

static enum err sort_words(int n, char **words, struct words *w, struct note *note)
{
    *w = (struct words){0};
    if (n > WORDS_MAX)
        return note_set(note, ERR_USAGE, "%d words are too many", n);
    for (int i = 0; i < n; i++) {
        const bool takes = strcmp(words[i], "--home") == 0 || strcmp(words[i], "--config") == 0;
        if (strcmp(words[i], "--json") == 0) {
            w->json = true;
        } else if (strncmp(words[i], "--", 2) == 0) {
            w->options[w->options_n++] = words[i];
            if (takes && i + 1 < n)
                w->options[w->options_n++] = words[++i];
        } else {
            w->others[w->others_n++] = words[i];
        }
    }
    return ERR_OK;
}

static void put_text(struct buf *b, bool *first, const char *name, const char *text)
{
    codec_json_key(b, first, name);
    codec_json_string(b, text, strlen(text));
}

static void put_setting(void *arg, const char *name, const char *value, enum config_source from, const char *help)
{
    struct buf *b = arg;
    bool first = true;
    buf_add_text(b, b->n && b->p[b->n - 1] != '[' ? ",{" : "{");
    put_text(b, &first, "name", name);
    put_text(b, &first, "value", value);
    put_text(b, &first, "from", config_source_text(from));
    put_text(b, &first, "help", help);
    buf_add_text(b, "}");
}

static void print_setting(void *arg, const char *name, const char *value, enum config_source from, const char *help)
{
    (void)arg;
    printf("%-18s %-36s %-12s %s\n", name, *value ? value : "-", config_source_text(from), help);
}

static void show(const struct config *c, bool json)
{
    struct buf b = {0};
    char *path = c->file ? NULL : config_path(c, "kith.conf");
    const char *file = path ? path : c->file;
    if (json) {
        bool first = true;
        buf_add_text(&b, "{");
        put_text(&b, &first, "file", file);
        codec_json_key(&b, &first, "settings");
        buf_add_text(&b, "[");
        config_each(c, put_setting, &b);
        printf("%s]}\n", buf_text(&b));
    } else {
        config_each(c, print_setting, NULL);
        printf("file: %s\n", file);
    }
    buf_clear(&b);
    free(path);
}

static enum err write_one(const struct config *c, const struct words *w, struct note *note)
{
    if (w->others_n < 2)
        return note_set(note, ERR_USAGE, "which setting? kith config show lists them");
    enum err e = config_write(c, w->others[1], (char **)(uintptr_t)w->others + 2, w->others_n - 2, note);
    if (e != ERR_OK)
        return e;
    if (w->json)
        printf("{\"name\":\"%s\",\"state\":\"written\"}\n", w->others[1]);
    else
        printf("written; it holds from the next start of kithd on\n");
    return ERR_OK;
}

enum err config_cmd(int words_n, char **words, struct note *note)
{
    struct words w;
    struct config c = {0};
    bool wants_help;
    enum err e = sort_words(words_n, words, &w, note);
    if (e == ERR_OK)
        e = config_load(&c, w.options_n, w.options, &wants_help, note);
    if (e == ERR_OK && w.others_n && strcmp(w.others[0], "set") == 0)
        e = write_one(&c, &w, note);
    else if (e == ERR_OK && w.others_n == 1 && strcmp(w.others[0], "show") == 0)
        show(&c, w.json);
    else if (e == ERR_OK)
        e = note_set(note, ERR_USAGE, "kithd config show, or kithd config set NAME [VALUE]");
    config_clear(&c);
    return e;
}

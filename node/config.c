/* The table of settings and its three sources. */
#include "node/config.h"

#include "base/file.h"
#include "base/mem.h"

#include <ini.h>
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (1u << 20)

enum kind { KIND_TEXT, KIND_TEXTS, KIND_FLAG, KIND_NUMBER, KIND_LEVEL };

struct setting {
    const char *name;
    enum kind kind;
    size_t at;
    bool only_option; /* makes no sense in a file */
    const char *words, *help;
};

static const struct setting settings[] = {
    {"home", KIND_TEXT, offsetof(struct config, home), true, "DIR", "where everything of this node lies"},
    {"config", KIND_TEXT, offsetof(struct config, file), true, "FILE", "settings to read instead of HOME/kith.conf"},
    {"genesis", KIND_TEXT, offsetof(struct config, genesis), false, "FILE", "the chain to join (kept in HOME)"},
    {"listen", KIND_TEXT, offsetof(struct config, listen), false, "HOST:PORT", "for peers (0.0.0.0:7718)"},
    {"announce", KIND_TEXT, offsetof(struct config, announce), false, "HOST:PORT", "where peers reach this node"},
    {"http", KIND_TEXT, offsetof(struct config, http), false, "HOST:PORT",
     "for the API and the pages (127.0.0.1:7717)"},
    {"http-name", KIND_TEXTS, offsetof(struct config, http_names), false, "NAME",
     "that the API is called by, besides its address; repeatable"},
    {"peer", KIND_TEXTS, offsetof(struct config, peers), false, "PUBKEY@HOST:PORT", "to keep connected to; repeatable"},
    {"portmap", KIND_FLAG, offsetof(struct config, portmap), false, "",
     "ask the router to pass the port for peers on (yes)"},
    {"relay", KIND_FLAG, offsetof(struct config, relay), false, "",
     "while it is reachable itself, pass a bounded number of bytes on for nodes that are not (yes)"},
    {"validator", KIND_FLAG, offsetof(struct config, validator), false, "", "take part in deciding blocks"},
    {"block-ms", KIND_NUMBER, offsetof(struct config, block_ms), false, "MS", "least time between two blocks (200)"},
    {"heartbeat-ms", KIND_NUMBER, offsetof(struct config, heartbeat_ms), false, "MS", "until an empty block (30000)"},
    {"keep-blocks", KIND_NUMBER, offsetof(struct config, keep_blocks), false, "N",
     "older ones are dropped, once the unbonding period is over (0: all are kept)"},
    {"snapshot-blocks", KIND_NUMBER, offsetof(struct config, snapshot_blocks), false, "N",
     "from one snapshot of the state to the next (10000; 0: none)"},
    {"sync", KIND_TEXT, offsetof(struct config, sync), false, "HOW", "catch up by snapshot, by blocks, or auto"},
    {"checkpoint", KIND_TEXT, offsetof(struct config, checkpoint), false, "HEIGHT:BLOCK",
     "a block to trust instead of the genesis"},
    {"provide", KIND_FLAG, offsetof(struct config, provide), false, "", "lend this machine"},
    {"audit", KIND_FLAG, offsetof(struct config, audit), false, "", "check others' jobs when drawn"},
    {"check-auditors", KIND_NUMBER, offsetof(struct config, check_auditors), false, "N",
     "of N auditors of what was served or paid here one is checked, and doubted if he made it up (8; 0: none)"},
    {"plant", KIND_TEXT, offsetof(struct config, plant), false, "FILE",
     "plant jobs that show whether auditors look (docs/market.md)"},
    {"backend", KIND_TEXT, offsetof(struct config, backend), false, "NAME", "kernels of workers (auto)"},
    {"threads", KIND_NUMBER, offsetof(struct config, threads), false, "N", "of a worker (one per processor)"},
    {"memory-mb", KIND_NUMBER, offsetof(struct config, memory_mb), false, "N", "for all workers (no limit)"},
    {"packs-mb", KIND_NUMBER, offsetof(struct config, packs_mb), false, "N",
     "of packed weights kept for quick starts (32768; 0: none)"},
    {"keep-jobs", KIND_NUMBER, offsetof(struct config, keep_jobs), false, "N",
     "of those asked for and over, the youngest (4096)"},
    {"keep-jobs-mb", KIND_NUMBER, offsetof(struct config, keep_jobs_mb), false, "N", "of them together (256)"},
    {"keep-jobs-days", KIND_NUMBER, offsetof(struct config, keep_jobs_days), false, "N",
     "and they go when they are that old (0: as long as there is room)"},
    {"history", KIND_FLAG, offsetof(struct config, history), false, "",
     "keep what happened to each account, for `kith tx history` (yes)"},
    {"no-default-model", KIND_FLAG, offsetof(struct config, no_default_model), false, "",
     "do not keep the model that comes with Kith"},
    {"log", KIND_LEVEL, offsetof(struct config, log_level), false, "LEVEL", "trace, debug, info, odd or broken"},
    {"log-file", KIND_TEXT, offsetof(struct config, log_file), false, "FILE", "instead of standard error"},
    {"fresh", KIND_FLAG, offsetof(struct config, fresh), true, "", "dev: begin with a new chain"},
};
#define SETTINGS_N (sizeof settings / sizeof *settings)
_Static_assert(SETTINGS_N <= CONFIG_SETTINGS_MAX, "a source for each");

static const struct setting *find(const char *name, size_t n)
{
    for (size_t i = 0; i < SETTINGS_N; i++)
        if (strlen(settings[i].name) == n && memcmp(settings[i].name, name, n) == 0)
            return &settings[i];
    return NULL;
}

static enum err set_number(const struct setting *s, uint64_t *out, const char *value, struct note *note)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || v > UINT32_MAX)
        return note_set(note, ERR_USAGE, "%s = %.100s: a number from 0 to %u is needed", s->name, value, UINT32_MAX);
    *out = v;
    return ERR_OK;
}

static enum err set_flag(const struct setting *s, bool *out, const char *value, struct note *note)
{
    static const char *const yes[] = {"yes", "true", "1", "on"}, *const no[] = {"no", "false", "0", "off"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *out = strcmp(value, yes[i]) == 0;
            return ERR_OK;
        }
    }
    return note_set(note, ERR_USAGE, "%s = %.100s: yes or no is needed", s->name, value);
}

static enum err set(struct config *c, const struct setting *s, enum config_source from, const char *value,
                    struct note *note)
{
    void *at = (char *)c + s->at;
    c->from[s - settings] = (uint8_t)from;
    switch (s->kind) {
    case KIND_TEXT: {
        char **text = at;
        free(*text);
        *text = mem_string(value);
        return ERR_OK;
    }
    case KIND_TEXTS: {
        struct config_texts *list = at;
        if (list->n == PEERS_ADDED_MAX)
            return note_set(note, ERR_USAGE, "%s stands more than %u times", s->name, PEERS_ADDED_MAX);
        list->text[list->n++] = mem_string(value);
        return ERR_OK;
    }
    case KIND_FLAG:
        return set_flag(s, at, value, note);
    case KIND_NUMBER:
        return set_number(s, at, value, note);
    case KIND_LEVEL:
        if (!log_level_parse(value, at))
            return note_set(note, ERR_USAGE, "%s = %.100s: trace, debug, info, odd or broken is needed", s->name,
                            value);
        return ERR_OK;
    }
    return ERR_OK;
}

/* -- the command line -- */

/* Goes through the words; with `only` set just that setting is taken (the home, before the file is read). */
static enum err take_words(struct config *c, int n, char **words, const char *only, bool *help, struct note *note)
{
    for (int i = 0; i < n; i++) {
        const char *word = words[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            continue;
        }
        const char *equals = strchr(word, '=');
        size_t name_n = equals ? (size_t)(equals - word) : strlen(word);
        const struct setting *s = name_n > 2 && strncmp(word, "--", 2) == 0 ? find(word + 2, name_n - 2) : NULL;
        if (!s)
            return note_set(note, ERR_USAGE, "%.200s is no option: see kithd --help", word);
        const char *value = equals ? equals + 1 : s->kind == KIND_FLAG ? "yes" : i + 1 < n ? words[++i] : NULL;
        if (!value)
            return note_set(note, ERR_USAGE, "--%s needs a value: %s", s->name, s->words);
        if (only && strcmp(only, s->name) != 0)
            continue;
        enum err e = set(c, s, CONFIG_OPTION, value, note);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* -- the environment -- */

static enum err take_environment(struct config *c, const char *only, struct note *note)
{
    for (size_t i = 0; i < SETTINGS_N; i++) {
        char name[64] = "KITH_";
        const struct setting *s = &settings[i];
        for (size_t k = 0; s->name[k]; k++)
            name[5 + k] = s->name[k] == '-' ? '_' : (char)toupper((unsigned char)s->name[k]);
        const char *value = getenv(name);
        if (!value || (only && strcmp(only, s->name) != 0))
            continue;
        enum err e = set(c, s, CONFIG_ENVIRONMENT, value, note);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* -- the file -- */

struct reading {
    struct config *c;
    const char *path;
    struct note *note;
    enum err e;
};

static int take_line(void *arg, const char *section, const char *name, const char *value)
{
    struct reading *r = arg;
    const struct setting *s = find(name, strlen(name));
    if (!s || s->only_option || *section)
        r->e = note_set(r->note, ERR_USAGE, "%.150s: %.80s%s%.80s is no setting", r->path, section, *section ? "." : "",
                        name);
    else
        r->e = set(r->c, s, CONFIG_FILE, value, r->note);
    return r->e == ERR_OK;
}

static enum err take_text(struct config *c, const char *path, const char *text, struct note *note)
{
    struct reading r = {c, path, note, ERR_OK};
    int line = ini_parse_string(text, take_line, &r);
    if (line != 0 && r.e == ERR_OK)
        return note_set(note, ERR_USAGE, "%.200s: line %d is no `name = value`", path, line);
    return r.e;
}

static char *path_of_file(const struct config *c)
{
    return c->file ? mem_string(c->file) : config_path(c, "kith.conf");
}

static enum err take_file(struct config *c, struct note *note)
{
    struct buf text = {0};
    char *path = path_of_file(c);
    enum err e = file_read(path, FILE_BYTES_MAX, &text, note);
    if (e == ERR_NOT_FOUND && !c->file)
        e = ERR_OK;
    else if (e == ERR_OK)
        e = take_text(c, path, buf_text(&text), note);
    buf_clear(&text);
    free(path);
    return e;
}

/* -- showing and writing -- */

const char *config_source_text(enum config_source from)
{
    static const char *const texts[] = {"default", "file", "environment", "option"};
    return texts[from];
}

static void put_value(struct buf *b, const struct config *c, const struct setting *s)
{
    const void *at = (const char *)c + s->at;
    const struct config_texts *list = at;
    switch (s->kind) {
    case KIND_TEXT:
        if (*(char *const *)at)
            buf_add_text(b, *(char *const *)at);
        break;
    case KIND_TEXTS:
        for (unsigned i = 0; i < list->n; i++)
            buf_add_format(b, "%s%s", i ? ", " : "", list->text[i]);
        break;
    case KIND_FLAG:
        buf_add_text(b, *(const bool *)at ? "yes" : "no");
        break;
    case KIND_NUMBER:
        buf_add_format(b, "%llu", (unsigned long long)*(const uint64_t *)at);
        break;
    case KIND_LEVEL:
        buf_add_text(b, log_level_name(*(const enum log_level *)at));
        break;
    }
}

void config_each(const struct config *c, config_setting_fn fn, void *arg)
{
    for (size_t i = 0; i < SETTINGS_N; i++) {
        struct buf value = {0};
        put_value(&value, c, &settings[i]);
        fn(arg, settings[i].name, buf_text(&value), (enum config_source)c->from[i], settings[i].help);
        buf_clear(&value);
    }
}

static enum err unknown(const char *name, struct note *note)
{
    const struct setting *best = NULL;
    unsigned least = 4;
    for (size_t i = 0; i < SETTINGS_N; i++) {
        unsigned d = text_distance(settings[i].name, name);
        if (!settings[i].only_option && (d < least || strncmp(settings[i].name, name, strlen(name)) == 0)) {
            least = d < least ? d : least;
            best = &settings[i];
        }
    }
    return best ? note_set(note, ERR_USAGE, "%.60s is no setting: did you mean %s?", name, best->name)
                : note_set(note, ERR_USAGE, "%.60s is no setting: kith config show lists them", name);
}

/* Whether the line sets that name; comments do not. */
static bool sets(const char *line, size_t n, const char *name)
{
    size_t i = 0, k = strlen(name);
    while (i < n && (line[i] == ' ' || line[i] == '\t'))
        i++;
    if (n - i < k || memcmp(line + i, name, k) != 0)
        return false;
    for (i += k; i < n && (line[i] == ' ' || line[i] == '\t'); i++)
        continue;
    return i < n && (line[i] == '=' || line[i] == ':');
}

static void put_lines(struct buf *out, const char *name, char **values, int n)
{
    if (out->n && out->p[out->n - 1] != '\n')
        buf_add_text(out, "\n");
    for (int i = 0; i < n; i++)
        buf_add_format(out, "%s = %s\n", name, values[i]);
}

/* The first line that sets it gives way to the new ones, others that do go; a comment behind a value goes with it. */
static void rewrite(struct buf *out, const char *text, const char *name, char **values, int n)
{
    bool done = false;
    while (*text) {
        size_t line = strcspn(text, "\n"), whole = line + (text[line] == '\n');
        if (!sets(text, line, name)) {
            buf_add(out, text, whole);
        } else if (!done) {
            put_lines(out, name, values, n);
            done = true;
        }
        text += whole;
    }
    if (!done)
        put_lines(out, name, values, n);
}

static enum err check_values(const struct setting *s, char **values, int n, struct note *note)
{
    struct config scratch = {0};
    enum err e = ERR_OK;
    if (n > 1 && s->kind != KIND_TEXTS)
        return note_set(note, ERR_USAGE, "%s takes one value", s->name);
    for (int i = 0; i < n && e == ERR_OK; i++) {
        size_t size = strlen(values[i]);
        bool plain =
            size && size < 150 && !strpbrk(values[i], "\n\r;#\"") && values[i][0] != ' ' && values[i][size - 1] != ' ';
        e = plain ? set(&scratch, s, CONFIG_FILE, values[i], note)
                  : note_set(note, ERR_USAGE, "%s = %.60s: that cannot stand in a file", s->name, values[i]);
    }
    config_clear(&scratch);
    return e;
}

static bool is_same(const struct config *a, const struct config *b, const struct setting *s)
{
    struct buf x = {0}, y = {0};
    put_value(&x, a, s);
    put_value(&y, b, s);
    bool same = bytes_equal(bytes_of_buf(&x), bytes_of_buf(&y));
    buf_clear(&x);
    buf_clear(&y);
    return same;
}

/* What was written is read back as it would be at a start: an old file may hold what hides it, or what goes on with the
 * line before, and so falls to another setting when its own is taken away. */
static enum err check_text(const struct setting *s, const char *path, const char *old, const char *text, char **values,
                           int n, struct note *note)
{
    struct config was = {0}, is = {0}, want = {0};
    enum err e = take_text(&was, path, old, note);
    if (e == ERR_OK)
        e = take_text(&is, path, text, note);
    for (int i = 0; i < n && e == ERR_OK; i++)
        e = set(&want, s, CONFIG_FILE, values[i], note);
    if (e == ERR_OK && !is_same(&is, &want, s))
        e = note_set(note, ERR_USAGE, "%.150s: %s would not be read back as it was set: change it by hand", path,
                     s->name);
    for (size_t i = 0; i < SETTINGS_N && e == ERR_OK; i++)
        if (&settings[i] != s && !is_same(&was, &is, &settings[i]))
            e = note_set(note, ERR_USAGE, "%.150s: with %s, %s would change as well: change it by hand", path, s->name,
                         settings[i].name);
    config_clear(&was);
    config_clear(&is);
    config_clear(&want);
    return e;
}

enum err config_write(const struct config *c, const char *name, char **values, int values_n, struct note *note)
{
    const struct setting *s = find(name, strlen(name));
    struct buf old = {0}, text = {0};
    if (!s)
        return unknown(name, note);
    if (s->only_option)
        return note_set(note, ERR_USAGE, "%s can be an option of kithd only, and not stand in a file", name);
    enum err e = check_values(s, values, values_n, note);
    if (e != ERR_OK)
        return e;
    char *path = path_of_file(c);
    e = file_read(path, FILE_BYTES_MAX, &old, note);
    if (e == ERR_NOT_FOUND)
        e = ERR_OK;
    if (e == ERR_OK)
        rewrite(&text, buf_text(&old), name, values, values_n);
    if (e == ERR_OK)
        e = check_text(s, path, buf_text(&old), buf_text(&text), values, values_n, note);
    if (e == ERR_OK)
        e = file_write(path, 0600, bytes_of_buf(&text), note);
    buf_clear(&old);
    buf_clear(&text);
    free(path);
    return e;
}

/* -- all of it -- */

static void take_defaults(struct config *c)
{
    *c = (struct config){.log_level = LOG_INFO,
                         .packs_mb = 32768,
                         .check_auditors = CHECK_AUDITORS,
                         .keep_jobs = JOBS_KEPT_MAX,
                         .keep_jobs_mb = JOBS_KEPT_BYTES >> 20,
                         .snapshot_blocks = SNAPSHOT_INTERVAL,
                         .history = true,
                         .relay = true,
                         .portmap = true};
    c->listen = mem_string("0.0.0.0:7718");
    c->http = mem_string("127.0.0.1:7717");
    c->backend = mem_string("auto");
}

static enum err take_home(struct config *c, struct note *note)
{
    const char *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    struct buf path = {0};
    if (c->home && c->home[0])
        return ERR_OK;
    if (data && data[0] == '/')
        buf_add_format(&path, "%s/kith", data);
    else if (user && user[0])
        buf_add_format(&path, "%s/.local/share/kith", user);
    else
        return note_set(note, ERR_USAGE, "HOME is not set: say where this node lives with --home DIR");
    free(c->home);
    c->home = mem_string(buf_text(&path));
    buf_clear(&path);
    return ERR_OK;
}

enum err config_load(struct config *c, int words_n, char **words, bool *help, struct note *note)
{
    *help = false;
    take_defaults(c);
    static const char *const first[] = {"home", "config"};
    enum err e = ERR_OK;
    for (int i = 0; i < 2 && e == ERR_OK; i++) {
        e = take_environment(c, first[i], note);
        if (e == ERR_OK)
            e = take_words(c, words_n, words, first[i], help, note);
    }
    if (e == ERR_OK)
        e = take_home(c, note);
    if (e == ERR_OK)
        e = take_file(c, note);
    if (e == ERR_OK)
        e = take_environment(c, NULL, note);
    if (e == ERR_OK)
        e = take_words(c, words_n, words, NULL, help, note);
    return e;
}

static void clear_texts(struct config_texts *list)
{
    for (unsigned i = 0; i < list->n; i++)
        free(list->text[i]);
}

void config_clear(struct config *c)
{
    for (size_t i = 0; i < SETTINGS_N; i++)
        if (settings[i].kind == KIND_TEXT)
            free(*(char **)((char *)c + settings[i].at));
    clear_texts(&c->peers);
    clear_texts(&c->http_names);
    *c = (struct config){0};
}

void config_print_help(void)
{
    for (size_t i = 0; i < SETTINGS_N; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", settings[i].name, settings[i].words);
        printf("  %-26s %s\n", left, settings[i].help);
    }
}

char *config_path(const struct config *c, const char *name)
{
    struct buf path = {0};
    buf_add_format(&path, "%s/%s", c->home, name);
    char *out = mem_string(buf_text(&path));
    buf_clear(&path);
    return out;
}

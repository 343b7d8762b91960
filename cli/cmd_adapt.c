/* model adapt: one file of a model and its low-rank adapters; no daemon, no network. */
#include "base/file.h"
#include "base/file_map.h"
#include "base/mem.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/local.h"
#include "cli/out.h"
#include "inference/adapt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option_spec cmd_model_adapt_options[] = {
    {.name = "out", .type = OPTION_TEXT, .value = "FILE", .letter = 'o', .help = "gets the adapted model (needed)"},
    {.name = "any-base",
     .type = OPTION_FLAG,
     .help = "take updates that were trained beside another file, as one of the same model in another format"},
    {.name = NULL},
};

struct source {
    char *path;
    struct adapt_file file;
};

static enum err open_source(struct source *s, struct note *note)
{
    int fd;
    uint64_t size;
    enum err e = file_open_regular(s->path, &fd, &size, note);
    if (e != ERR_OK)
        return e;
    e = cache_root(fd, &s->file.root, note);
    close(fd);
    if (e == ERR_OK)
        e = file_map(s->path, &s->file.bytes, note);
    s->file.name = s->path;
    return e;
}

static void clear_sources(struct source *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        file_unmap(s[i].file.bytes);
        free(s[i].path);
    }
    free(s);
}

/* FILE, or FILE=WEIGHT where there is no file of that whole name. */
static enum err read_adapter(const char *word, struct source *s, struct note *note)
{
    const char *equals = strrchr(word, '=');
    char *end;
    s->path = mem_string(word);
    s->file.weight = 1;
    if (!equals || access(word, F_OK) == 0)
        return ERR_OK;
    s->file.weight = strtof(equals + 1, &end);
    if (end == equals + 1 || *end)
        return note_set(note, ERR_USAGE, "\"%.60s\" is no weight: ADAPTER=0.5", equals + 1);
    s->path[equals - word] = 0;
    return ERR_OK;
}

static enum err read_sources(const struct args *args, struct source *s, size_t n, struct note *note)
{
    struct buf path = {0};
    enum err e = local_find_model(args_word(args, 0), &path, note);
    s->path = mem_string(buf_text(&path));
    buf_clear(&path);
    for (size_t i = 1; e == ERR_OK && i < n; i++) {
        e = read_adapter(args_word(args, (unsigned)i), &s[i], note);
        s[i].file.is_of_any = args_has(args, "any-base");
    }
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        e = open_source(&s[i], note);
    return e;
}

static enum err write_pieces(struct adapt *a, const char *path, struct note *note)
{
    struct bytes piece;
    uint64_t at = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), error = 0;
    if (fd < 0)
        return file_failed(note, "make", path);
    while (error == 0 && adapt_next(a, &piece)) {
        error = file_write_at(fd, piece.p, piece.n, at);
        at += piece.n;
    }
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    close(fd);
    errno = error;
    return error ? file_failed(note, "write", path) : ERR_OK;
}

/* As any model: by a worker behind its walls. One that has no room for it has not looked. */
static enum err try_model(const char *path, struct note *note)
{
    struct wire_open how = {.mode = WIRE_FULL};
    struct local *l = NULL;
    CHECK(text64_set(&how.backend, "auto"));
    enum err e = local_open(path, &how, &l, note);
    local_close(l);
    if (e == ERR_FULL) {
        cli_remark("not tried on this machine: %s", note->text);
        e = ERR_OK;
    }
    return e;
}

/* Under another name until it is known to run. */
static enum err make_file(struct adapt *a, const struct source *s, size_t n, const char *out, struct note *note)
{
    struct buf temp = {0};
    buf_add_format(&temp, "%s.%ld.new", out, (long)getpid());
    enum err e = write_pieces(a, buf_text(&temp), note);
    bool is_there = e != ERR_EXISTS;
    for (size_t i = 0; e == ERR_OK && i < n; i++)
        if (!file_map_is_whole(s[i].file.bytes))
            e = note_set(note, ERR_IO, "%.200s became shorter while it was read, or its disk fails", s[i].path);
    if (e == ERR_OK)
        e = try_model(buf_text(&temp), note);
    if (e == ERR_OK && rename(buf_text(&temp), out) != 0)
        e = file_failed(note, "rename to", out);
    if (e == ERR_OK)
        e = file_sync_parent(out, note);
    else if (is_there)
        unlink(buf_text(&temp));
    buf_clear(&temp);
    return e;
}

static void print_made(const struct cli *cli, const json_t *r)
{
    (void)cli;
    printf("%s\n", out_text(r, "file"));
    printf("  root      %s\n", out_text(r, "root"));
    printf("  size      %" JSON_INTEGER_FORMAT " bytes\n", out_count(r, "size"));
    printf("  base      %s\n", out_text(r, "base"));
    printf("  additions to %" JSON_INTEGER_FORMAT " matrices, of rank %" JSON_INTEGER_FORMAT " at most\n",
           out_count(r, "matrices"), out_count(r, "rank"));
}

static enum err root_of(const char *path, char hex[2 * HASH_SIZE + 1], struct note *note)
{
    struct hash root;
    uint64_t size;
    int fd;
    enum err e = file_open_regular(path, &fd, &size, note);
    if (e != ERR_OK)
        return e;
    e = cache_root(fd, &root, note);
    close(fd);
    hex_put(hex, root.b, HASH_SIZE);
    return e;
}

static json_t *describe(const struct adapt *a, const struct source *s, size_t n, const char *out, const char *root)
{
    char hex[2 * HASH_SIZE + 1];
    const struct adapt_facts f = adapt_facts(a);
    json_t *adapters = json_array();
    for (size_t i = 1; i < n; i++) {
        hex_put(hex, s[i].file.root.b, HASH_SIZE);
        json_array_append_new(adapters, json_pack("{s:s, s:f}", "root", hex, "weight", (double)s[i].file.weight));
    }
    hex_put(hex, s->file.root.b, HASH_SIZE);
    return json_pack("{s:s, s:s, s:I, s:s, s:o, s:I, s:I}", "file", out, "root", root, "size", (json_int_t)f.bytes,
                     "base", hex, "adapters", adapters, "matrices", (json_int_t)f.matrices, "rank", (json_int_t)f.rank);
}

int cmd_model_adapt(const struct cli *cli, const struct args *args)
{
    const size_t n = args->words_n;
    const char *out = args_text(args, "out");
    struct source *s = mem_array(n, sizeof *s);
    struct adapt_file *adapters = mem_array(n, sizeof *adapters);
    struct adapt *a = NULL;
    struct note note = {{0}};
    char root[2 * HASH_SIZE + 1];
    int rc = CLI_DONE;
    enum err e =
        out ? read_sources(args, s, n, &note) : note_set(&note, ERR_USAGE, "`kith model adapt` needs --out FILE");
    for (size_t i = 1; i < n; i++)
        adapters[i - 1] = s[i].file;
    if (e == ERR_OK)
        e = adapt_new(&s->file, adapters, n - 1, &a, &note);
    if (e == ERR_OK)
        e = make_file(a, s, n, out, &note);
    if (e == ERR_OK)
        e = root_of(out, root, &note);
    rc = e == ERR_OK ? out_reply_take(cli, describe(a, s, n, out, root), print_made) : cli_fail_note(cli, e, &note);
    adapt_free(a);
    free(adapters);
    clear_sources(s, n);
    return rc;
}

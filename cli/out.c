/* Lines, JSON, tables and progress. */
#include "cli/out.h"

#include "base/codec.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const status_names[] = {"done", "refused", "unreachable", "usage", "late"};

int cli_fail(const struct cli *cli, enum cli_exit status, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fflush(stdout);
    fputs("kith: ", stderr);
    for (const char *c = line; *c; c++)
        fputc((unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c, stderr);
    fputc('\n', stderr);
    if (cli->json)
        out_json_take(json_pack("{s:{s:s, s:s}}", "error", "code", status_names[status], "message", line));
    return (int)status;
}

int cli_fail_note(const struct cli *cli, enum err e, const struct note *note)
{
    enum cli_exit status = e == ERR_TIMEOUT                                                         ? CLI_LATE
                           : e == ERR_CLOSED || e == ERR_REFUSED || e == ERR_BUSY || e == ERR_STATE ? CLI_REFUSED
                                                                                                    : CLI_USAGE;
    return cli_fail(cli, status, "%s", note->text[0] ? note->text : err_text(e));
}

void out_json_take(json_t *value)
{
    struct buf b = {0};
    CHECK(value);
    json_print(&b, value);
    buf_add_text(&b, "\n");
    fwrite(b.p, 1, b.n, stdout);
    fflush(stdout);
    buf_clear(&b);
    json_decref(value);
}

const char *out_style(const struct cli *cli, enum out_style style)
{
    static const char *const escapes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[32m", "\033[31m"};
    return cli->color ? escapes[style] : "";
}

void out_untrusted(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        /* C1 controls are 0xc2 0x80..0x9f in UTF-8. */
        bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0;
        if (c1)
            i++;
        putchar(control || c1 ? '?' : c);
    }
}

int out_reply_take(const struct cli *cli, json_t *reply, out_print_fn print)
{
    if (cli->json) {
        out_json_take(reply);
        return CLI_DONE;
    }
    print(cli, reply);
    json_decref(reply);
    return CLI_DONE;
}

const char *out_text(const json_t *object, const char *key)
{
    const char *text = json_text(object, key);
    return text ? text : "-";
}

json_int_t out_count(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool out_amount_get(const json_t *mote, struct amount *amount)
{
    const char *text = json_string_value(mote);
    uint64_t v = 0;
    if (!text || !*text || strspn(text, "0123456789") != strlen(text))
        return false;
    for (; *text; text++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
            return false;
    *amount = amount_of(v);
    return true;
}

const char *out_amount(const json_t *mote, char text[OUT_AMOUNT_ROOM])
{
    struct amount a;
    char digits[AMOUNT_TEXT_ROOM];
    if (!out_amount_get(mote, &a))
        return "?";
    amount_print(a, digits);
    snprintf(text, OUT_AMOUNT_ROOM, "%s KITH", digits);
    return text;
}

struct out_table {
    unsigned columns;
    char **cells;
    size_t n, room;
};

struct out_table *out_table_new(const char *const *titles, unsigned columns)
{
    struct out_table *t = mem_new(sizeof *t);
    t->columns = columns;
    for (unsigned i = 0; i < columns; i++)
        out_table_add(t, "%s", titles[i]);
    return t;
}

void out_table_add(struct out_table *t, const char *format, ...)
{
    struct buf b = {0};
    va_list args;
    char cell[512];
    va_start(args, format);
    vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    for (char *c = cell; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    buf_add_text(&b, cell);
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->cells = mem_resize(t->cells, t->room, sizeof *t->cells);
    }
    t->cells[t->n++] = mem_string(buf_text(&b));
    buf_clear(&b);
}

/* Columns on a screen: bytes that do not continue a UTF-8 character. */
static unsigned width(const char *s)
{
    unsigned n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void out_table_print_free(const struct cli *cli, struct out_table *t)
{
    unsigned *widest = mem_array(t->columns, sizeof *widest);
    for (size_t i = 0; i < t->n; i++)
        if (width(t->cells[i]) > widest[i % t->columns])
            widest[i % t->columns] = width(t->cells[i]);
    for (size_t i = 0; i < t->n; i++) {
        unsigned column = (unsigned)(i % t->columns);
        bool last = column + 1 == t->columns;
        if (i == 0)
            fputs(out_style(cli, OUT_DIM), stdout);
        printf("%s", t->cells[i]);
        for (unsigned pad = width(t->cells[i]); !last && pad < widest[column] + 2; pad++)
            putchar(' ');
        if (last)
            printf("%s\n", i + 1 == t->columns ? out_style(cli, OUT_PLAIN) : "");
        free(t->cells[i]);
    }
    free(widest);
    free(t->cells);
    free(t);
}

uint64_t out_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void out_progress_start(struct out_progress *p, const struct cli *cli, const char *what)
{
    *p = (struct out_progress){.what = what, .start_ms = out_now_ms(), .live = !cli->json && isatty(STDERR_FILENO)};
}

void out_progress_set(struct out_progress *p, uint64_t done, uint64_t total)
{
    uint64_t now = out_now_ms();
    if (done < p->done)
        done = p->done;
    p->done = done;
    p->total = total;
    if (!p->live || total == 0 || (now - p->shown_ms < 100 && done < total))
        return;
    p->shown_ms = now;
    double seconds = (double)(now - p->start_ms) / 1000.0;
    double rate = seconds > 0.2 ? (double)done / seconds : 0;
    fprintf(stderr, "\r\033[K%s %3.0f%%  %.1f of %.1f MB", p->what, 100.0 * (double)done / (double)total,
            (double)done / 1e6, (double)total / 1e6);
    if (rate > 0 && done < total)
        fprintf(stderr, "  %.1f MB/s  %.0f s left", rate / 1e6, (double)(total - done) / rate);
    fflush(stderr);
}

void out_progress_end(struct out_progress *p)
{
    if (p->live && p->shown_ms)
        fputs("\r\033[K", stderr);
    p->live = false;
}

/* Lines, JSON, tables and progress. */
#include "cli/out.h"

#include "base/codec.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static size_t character_length(const uint8_t *u, size_t n)
{
    size_t len = *u < 0x80 ? 1 : *u >= 0xF0 ? 4 : *u >= 0xE0 ? 3 : *u >= 0xC2 ? 2 : 0;
    return len <= n && len > 0 && text_is_clean((const char *)u, len) ? len : 0;
}

/* U+202A to U+202E and U+2066 to U+2069: what stands behind them is shown in another order. */
static bool turns_around(const uint8_t *u, size_t len)
{
    return len == 3 && u[0] == 0xE2 &&
           ((u[1] == 0x80 && u[2] >= 0xAA && u[2] <= 0xAE) || (u[1] == 0x81 && u[2] >= 0xA6 && u[2] <= 0xA9));
}

void out_plain(struct buf *to, const char *text, size_t n, bool is_line)
{
    for (size_t i = 0; i < n;) {
        const uint8_t *u = (const uint8_t *)text + i;
        size_t len = character_length(u, n - i);
        if (!is_line && (*u == '\n' || *u == '\t'))
            buf_add(to, u, len = 1);
        else if (len == 0 || (is_line && turns_around(u, len)))
            buf_add_text(to, "?");
        else
            buf_add(to, u, len);
        i += len ? len : 1;
    }
}

static const char *const status_names[] = {"done", "refused", "unreachable", "usage", "late"};

static void remark(const char *line)
{
    struct buf plain = {0};
    out_plain(&plain, line, strlen(line), true);
    fprintf(stderr, "kith: %s\n", buf_text(&plain));
    buf_clear(&plain);
}

void cli_remark(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    remark(line);
}

int cli_fail(const struct cli *cli, enum cli_exit status, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fflush(stdout);
    remark(line);
    if (cli->json)
        out_json_take(json_pack("{s:{s:s, s:s}}", "error", "code", status_names[status], "message", line));
    return (int)status;
}

int cli_fail_note(const struct cli *cli, enum err e, const struct note *note)
{
    bool is_refused =
        e == ERR_CLOSED || e == ERR_REFUSED || e == ERR_BUSY || e == ERR_STATE || e == ERR_FULL || e == ERR_FUNDS;
    enum cli_exit status = e == ERR_TIMEOUT ? CLI_LATE : is_refused ? CLI_REFUSED : CLI_USAGE;
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

bool out_end(void)
{
    struct stat st;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    if (fstat(STDOUT_FILENO, &st) != 0 || (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)))
        cli_remark("standard output did not take all of this: make room where it goes, and ask again");
    return false;
}

const char *out_style(const struct cli *cli, enum out_style style)
{
    static const char *const escapes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[32m", "\033[31m"};
    return cli->color ? escapes[style] : "";
}

void out_untrusted(const char *text, size_t n)
{
    struct buf plain = {0};
    out_plain(&plain, text, n, false);
    fwrite(plain.p ? plain.p : (const uint8_t *)"", 1, plain.n, stdout);
    buf_clear(&plain);
}

void out_name(const char *name, unsigned columns)
{
    struct buf plain = {0};
    out_plain(&plain, name, strlen(name), true);
    printf("  %-*s ", (int)columns, buf_text(&plain));
    buf_clear(&plain);
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
    json_t *value = json_object_get(object, key);
    const char *text = json_text(object, key);
    if (!text)
        return "-";
    struct buf plain = {0};
    out_plain(&plain, text, strlen(text), true);
    if (strcmp(buf_text(&plain), text) != 0)
        (void)json_string_set(value, buf_text(&plain)); /* whoever borrows it wants it plain as well */
    buf_clear(&plain);
    return json_text(object, key);
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

const char *out_time(json_int_t ms, char text[OUT_TIME_ROOM])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc) || strftime(text, OUT_TIME_ROOM, "%Y-%m-%d %H:%M:%S", &utc) == 0)
        *text = 0;
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
    out_plain(&b, cell, strlen(cell), true);
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

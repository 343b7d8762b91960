/* What a command says: lines for people, or one JSON object; failures; tables; progress.
 * With --json, standard output carries exactly one JSON value, also on failure:
 * {"error":{"code":..,"message":..}}. The plain line goes to standard error in both cases. */
#ifndef KITH_CLI_OUT_H
#define KITH_CLI_OUT_H

#include "base/json.h"
#include "cli/cli.h"

/* Says why and returns `status`. The line needs no newline and no program name. */
int cli_fail(const struct cli *cli, enum cli_exit status, const char *format, ...) PRINTF_LIKE(3, 4);
/* A line on standard error beside the work, made plain. */
void cli_remark(const char *format, ...) PRINTF_LIKE(1, 2);
/* The status that an error of our own libraries deserves: LATE for a timeout, REFUSED for what is not
 * the caller's words (a full disk, too little money, a connection), else USAGE. */
int cli_fail_note(const struct cli *cli, enum err e, const struct note *note);

/* Prints the value on its line and releases it. */
void out_json_take(json_t *value);
/* A daemon's answer: as it is with --json, else through `print`; released. CLI_DONE. */
typedef void (*out_print_fn)(const struct cli *cli, const json_t *reply);
int out_reply_take(const struct cli *cli, json_t *reply, out_print_fn print);
/* Members for printing: text, made plain as one line, "-" when absent; whole number, 0 when absent. */
const char *out_text(const json_t *object, const char *key);
json_int_t out_count(const json_t *object, const char *key);

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GOOD, OUT_BAD };
/* The escape that starts a style, "" without colours; OUT_PLAIN ends it. */
const char *out_style(const struct cli *cli, enum out_style style);
/* Appends text that others wrote, so that it cannot steer the terminal: controls (also C1) and bytes that are no UTF-8
 * become '?'. Newlines and tabs stay, but in a line, where also marks that turn the writing around go. */
void out_plain(struct buf *to, const char *text, size_t n, bool is_line);
/* Prints it so, over several lines. */
void out_untrusted(const char *text, size_t n);

/* The name of a member, made plain, in so many columns. */
void out_name(const char *name, unsigned columns);

/* An amount of a JSON answer (decimal string of mote) as "12.5 KITH"; "?" when it is none. */
#define OUT_AMOUNT_ROOM 32
const char *out_amount(const json_t *mote, char text[OUT_AMOUNT_ROOM]);
/* A time of a JSON answer, milliseconds since 1970, as UTC to the second; empty for none that has a date. */
#define OUT_TIME_ROOM 32
const char *out_time(json_int_t ms, char text[OUT_TIME_ROOM]);
bool out_amount_get(const json_t *mote, struct amount *amount) MUST_USE;

/* Rows aligned by the widest cell. */
struct out_table;
struct out_table *out_table_new(const char *const *titles, unsigned columns);
void out_table_add(struct out_table *t, const char *format, ...)
    PRINTF_LIKE(2, 3); /* next cell; rows fill up by themselves */
void out_table_print_free(const struct cli *cli, struct out_table *t);

/* One line on standard error that is rewritten while work goes on; nothing where that is no terminal. `unit` "B" counts
 * bytes. Never runs backwards. */
struct out_progress {
    const char *what;
    uint64_t done, total;
    uint64_t start_ms, shown_ms;
    bool live;
};
void out_progress_start(struct out_progress *p, const struct cli *cli, const char *what);
void out_progress_set(struct out_progress *p, uint64_t done, uint64_t total);
void out_progress_end(struct out_progress *p);
/* At the end: false, and said, where standard output did not take all; a reader that closed its pipe had enough. */
bool out_end(void);
uint64_t out_now_ms(void); /* steady, from any start */

#endif

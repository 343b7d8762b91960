/* Command-line words against a declared table of options.
 *
 * A command declares what it takes; parsing checks every value against its type and bounds, so that
 * what a command reads afterwards is there and right. `--name value`, `--name=value`, a letter as
 * `-m value`; `--` ends the options; words that are no options stay in order.
 */
#ifndef KITH_CLI_ARGS_H
#define KITH_CLI_ARGS_H

#include "base/amount.h"

enum option_type {
    OPTION_FLAG,   /* no value */
    OPTION_TEXT,   /* anything */
    OPTION_COUNT,  /* a whole number, least..most */
    OPTION_REAL,   /* a decimal number, least..most, finite */
    OPTION_AMOUNT, /* KITH, at most nine decimals */
    OPTION_HEX32,  /* 64 hexadecimal digits */
};

/* A table of these ends with one whose name is NULL. */
struct option_spec {
    const char *name; /* without the dashes */
    enum option_type type;
    const char *value;  /* what help calls the value; NULL for a flag */
    const char *preset; /* what holds when it is not given; NULL: nothing */
    const char *help;
    char letter;        /* short form, or 0 */
    bool many;          /* may be given again and again */
    double least, most; /* of COUNT and REAL; both 0: any that is not negative */
};

#define ARGS_MAX 256 /* options and words on one command line */

struct args {
    const struct option_spec *tables[2];
    struct {
        const struct option_spec *spec;
        const char *text;
    } given[ARGS_MAX];
    unsigned given_n;
    const char *words[ARGS_MAX];
    unsigned words_n;
};

/* Reads `argc` words (no program name) against both tables; `more` may be NULL. Borrows argv. The note names the
 * option, the value and what would be right. ERR_USAGE. */
enum err args_parse(struct args *a, const struct option_spec *table, const struct option_spec *more, int argc,
                    char *const *argv, struct note *note) MUST_USE;
/* Splits off the command before its table is known: how many of `argc` words, from `from` on, come before the next
 * that is neither an option of `table` nor the value of one; argc if there is none. */
int args_next_word(const struct option_spec *table, int argc, char *const *argv, int from);

/* The name must stand in one of the tables with that type; given last wins, else the preset. */
bool args_has(const struct args *a, const char *name);         /* given on the line; of a flag: is it set */
const char *args_text(const struct args *a, const char *name); /* of any type but FLAG; NULL if absent */
/* These need a preset, or args_has before. */
uint64_t args_count(const struct args *a, const char *name);
double args_real(const struct args *a, const char *name);
struct amount args_amount(const struct args *a, const char *name);
void args_hex32(const struct args *a, const char *name, uint8_t out[32]);
/* The i-th value given for an option of `many`, or NULL. */
const char *args_nth(const struct args *a, const char *name, unsigned i);
/* The i-th word, or NULL. */
const char *args_word(const struct args *a, unsigned i);

/* "90s", "30m", "2h" or "7d" in milliseconds; a year at most. */
bool args_duration(const char *text, uint64_t *ms) MUST_USE;

#endif

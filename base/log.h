/* The log: one line an event, `time level module event key=value ...`. Never a secret, never a
 * prompt. `odd` is what a peer or the world did wrong; `broken` is what we did wrong and fails any
 * test that sees it. */
#ifndef KITH_BASE_LOG_H
#define KITH_BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_ODD, LOG_BROKEN };

/* Takes a finished line without newline. */
typedef void (*log_sink_fn)(void *arg, enum log_level level, const char *line);
/* Milliseconds since the epoch, for the time in front of a line. */
typedef uint64_t (*log_clock_fn)(void *arg);

/* Process-wide. Before the first call lines of info and above go to standard error without a time.
 * sink or clock may be NULL for the default. */
void log_open(enum log_level least, log_sink_fn sink, log_clock_fn clock, void *arg);
bool log_level_parse(const char *name, enum log_level *out) MUST_USE;
const char *log_level_name(enum log_level level);
bool log_is_on(enum log_level level);

/* log_event(LOG_INFO, "peer", "connected", "id=%s port=%d", ...): `details` may be "". Control characters
 * in the details are replaced, so that a line stays a line. */
void log_event(enum log_level level, const char *module, const char *event, const char *details, ...) PRINTF_LIKE(4, 5);

#define LOG_WORD_ROOM 68
/* A stranger's text as one word: what is not a letter, a digit or one of -._/:+@ becomes '_', so that it looks like
 * nothing else on the line; cut off behind 64 bytes. */
void log_word(char out[LOG_WORD_ROOM], const char *text);

/* For lines that strangers can cause as often as they like: LOG_RATE_BURST of them, and LOG_RATE_SECOND more a second.
 * False: it is one too many, and counted in `unsaid`. {0} at the start. */
struct log_rate {
    uint64_t at_ms;
    uint32_t spent, unsaid;
};
bool log_rate_take(struct log_rate *r, uint64_t now_ms) MUST_USE;

#endif

/* The log. Process-wide state on purpose: a line may come from anywhere in a process, and it goes to
 * one place. */
#include "base/log.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const level_names[] = {"trace", "debug", "info", "odd", "broken"};

static struct {
    enum log_level least;
    log_sink_fn sink;
    log_clock_fn clock;
    void *arg;
} state = {.least = LOG_INFO};

void log_open(enum log_level least, log_sink_fn sink, log_clock_fn clock, void *arg)
{
    state.least = least;
    state.sink = sink;
    state.clock = clock;
    state.arg = arg;
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

bool log_is_on(enum log_level level)
{
    return level >= state.least;
}

void log_event(enum log_level level, const char *module, const char *event, const char *details, ...)
{
    char line[1024];
    if (!log_is_on(level))
        return;
    int n = 0;
    if (state.clock) {
        uint64_t ms = state.clock(state.arg);
        n = snprintf(line, sizeof line, "%" PRIu64 ".%03u ", ms / 1000, (unsigned)(ms % 1000));
    }
    n += snprintf(line + n, sizeof line - (size_t)n, "%s %.40s %.60s%s", level_names[level], module, event,
                  *details ? " " : "");
    va_list args;
    va_start(args, details);
    vsnprintf(line + n, sizeof line - (size_t)n, details, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = '?';
    if (state.sink)
        state.sink(state.arg, level, line);
    else
        fprintf(stderr, "%s\n", line);
}

void log_word(char out[LOG_WORD_ROOM], const char *text)
{
    size_t n = 0;
    for (; text[n] && n < LOG_WORD_ROOM - 4; n++) {
        char c = text[n];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        out[n] = is_plain || strchr("-._/:+@", c) ? c : '_';
    }
    out[n] = 0;
}

bool log_rate_take(struct log_rate *r, uint64_t now_ms)
{
    uint64_t back = (now_ms - r->at_ms) * LOG_RATE_SECOND / 1000;
    if (back > 0) {
        r->spent = back < r->spent ? r->spent - (uint32_t)back : 0;
        r->at_ms = now_ms;
    }
    if (r->spent >= LOG_RATE_BURST) {
        r->unsaid++;
        return false;
    }
    r->spent++;
    return true;
}

/* Names and texts of the errors, notes, and the end of a process whose own invariant broke. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
#define E(name, text) #name,
    ERR_LIST(E)
#undef E
};

static const char *const texts[] = {
#define E(name, text) text,
    ERR_LIST(E)
#undef E
};

const char *err_name(enum err e)
{
    return (unsigned)e < ERR_COUNT ? names[e] : "UNKNOWN";
}

const char *err_text(enum err e)
{
    return (unsigned)e < ERR_COUNT ? texts[e] : "unknown error";
}

enum err note_set(struct note *note, enum err e, const char *format, ...)
{
    if (!note)
        return e;
    va_list args;
    va_start(args, format);
    vsnprintf(note->text, sizeof note->text, format, args);
    va_end(args);
    return e;
}

void note_add(struct note *note, const char *text)
{
    if (!note)
        return;
    size_t n = strnlen(note->text, sizeof note->text - 1);
    snprintf(note->text + n, sizeof note->text - n, "%s", text);
}

void check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
    abort();
}

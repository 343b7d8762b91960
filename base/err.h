/* The one list of errors that the world can cause, and the note that explains one to a person.
 *
 * A function that can fail because of input, files, peers or resources returns `enum err` and is
 * marked MUST_USE. Where a person will read the failure it also takes a `struct note *` (may be
 * NULL) and leaves one line there: what was wrong, with what value, and what to do about it.
 * What only our own code can cause is a CHECK(), which is always on.
 */
#ifndef KITH_BASE_ERR_H
#define KITH_BASE_ERR_H

#define ERR_LIST(E)                                                                                                    \
    E(OK, "ok")                                                                                                        \
    E(IO, "input or output failed")                                                                                    \
    E(NOT_FOUND, "not found")                                                                                          \
    E(EXISTS, "exists already")                                                                                        \
    E(FULL, "no room left")                                                                                            \
    E(FORMAT, "malformed")                                                                                             \
    E(LIMIT, "over a limit")                                                                                           \
    E(UNSUPPORTED, "not supported")                                                                                    \
    E(RANGE, "out of range")                                                                                           \
    E(CORRUPT, "does not match its hash")                                                                              \
    E(AUTH, "signature, key or password does not fit")                                                                 \
    E(CHAIN, "of another chain")                                                                                       \
    E(NONCE, "out of sequence")                                                                                        \
    E(FUNDS, "not enough money")                                                                                       \
    E(STATE, "not possible in this state")                                                                             \
    E(DUPLICATE, "seen already")                                                                                       \
    E(EXPIRED, "too late")                                                                                             \
    E(REFUSED, "refused")                                                                                              \
    E(BUSY, "busy")                                                                                                    \
    E(TIMEOUT, "took too long")                                                                                        \
    E(CLOSED, "closed by the other side")                                                                              \
    E(PROTOCOL, "against the protocol")                                                                                \
    E(NUMERIC, "not a finite number")                                                                                  \
    E(MISMATCH, "different from what was claimed")                                                                     \
    E(CANCELLED, "cancelled")                                                                                          \
    E(USAGE, "used wrongly")

enum err {
#define E(name, text) ERR_##name,
    ERR_LIST(E)
#undef E
        ERR_COUNT
};

#define MUST_USE               __attribute__((__warn_unused_result__))
#define PRINTF_LIKE(at, first) __attribute__((__format__(__printf__, at, first)))

#ifdef __cplusplus
extern "C" {
#endif

/* "NOT_FOUND" and "not found". Total: an unknown value gives "UNKNOWN". */
const char *err_name(enum err e);
const char *err_text(enum err e);

/* One line for a person, without a newline, always terminated. */
struct note {
    char text[320];
};

/* Writes the line (cut when too long) and returns `e`, so that a failure is one statement.
 * `note` may be NULL. */
enum err note_set(struct note *note, enum err e, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts it behind what the note says, such as a remedy that a caller knows; as much as has room. */
void note_add(struct note *note, const char *text);

/* Always on: ends the process with file, line and condition. Never reached by remote input. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            check_failed(__FILE__, __LINE__, #condition);                                                              \
    } while (0)
__attribute__((__noreturn__)) void check_failed(const char *file, int line, const char *condition);

#ifdef __cplusplus
}
#endif
#endif

/* Asking the person at the terminal: passwords without echo, yes or no, and the lines of a chat. */
#ifndef KITH_CLI_LINE_H
#define KITH_CLI_LINE_H

#include "cli/cli.h"

#include <stddef.h>

#define LINE_PASSWORD_ROOM 512

/* From --password-file (its first line) or the terminal; `again` asks twice, for a new one. `out` is in locked memory
 * and has LINE_PASSWORD_ROOM bytes. Never from arguments, never from a pipe by accident. */
enum err line_password(const struct cli *cli, const char *prompt, bool again, char *out, struct note *note) MUST_USE;
/* Lines of standard input up to an empty one or its end, into locked memory of `room` bytes; for recovery words. */
enum err line_words(const char *prompt, char *out, size_t room, struct note *note) MUST_USE;
/* Asks on the terminal. CLI_DONE for yes; else it has been said: CLI_REFUSED, or CLI_USAGE where there is no terminal
 * (then
 * --yes must say it). */
int line_confirm(const struct cli *cli, const char *question);

/* Editing with history on a terminal, plain reading otherwise. */
struct line_editor;
struct line_editor *line_editor_new(const char *prompt);
/* The next line without its newline, borrowed until the next call; NULL at the end of input. */
const char *line_editor_get(struct line_editor *l);
void line_editor_free(struct line_editor *l);

#endif

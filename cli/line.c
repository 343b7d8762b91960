/* The terminal. Passwords are read with read(2) straight into locked memory: no stdio buffer keeps a copy. */
#include "cli/line.h"

#include "base/mem.h"
#include "base/secret.h"
#include "cli/out.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

/* One line, at most room - 1 bytes; false on overflow. *n is its length without line ends. */
static bool read_line(int fd, char *out, size_t room, size_t *n)
{
    *n = 0;
    for (;;) {
        char c = 0;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || c == '\n')
            break;
        if (*n + 1 >= room)
            return false;
        out[(*n)++] = c;
    }
    if (*n && out[*n - 1] == '\r')
        --*n;
    out[*n] = 0;
    return true;
}

static enum err password_from_file(const char *path, char *out, struct note *note)
{
    size_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return note_set(note, ERR_NOT_FOUND, "cannot read the password file %s: %s", path, strerror(errno));
    bool good = read_line(fd, out, LINE_PASSWORD_ROOM, &n);
    close(fd);
    if (!good)
        return note_set(note, ERR_FORMAT, "the first line of %s is longer than any password", path);
    return n ? ERR_OK : note_set(note, ERR_FORMAT, "the first line of the password file %s is empty", path);
}

static void put_text(int fd, const char *text)
{
    for (size_t n = strlen(text); n;) {
        ssize_t done = write(fd, text, n);
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static bool read_without_echo(int tty, const char *prompt, char *out)
{
    struct termios before, silent;
    size_t n;
    bool terminal = tcgetattr(tty, &before) == 0;
    put_text(tty, prompt);
    if (terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(tty, TCSAFLUSH, &silent);
    }
    bool good = read_line(tty, out, LINE_PASSWORD_ROOM, &n);
    if (terminal)
        tcsetattr(tty, TCSAFLUSH, &before);
    put_text(tty, "\n");
    return good;
}

static enum err password_from_terminal(const char *prompt, bool again, char *out, struct note *note)
{
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return note_set(note, ERR_USAGE,
                        "there is no terminal to ask the password on: give --password-file FILE or KITH_PASSWORD_FILE");
    enum err e = read_without_echo(tty, prompt, out) ? ERR_OK : note_set(note, ERR_FORMAT, "the password is too long");
    if (e == ERR_OK && again) {
        char *second = secret_new(LINE_PASSWORD_ROOM);
        if (!read_without_echo(tty, "the same again: ", second) || strcmp(out, second) != 0)
            e = note_set(note, ERR_FORMAT, "the two passwords differ: nothing was done");
        secret_free(second);
    }
    close(tty);
    return e;
}

enum err line_password(const struct cli *cli, const char *prompt, bool again, char *out, struct note *note)
{
    return cli->password_file ? password_from_file(cli->password_file, out, note)
                              : password_from_terminal(prompt, again, out, note);
}

enum err line_words(const char *prompt, char *out, size_t room, struct note *note)
{
    size_t at = 0;
    if (isatty(STDIN_FILENO))
        put_text(STDERR_FILENO, prompt);
    for (;;) {
        size_t n;
        if (!read_line(STDIN_FILENO, out + at, room - at, &n))
            return note_set(note, ERR_FORMAT, "that is more text than 24 words have");
        if (n == 0 || at + n + 2 >= room)
            break;
        at += n;
        out[at++] = ' ';
    }
    out[at] = 0;
    return ERR_OK;
}

int line_confirm(const struct cli *cli, const char *question)
{
    char answer[16];
    size_t n;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return cli_fail(cli, CLI_USAGE, "there is no terminal to confirm on: repeat with --yes to mean it");
    put_text(tty, question);
    put_text(tty, " [yes/no] ");
    bool good = read_line(tty, answer, sizeof answer, &n);
    close(tty);
    if (good && (strcasecmp(answer, "yes") == 0 || strcasecmp(answer, "y") == 0))
        return CLI_DONE;
    return cli_fail(cli, CLI_REFUSED, "not confirmed: nothing was done");
}

struct line_editor {
    const char *prompt;
    EditLine *edit; /* NULL where standard input is no terminal */
    History *history;
    char *plain;
    size_t plain_room;
};

static char *prompt_of(EditLine *edit)
{
    struct line_editor *l = NULL;
    el_get(edit, EL_CLIENTDATA, &l);
    return (char *)(uintptr_t)l->prompt;
}

struct line_editor *line_editor_new(const char *prompt)
{
    enum { HISTORY_LINES = 200 };
    struct line_editor *l = mem_new(sizeof *l);
    HistEvent event;
    l->prompt = prompt;
    if (!isatty(STDIN_FILENO))
        return l;
    l->edit = el_init("kith", stdin, stdout, stderr);
    l->history = history_init();
    if (!l->edit || !l->history)
        return l;
    history(l->history, &event, H_SETSIZE, HISTORY_LINES);
    el_set(l->edit, EL_CLIENTDATA, l);
    el_set(l->edit, EL_PROMPT, prompt_of);
    el_set(l->edit, EL_EDITOR, "emacs");
    el_set(l->edit, EL_HIST, history, l->history);
    return l;
}

static char *cut_newline(char *line)
{
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

const char *line_editor_get(struct line_editor *l)
{
    if (!l->edit)
        return getline(&l->plain, &l->plain_room, stdin) < 0 ? NULL : cut_newline(l->plain);
    int n = 0;
    HistEvent event;
    const char *line = el_gets(l->edit, &n);
    if (!line || n <= 0)
        return NULL;
    free(l->plain);
    l->plain = cut_newline(mem_string(line));
    if (*l->plain)
        history(l->history, &event, H_ENTER, l->plain);
    return l->plain;
}

void line_editor_free(struct line_editor *l)
{
    if (l->edit)
        el_end(l->edit);
    if (l->history)
        history_end(l->history);
    free(l->plain);
    free(l);
}

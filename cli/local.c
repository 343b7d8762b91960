/* Starting kith-worker over a socket pair and speaking to it. */
#include "cli/local.h"

#include "base/file.h"
#include "base/last_words.h"
#include "base/locate.h"
#include "base/mem.h"
#include "cli/cache.h"
#include "cli/out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_SIZE (64u << 10)

struct local {
    int fd, said; /* its socket, its last words */
    pid_t pid;
    struct keep_file pack;
    struct buf in;
    size_t used; /* of `in`: the message that was given out last */
    struct wire_opened opened;
};

static volatile sig_atomic_t broken;

void local_break(bool is_broken)
{
    broken = is_broken;
}

enum err local_find_model(const char *model, struct buf *path, struct note *note)
{
    struct note ignored;
    struct buf file = {0};
    buf_reset(path);
    if (access(model, F_OK) == 0 || errno == EACCES) {
        buf_add_text(path, model);
        return ERR_OK;
    }
    bool is_default = strcmp(model, "default") == 0;
    buf_add_format(&file, "%s.gguf", is_default ? "kith-guide" : model);
    enum err e = ERR_NOT_FOUND;
    if (is_default)
        e = locate_model(buf_text(&file), path, note);
    else if (!strchr(model, '/'))
        e = locate_model(buf_text(&file), path, &ignored);
    buf_clear(&file);
    if (e != ERR_OK && !is_default)
        return note_set(note, ERR_NOT_FOUND,
                        "there is no model file \"%.200s\": give the path of a GGUF file, or `default`", model);
    return e;
}

/* In the child: nothing but these descriptors (nothing that is typed, nothing that is shown), no environment but what
 * locate_environment names, no terminal's signals. Only calls that are safe between fork and exec. */
static _Noreturn void become_worker(const char *program, int socket, int model, int pack, int says)
{
    char *argv[] = {"kith-worker", NULL}, *environment[LOCATE_ENVIRONMENT_MAX];
    locate_environment(environment);
    setsid();
    /* Out of the way of all targets first. */
    int s = fcntl(socket, F_DUPFD, 10), m = fcntl(model, F_DUPFD, 10), p = pack < 0 ? -1 : fcntl(pack, F_DUPFD, 10);
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (none < 0 || dup2(none, STDIN_FILENO) < 0 || dup2(none, STDOUT_FILENO) < 0 || dup2(says, STDERR_FILENO) < 0)
        _exit(127);
    if (s >= 0 && m >= 0 && dup2(s, WORKER_FD_SOCKET) >= 0 && dup2(m, WORKER_FD_MODEL) >= 0 &&
        (pack < 0 || (p >= 0 && dup2(p, WORKER_FD_PACK) >= 0)))
        execve(program, argv, environment);
    _exit(127);
}

static enum err start(struct local *l, const char *program, int model, struct note *note)
{
    int pair[2], says;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return note_set(note, ERR_IO, "no socket for the worker: %s", strerror(errno));
    l->said = last_words_open(&says);
    l->pid = fork();
    if (l->pid == 0)
        become_worker(program, pair[1], model, l->pack.fd, says);
    close(pair[1]);
    last_words_start(says);
    l->fd = pair[0];
    if (l->pid < 0)
        return note_set(note, ERR_IO, "the worker cannot be started: %s", strerror(errno));
    return ERR_OK;
}

/* Hashing a large file takes a while: what is none of ours for sure is refused before that. The rest is the worker's.
 */
static enum err open_file(const char *path, int *fd, struct note *note)
{
    char magic[4];
    uint64_t size;
    enum err e = file_open_regular(path, fd, &size, note);
    if (e == ERR_OK && size >= sizeof magic)
        e = file_read_at(*fd, path, magic, sizeof magic, 0, note);
    if (e == ERR_OK && size >= sizeof magic && memcmp(magic, "GGUF", sizeof magic) != 0)
        e = note_set(note, ERR_FORMAT, "%.200s is no GGUF file: it does not begin with \"GGUF\"", path);
    return e;
}

/* What the worker says of a file does not name it. */
static enum err name_file(const char *path, enum err e, struct note *note)
{
    struct note said = *note;
    return note_set(note, e, "%.120s: %s", path, said.text);
}

/* What is known of the file and kept of it. */
static enum err prepare(struct local *l, int model, struct wire_open *how, struct note *note)
{
    struct stat st;
    struct note remark;
    if (how->mode != WIRE_FULL && how->mode != WIRE_TRAINING)
        return ERR_OK;
    enum err e = cache_root(model, &how->root, note);
    if (e != ERR_OK || how->mode == WIRE_TRAINING || fstat(model, &st) != 0)
        return e;
    cache_pack(&how->root, (uint64_t)st.st_size, &l->pack, &remark);
    if (remark.text[0])
        cli_remark("%s", remark.text);
    how->pack = l->pack.fd < 0 ? WIRE_PACK_NONE : l->pack.is_new ? WIRE_PACK_NEW : WIRE_PACK_KEPT;
    return ERR_OK;
}

/* The first answer. */
static enum err take_opened(struct local *l, const char *path, const char *program, struct note *note)
{
    struct wire_frame frame;
    enum err e = local_next(l, &frame, note);
    if (e == ERR_OK && (frame.type != WIRE_OPENED || !wire_read_opened(frame.body, &l->opened)))
        return note_set(note, ERR_PROTOCOL, "%.200s is not the worker of this kith", program);
    if (e != ERR_OK)
        return e == ERR_CLOSED ? e : name_file(path, e, note);
    if (l->opened.remark.n)
        cli_remark("%s", l->opened.remark.s);
    if (l->opened.packed == WIRE_PACKED_BAD)
        keep_remove(&l->pack);
    else if (l->opened.packed == WIRE_PACKED_MADE)
        sync_file_range(l->pack.fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* begun, so that the end need not wait for it */
    else if (l->opened.packed != WIRE_PACKED_USED)
        keep_clear(&l->pack);
    return ERR_OK;
}

enum err local_open(const char *path, const struct wire_open *how, struct local **out, struct note *note)
{
    struct local *l = mem_new(sizeof *l);
    struct buf program = {0}, frames = {0};
    struct wire_open open = *how;
    int model = -1;
    l->fd = l->said = -1;
    l->pack.fd = -1;
    enum err e = locate_worker(&program, note);
    if (e == ERR_OK)
        e = open_file(path, &model, note);
    if (e == ERR_OK)
        e = prepare(l, model, &open, note);
    if (e == ERR_OK)
        e = start(l, buf_text(&program), model, note);
    if (e == ERR_OK) {
        wire_add_open(&frames, &open);
        e = local_send(l, &frames, note);
    }
    if (e == ERR_OK)
        e = take_opened(l, path, buf_text(&program), note);
    if (model >= 0)
        close(model);
    buf_clear(&program);
    buf_clear(&frames);
    if (e != ERR_OK) {
        local_close(l);
        return e;
    }
    *out = l;
    return ERR_OK;
}

/* Packed weights that were made are kept; one that could not be is made again next time. */
static void settle_pack(struct local *l)
{
    struct note note;
    if (l->pack.fd >= 0 && l->opened.packed == WIRE_PACKED_MADE && keep_finish(&l->pack, &note) != ERR_OK)
        cli_remark("%s", note.text);
    keep_clear(&l->pack);
}

uint64_t local_close(struct local *l)
{
    struct rusage use = {0};
    char said[LAST_WORDS_ROOM];
    if (!l)
        return 0;
    if (l->fd >= 0)
        close(l->fd); /* which ends it */
    if (l->pid > 0) {
        kill(l->pid, SIGKILL); /* even in the middle of a batch */
        while (wait4(l->pid, NULL, 0, &use) < 0 && errno == EINTR)
            ;
    }
    last_words_take(l->said, said);
    if (said[0])
        cli_remark("the worker said: %s", said);
    settle_pack(l);
    buf_clear(&l->in);
    free(l);
    return (uint64_t)use.ru_maxrss * 1024;
}

const struct wire_opened *local_opened(const struct local *l)
{
    return &l->opened;
}

static enum err ended(struct local *l, struct note *note)
{
    int status = 0;
    if (l->pid > 0 && waitpid(l->pid, &status, 0) == l->pid)
        l->pid = 0;
    if (WIFSIGNALED(status))
        return note_set(note, ERR_CLOSED, "the worker was killed by signal %d (%s); the same command tries again",
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
    return note_set(note, ERR_CLOSED, "the worker ended with status %d before it had answered", WEXITSTATUS(status));
}

/* A worker that ends by itself says why first; that came in before it was gone. */
static enum err last_words(struct local *l, struct note *note)
{
    struct wire_frame frame;
    enum err e = ERR_OK;
    while (e == ERR_OK)
        e = local_next(l, &frame, note);
    return e;
}

enum err local_send(struct local *l, struct buf *frames, struct note *note)
{
    for (size_t at = 0; at < frames->n;) {
        ssize_t n = send(l->fd, frames->p + at, frames->n - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return last_words(l, note);
        at += (size_t)n;
    }
    buf_reset(frames);
    return ERR_OK;
}

/* More bytes of the worker, waiting for them. */
static enum err fill(struct local *l, struct note *note)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    int rc = broken ? -1 : poll(&p, 1, -1);
    if (broken)
        return note_set(note, ERR_CANCELLED, "broken off");
    if (rc < 0)
        return ERR_OK; /* another signal: look again */
    buf_reserve(&l->in, READ_SIZE);
    ssize_t n = recv(l->fd, l->in.p + l->in.n, READ_SIZE, 0);
    if (n < 0 && errno == EINTR)
        return ERR_OK;
    if (n <= 0)
        return ended(l, note);
    l->in.n += (size_t)n;
    return ERR_OK;
}

/* A GPU failed; the question goes on. */
static void say_device(struct local *l, const struct wire_frame *frame)
{
    struct wire_device m;
    if (!wire_read_device(frame->body, &m))
        return;
    l->opened.device = m.device;
    cli_remark("%s", m.device.s);
}

enum err local_next(struct local *l, struct wire_frame *frame, struct note *note)
{
    for (;;) {
        struct wire_failed failed;
        buf_drop(&l->in, l->used);
        l->used = 0;
        enum err e = wire_next(bytes_of_buf(&l->in), false, frame, &l->used);
        if (e != ERR_OK)
            return note_set(note, e, "the worker spoke against the protocol");
        if (l->used == 0) {
            e = fill(l, note);
            if (e != ERR_OK)
                return e;
            continue;
        }
        if (frame->type == WIRE_DEVICE) {
            say_device(l, frame);
            continue;
        }
        if (frame->type != WIRE_FAILED)
            return ERR_OK;
        if (!wire_read_failed(frame->body, &failed))
            return note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
        if (failed.ask == 0 && failed.code == ERR_CORRUPT)
            keep_remove(&l->pack);
        return wire_failure(&failed, note);
    }
}

enum err local_tokenize(struct local *l, struct bytes text, enum wire_ends ends, struct buf *ids, struct note *note)
{
    struct buf out = {0};
    struct wire_frame frame;
    struct wire_tokens m;
    if (text.n > PROMPT_BYTES_MAX)
        return note_set(note, ERR_LIMIT, "the text has %zu bytes: at most %u are allowed", text.n, PROMPT_BYTES_MAX);
    wire_add_tokenize(&out, &(struct wire_tokenize){.ask = 1, .ends = (uint8_t)ends, .text = text});
    enum err e = local_send(l, &out, note);
    if (e == ERR_OK)
        e = local_next(l, &frame, note);
    if (e == ERR_OK && (frame.type != WIRE_TOKENS || !wire_read_tokens(frame.body, &m)))
        e = note_set(note, ERR_PROTOCOL, "the worker spoke against the protocol");
    if (e == ERR_OK)
        buf_add(ids, m.ids.p, m.ids.n);
    buf_clear(&out);
    return e;
}

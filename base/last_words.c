#include "base/last_words.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

int last_words_open(int *child)
{
    int end[2];
    *child = STDERR_FILENO;
    if (IS_SANITIZED || pipe2(end, O_CLOEXEC | O_NONBLOCK) != 0) /* we never wait for its children */
        return -1;
    *child = end[1];
    return end[0];
}

void last_words_start(int child)
{
    if (child != STDERR_FILENO)
        close(child);
}

void last_words_take(int fd, char out[LAST_WORDS_ROOM])
{
    char part[4096], keep[LAST_WORDS_ROOM - 1];
    size_t n = 0;
    for (ssize_t got; fd >= 0 && (got = read(fd, part, sizeof part)) > 0;) {
        size_t fresh = (size_t)got < sizeof keep ? (size_t)got : sizeof keep;
        size_t old = n + fresh <= sizeof keep ? n : sizeof keep - fresh;
        memmove(keep, keep + n - old, old);
        memcpy(keep + old, part + (size_t)got - fresh, fresh);
        n = old + fresh;
    }
    if (fd >= 0)
        close(fd);
    while (n > 0 && keep[n - 1] == '\n')
        n--;
    for (size_t i = 0; i < n; i++)
        out[i] = keep[i] == '"' ? '\'' : keep[i] >= ' ' && keep[i] < 127 ? keep[i] : keep[i] == '\n' ? ' ' : '?';
    out[n] = 0;
}

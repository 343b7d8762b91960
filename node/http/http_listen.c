/* The sockets that HTTP is served on. */
#include "node/http/http_in.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum err http_listen_tcp(const char *where, int *fd, unsigned *port, struct note *note)
{
    const char *colon = strrchr(where, ':');
    if (!colon || colon == where || !colon[1])
        return note_set(note, ERR_USAGE, "\"%.80s\" is no HOST:PORT to serve HTTP on", where);
    char name[256];
    size_t n = (size_t)(colon - where);
    bool bracketed = n >= 2 && where[0] == '[' && where[n - 1] == ']';
    if (n >= sizeof name)
        return note_set(note, ERR_USAGE, "the host name in \"%.80s\" is too long", where);
    memcpy(name, where + bracketed, n - 2 * bracketed);
    name[n - 2 * bracketed] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    if (getaddrinfo(name, colon + 1, &hints, &found) != 0 || !found)
        return note_set(note, ERR_USAGE, "cannot find the address \"%.80s\" to serve HTTP on", where);
    int one = 1;
    *fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd >= 0)
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool good = *fd >= 0 && bind(*fd, found->ai_addr, found->ai_addrlen) == 0 && listen(*fd, 1024) == 0;
    int why = errno;
    freeaddrinfo(found);
    if (!good)
        return note_set(note, why == EADDRINUSE ? ERR_BUSY : ERR_IO, "cannot serve HTTP on %s: %s%s", where,
                        strerror(why), why == EADDRINUSE ? "; choose another with --http HOST:PORT" : "");
    struct sockaddr_storage bound;
    socklen_t bound_n = sizeof bound;
    CHECK(getsockname(*fd, (struct sockaddr *)&bound, &bound_n) == 0);
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return ERR_OK;
}

enum err http_listen_unix(const char *path, int *fd, struct note *note)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path)
        return note_set(note, ERR_LIMIT, "the socket path %.200s is longer than %zu: choose a shorter --home", path,
                        sizeof at.sun_path - 1);
    memcpy(at.sun_path, path, strlen(path) + 1);
    unlink(path); /* the home's lock is ours, so whoever made this one is dead */
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    bool good = *fd >= 0 && bind(*fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(*fd, 256) == 0;
    int why = errno;
    umask(before);
    if (!good)
        return note_set(note, ERR_IO, "cannot listen on %.200s: %s", path, strerror(why));
    return ERR_OK;
}

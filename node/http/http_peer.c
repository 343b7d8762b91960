/* Who is at the other end of a socket. */
#include "node/http/http_in.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool http_peer_is_ours(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == getuid() || peer.uid == 0);
}

/* An IPv4 address in an IPv6 socket as what it is: the other end may know itself by that alone. */
static void unmap(struct sockaddr_storage *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    const struct sockaddr_in6 six = *(const struct sockaddr_in6 *)a;
    if (a->ss_family != AF_INET6 || memcmp(six.sin6_addr.s6_addr, mapped, sizeof mapped) != 0)
        return;
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six.sin6_port};
    memcpy(&four.sin_addr, six.sin6_addr.s6_addr + sizeof mapped, sizeof four.sin_addr);
    memcpy(a, &four, sizeof four);
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static bool ends_of(int fd, struct sockaddr_storage *own, struct sockaddr_storage *peer)
{
    socklen_t own_n = sizeof *own, peer_n = sizeof *peer;
    if (getsockname(fd, (struct sockaddr *)own, &own_n) != 0 || getpeername(fd, (struct sockaddr *)peer, &peer_n) != 0)
        return false;
    unmap(own);
    unmap(peer);
    return true;
}

static void put_end(const struct sockaddr_storage *a, uint16_t *port, uint32_t address[4])
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    *port = a->ss_family == AF_INET ? four->sin_port : six->sin6_port;
    if (a->ss_family == AF_INET)
        memcpy(address, &four->sin_addr, sizeof four->sin_addr);
    else
        memcpy(address, &six->sin6_addr, sizeof six->sin6_addr);
}

/* The kernel's answer about the socket whose ends these are, as sock_diag(7) describes, which is left as it is where
 * there is no such socket (any more). False: the kernel does not answer such questions. */
static bool look_up(int netlink, const struct sockaddr_storage *from, const struct sockaddr_storage *to,
                    struct inet_diag_msg *found)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 ask;
    } out = {.head = {.nlmsg_len = sizeof out, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST}};
    union {
        struct nlmsghdr head;
        uint8_t bytes[1024];
    } in;
    out.ask.sdiag_family = (uint8_t)from->ss_family;
    out.ask.sdiag_protocol = IPPROTO_TCP;
    out.ask.idiag_states = ~0U;
    out.ask.id.idiag_cookie[0] = out.ask.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    put_end(from, &out.ask.id.idiag_sport, out.ask.id.idiag_src);
    put_end(to, &out.ask.id.idiag_dport, out.ask.id.idiag_dst);
    if (send(netlink, &out, sizeof out, 0) != (ssize_t)sizeof out)
        return false;
    ssize_t n = recv(netlink, &in, sizeof in, 0);
    if (n >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) && in.head.nlmsg_type == NLMSG_ERROR)
        return ((const struct nlmsgerr *)NLMSG_DATA(&in.head))->error == -ENOENT;
    if (n < (ssize_t)NLMSG_LENGTH(sizeof *found) || in.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    memcpy(found, NLMSG_DATA(&in.head), sizeof *found);
    return true;
}

/* Whose socket the other end is. Only of one that is open on both sides does the kernel know whose it is: it shows what
 * was closed behind a request as nobody's, which is root's number. Where it does not say (no such service in it),
 * anybody on this machine is taken for its user. */
static bool is_our_users(const struct sockaddr_storage *own, const struct sockaddr_storage *peer)
{
    struct inet_diag_msg found = {0};
    int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0)
        return true;
    bool is_known = look_up(netlink, peer, own, &found);
    close(netlink);
    if (!is_known)
        return true;
    return found.idiag_state == TCP_ESTABLISHED && (found.idiag_uid == getuid() || found.idiag_uid == 0);
}

bool http_peer_is_near(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    return ends_of(fd, &own, &peer) && is_loopback(&peer) && is_our_users(&own, &peer);
}

bool http_own_address(int fd, char *out, size_t room)
{
    struct sockaddr_storage own = {0}, peer = {0};
    char text[64];
    if (!ends_of(fd, &own, &peer) ||
        getnameinfo((struct sockaddr *)&own, sizeof own, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
        return false;
    return snprintf(out, room, own.ss_family == AF_INET6 ? "[%s]" : "%s", text) < (int)room;
}

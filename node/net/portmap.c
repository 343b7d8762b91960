/* One router, asked in two ways. A `task` is what a thread works on; the loop looks at it only when it is done. */
#include "node/net/portmap.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <natpmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPNP_CONFLICT       718 /* the port is another machine's */
#define UPNP_ONLY_PERMANENT 725 /* a router that knows no leases */

struct task {
    struct portmap *owner;
    bool remove;
    uint16_t inside, outside; /* outside: what is wanted, then what is */
    const char *by;           /* of what stands: that way first, and the only one for giving back */
    bool good;
    char host[64], why[128];
};

struct portmap {
    struct host *host;
    uint16_t port;
    struct portmap_info info;
    struct timer timer;
    struct task task;
    bool working, freed;
    portmap_fn fn;
    void *fn_arg;
};

static void failed(struct task *t, const char *by, const char *what, int code)
{
    size_t n = strlen(t->why);
    snprintf(t->why + n, sizeof t->why - n, "%s%s: %s (%d)", n ? "; " : "", by, what, code);
}

/* -- NAT-PMP (RFC 6886) -- */

/* It asks again after 250 ms, 500 ms, ...; readnatpmpresponseorretry does that when its time has come. */
static int natpmp_answer(natpmp_t *n, natpmpresp_t *out)
{
    int got = NATPMP_TRYAGAIN;
    while (got == NATPMP_TRYAGAIN && n->try_number <= PORTMAP_TRIES) {
        struct timeval left = {0};
        struct pollfd fd = {.fd = n->s, .events = POLLIN};
        if (getnatpmprequesttimeout(n, &left) < 0)
            return NATPMP_ERR_NOPENDINGREQ;
        int64_t ms = (int64_t)left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
        if (ms > 0)
            (void)poll(&fd, 1, (int)(ms < 5000 ? ms : 5000));
        got = readnatpmpresponseorretry(n, out);
    }
    return got;
}

static void by_natpmp(struct task *t)
{
    natpmp_t n;
    natpmpresp_t r;
    int e = initnatpmp(&n, 0, 0);
    if (e != 0) {
        failed(t, "NAT-PMP", e == NATPMP_ERR_CANNOTGETGATEWAY ? "there is no gateway" : "no socket", e);
        return;
    }
    e = sendnewportmappingrequest(&n, NATPMP_PROTOCOL_TCP, t->inside, t->remove ? 0 : t->outside,
                                  t->remove ? 0 : PORTMAP_LEASE_S);
    e = e < 0 ? e : natpmp_answer(&n, &r);
    t->good = e == 0 && (t->remove || r.pnu.newportmapping.mappedpublicport != 0);
    if (!t->good) {
        failed(t, "NAT-PMP", e == NATPMP_TRYAGAIN ? "no answer" : "refused", e);
    } else if (!t->remove) {
        t->by = "NAT-PMP";
        t->outside = r.pnu.newportmapping.mappedpublicport;
        if (sendpublicaddressrequest(&n) >= 0 && natpmp_answer(&n, &r) == 0 &&
            !inet_ntop(AF_INET, &r.pnu.publicaddress.addr, t->host, sizeof t->host))
            t->host[0] = 0;
    }
    closenatpmp(&n);
}

/* -- UPnP -- */

static void upnp_add(struct task *t, const struct UPNPUrls *urls, const struct IGDdatas *data, const char *here)
{
    char inside[8], outside[8], lease[12];
    uint16_t port = t->outside;
    int e = UPNP_CONFLICT;
    snprintf(inside, sizeof inside, "%u", t->inside);
    snprintf(lease, sizeof lease, "%u", PORTMAP_LEASE_S);
    for (unsigned i = 0; i < PORTMAP_PORTS && e == UPNP_CONFLICT; i++) {
        port = (uint16_t)(t->outside + i);
        snprintf(outside, sizeof outside, "%u", port);
        e = UPNP_AddPortMapping(urls->controlURL, data->first.servicetype, outside, inside, here, "kith", "TCP", NULL,
                                lease);
        if (e == UPNP_ONLY_PERMANENT)
            e = UPNP_AddPortMapping(urls->controlURL, data->first.servicetype, outside, inside, here, "kith", "TCP",
                                    NULL, "0");
    }
    t->good = e == 0;
    if (!t->good) {
        failed(t, "UPnP", "refused", e);
        return;
    }
    t->by = "UPnP";
    t->outside = port;
    if (UPNP_GetExternalIPAddress(urls->controlURL, data->first.servicetype, t->host) != 0)
        t->host[0] = 0;
}

static void by_upnp(struct task *t)
{
    struct UPNPUrls urls = {0};
    struct IGDdatas data = {0};
    char here[64] = "", outside[8];
    int e = 0;
    struct UPNPDev *found = upnpDiscover(PORTMAP_DISCOVER_MS, NULL, NULL, UPNP_LOCAL_PORT_ANY, 0, 2, &e);
    int kind = found ? UPNP_GetValidIGD(found, &urls, &data, here, sizeof here) : 0;
    snprintf(outside, sizeof outside, "%u", t->outside);
    if (kind != 1)
        failed(t, "UPnP", kind == 2 ? "the router is not connected, or has no public address" : "no router answers", e);
    else if (t->remove)
        t->good = UPNP_DeletePortMapping(urls.controlURL, data.first.servicetype, outside, "TCP", NULL) == 0;
    else
        upnp_add(t, &urls, &data, here);
    if (kind != 0)
        FreeUPNPUrls(&urls);
    freeUPNPDevlist(found);
}

/* -- the thread, and what comes of it -- */

static void work(void *arg)
{
    struct task *t = arg;
    const char *by = t->by;
    bool upnp_first = strcmp(by, "UPnP") == 0;
    if (upnp_first)
        by_upnp(t);
    if (!t->good && !(t->remove && upnp_first))
        by_natpmp(t);
    if (!t->good && !upnp_first && !t->remove)
        by_upnp(t);
}

static void done(void *arg);

static void begin(struct portmap *p, bool give_back)
{
    p->working = true;
    p->task = (struct task){.owner = p,
                            .remove = give_back,
                            .inside = p->port,
                            .outside = p->info.state == PORTMAP_MAPPED ? p->info.port : p->port,
                            .by = p->info.by};
    host_submit(p->host, work, done, &p->task);
}

static void again(void *arg)
{
    begin(arg, false);
}

static void take_result(struct portmap *p)
{
    const struct task *t = &p->task;
    struct portmap_info old = p->info;
    p->info = (struct portmap_info){.state = t->good ? PORTMAP_MAPPED : PORTMAP_NONE, .by = t->good ? t->by : ""};
    if (t->good) {
        p->info.port = t->outside;
        snprintf(p->info.host, sizeof p->info.host, "%s", t->host);
    } else {
        snprintf(p->info.why, sizeof p->info.why, "%s", t->why);
    }
    if (old.state == p->info.state && old.port == p->info.port)
        return;
    if (t->good)
        log_event(LOG_INFO, "portmap", "mapped", "by=%s outside=%s:%u inside=%u", t->by, t->host, t->outside,
                  t->inside);
    else
        log_event(LOG_INFO, "portmap", "no router passes the port on", "why=%s", t->why);
}

static void done(void *arg)
{
    struct portmap *p = ((struct task *)arg)->owner;
    p->working = false;
    if (p->task.remove) {
        log_event(LOG_INFO, "portmap", p->task.good ? "given back" : "not given back", "port=%u", p->task.outside);
        p->info.state = PORTMAP_NONE;
    } else {
        take_result(p);
    }
    if (p->freed && p->info.state == PORTMAP_MAPPED && !p->task.remove) {
        begin(p, true);
        return;
    }
    if (p->freed) {
        free(p);
        return;
    }
    host_timer_set(p->host, &p->timer, p->info.state == PORTMAP_MAPPED ? PORTMAP_LEASE_S * 500u : PORTMAP_AGAIN_MS,
                   again, p);
    p->fn(p->fn_arg);
}

struct portmap *portmap_new(struct host *host, uint16_t port, portmap_fn fn, void *arg)
{
    struct portmap *p = mem_new(sizeof *p);
    p->host = host;
    p->port = port;
    p->info.by = "";
    p->fn = fn;
    p->fn_arg = arg;
    begin(p, false);
    return p;
}

void portmap_free(struct portmap *p)
{
    if (!p)
        return;
    host_timer_cancel(p->host, &p->timer);
    p->freed = true;
    if (p->working)
        return; /* `done` goes on */
    if (p->info.state == PORTMAP_MAPPED)
        begin(p, true);
    else
        free(p);
}

struct portmap_info portmap_info(const struct portmap *p)
{
    return p->info;
}

/* Showing transcripts. */
#include "node/market/show.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/market/job_wire.h"

#include <stdlib.h>

#define SHOW_AGAIN_MS 2000

static void show_free(struct show *x)
{
    for (struct show **at = &x->shows->first; *at; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            break;
        }
    if (x->stream)
        streams_close(x->shows->s->streams, x->stream, ERR_OK, "");
    host_timer_cancel(x->shows->s->host, &x->timer);
    free(x);
}

static enum err send(struct show *x)
{
    const struct shows *l = x->shows;
    struct buf plain = {0}, message = {0};
    enum err e = l->put(l->arg, x, &plain);
    job_message_start(&message, AUDIT_SHOW);
    if (e == ERR_OK && !market_seal(l->s, &x->to, bytes_of_buf(&plain), &message))
        e = ERR_NOT_FOUND;
    if (e == ERR_OK)
        e = streams_send(l->s->streams, x->stream, bytes_of_buf(&message));
    buf_clear(&plain);
    buf_clear(&message);
    return e;
}

/* ERR_BUSY: the connection is being made, on_opened comes back here. */
static void try_show(struct show *x)
{
    enum err e = send(x);
    if (e != ERR_OK && e != ERR_BUSY)
        log_event(LOG_ODD, "show", "transcript not shown", "error=%s index=%u", err_name(e), x->index);
}

static void on_opened(void *arg, uint64_t stream)
{
    (void)stream;
    try_show(arg);
}

static void on_closed(void *arg, uint64_t stream, enum err reason, const char *text)
{
    struct show *x = arg;
    (void)stream;
    x->stream = 0;
    log_event(reason == ERR_OK ? LOG_DEBUG : LOG_ODD, "show", "auditor closed", "reason=%s text=%s", err_name(reason),
              text);
}

static const struct stream_calls show_calls = {.opened = on_opened, .closed = on_closed};

static void show_step(void *arg)
{
    struct show *x = arg;
    const struct market_services *s = x->shows->s;
    struct rec_provider rec;
    if (!x->shows->is_owed(x->shows->arg, x)) {
        show_free(x);
        return;
    }
    host_timer_set(s->host, &x->timer, SHOW_AGAIN_MS, show_step, x);
    if (x->stream)
        return;
    struct buf body = {0};
    struct audit_open open = {.settlement = x->id, .index = x->index};
    audit_open_put(&body, &open);
    bool known = ledger_provider(s->ledger, &x->to, &rec) && rec.endpoint.n;
    enum err e = streams_open(s->streams, &x->to, known ? rec.endpoint.s : NULL, STREAM_AUDIT, bytes_of_buf(&body),
                              &show_calls, x, &x->stream);
    buf_clear(&body);
    if (e == ERR_OK) {
        try_show(x);
    } else {
        x->stream = 0;
        log_event(LOG_ODD, "show", "auditor out of reach", "error=%s", err_name(e));
    }
}

void shows_add(struct shows *l, const struct hash *id, const struct pubkey *to, uint32_t index)
{
    struct show *x = mem_new(sizeof *x);
    *x = (struct show){.shows = l, .next = l->first, .id = *id, .to = *to, .index = index};
    l->first = x;
    host_timer_set(l->s->host, &x->timer, 0, show_step, x);
}

void shows_clear(struct shows *l)
{
    while (l->first)
        show_free(l->first);
}

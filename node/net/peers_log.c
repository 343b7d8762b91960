/* Lines about peers: who came, who went, who broke the protocol. Strangers choose how often that is and what is in it,
 * so the lines have a rate, and their texts are one word. */
#include "node/net/peers_in.h"

/* Lines about peers are as many as the log takes; about strangers, one a second. */
static bool is_noise(const struct link *l)
{
    struct peers *p = l->owner;
    uint64_t now_ms = host_now_ms(p->host), last_ms = p->stranger_odd_ms;
    if (l->up || l->dialled)
        return !log_rate_take(&p->lines, now_ms);
    if (last_ms != 0 && now_ms < last_ms + 1000)
        return true;
    p->stranger_odd_ms = now_ms;
    return false;
}

static void log_unsaid(struct peers *p)
{
    if (p->lines.unsaid > 0)
        log_event(LOG_ODD, "peers", "many lines", "unsaid=%u (said at the level of debug)", p->lines.unsaid);
    p->lines.unsaid = 0;
}

void peers_log_up(const struct link *l)
{
    char hex[65], agent[LOG_WORD_ROOM];
    bool noise = is_noise(l);
    hex_put(hex, peer_key(l->peer)->b, sizeof peer_key(l->peer)->b);
    log_word(agent, peer_hello(l->peer)->agent.s);
    if (!noise)
        log_unsaid(l->owner);
    log_event(noise ? LOG_DEBUG : LOG_INFO, "peers", "up", "peer=%.16s endpoint=%s dialled=%d agent=%s", hex,
              l->endpoint, l->dialled, agent);
}

void peers_log_down(const struct link *l)
{
    char hex[65] = "-";
    bool faulty = l->peer && peer_is_faulty(l->peer);
    if (l->dialled)
        hex_put(hex, l->expected.b, sizeof l->expected.b);
    else if (l->up)
        hex_put(hex, peer_key(l->peer)->b, sizeof peer_key(l->peer)->b);
    enum log_level level = faulty || l->gone_reason == ERR_CHAIN ? LOG_ODD : l->up ? LOG_INFO : LOG_DEBUG;
    if (level != LOG_DEBUG && is_noise(l))
        level = LOG_DEBUG;
    if (level != LOG_DEBUG)
        log_unsaid(l->owner);
    log_event(level, "peers", faulty ? "misbehaved" : "down", "peer=%.16s endpoint=%s err=%s why=%s", hex, l->endpoint,
              err_name(l->gone_reason), l->gone_text);
}

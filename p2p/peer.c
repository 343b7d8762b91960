/* One connection: frames, messages, hello, ping, allowance, ending. */
#include "p2p/peer.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_ROOM    (256u << 10) /* of a buffer that is empty */
#define STRANGER_MAX 4096         /* bytes taken from one who has not proven a key */

struct peer {
    enum peer_state state;
    struct noise noise;
    bool dialled;
    struct pubkey self, key;
    struct hello mine, theirs;

    struct buf in;  /* received, not yet decrypted; [0, in_used) is done with */
    size_t in_used; /* dropped in one go, so that small frames do not shift large buffers */
    struct buf out; /* to be written; [0, out_used) was */
    size_t out_used;
    struct buf part;    /* plaintext of the frame being sent */
    struct buf frame;   /* plaintext of the frame that came; `body` of peer_next may lie in it */
    struct buf message; /* body so far of a message over several frames */
    bool frame_is_open; /* its header was read: */
    uint16_t frame_length;
    uint8_t message_type; /* of the message being put together; 0 if none */

    int64_t allowance; /* what they may still cost us; below 0: throttled */
    uint64_t allowance_at_ms;
    uint64_t started_ms, heard_ms, pinged_ms;
    uint64_t stuck_ms; /* since when no byte of what waits was taken, as far as peer_step saw */
    bool has_moved;    /* one was, since then */
    uint64_t ping_cookie;
    bool ping_is_out;
    uint32_t rtt_ms;

    bool faulty;
    enum err reason;
    char text[256];
};

static void end(struct peer *p, bool faulty, enum err reason, const char *format, ...) PRINTF_LIKE(4, 5);
static void end(struct peer *p, bool faulty, enum err reason, const char *format, ...)
{
    if (p->state == PEER_ENDED)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(p->text, sizeof p->text, format, args);
    va_end(args);
    p->state = PEER_ENDED;
    p->faulty = faulty;
    p->reason = reason;
    noise_clear(&p->noise);
}

static struct peer *create(const struct peer_setup *s)
{
    struct peer *p = mem_new(sizeof *p);
    p->mine = s->hello;
    p->self = s->self;
    p->started_ms = p->heard_ms = p->pinged_ms = p->stuck_ms = p->allowance_at_ms = s->now_ms;
    p->allowance = PEER_RATE_BURST;
    return p;
}

struct peer *peer_new_dialled(const struct peer_setup *s, const struct pubkey *expected)
{
    struct peer *p = create(s);
    struct point remote = key_point_even(expected);
    p->dialled = true;
    p->key = *expected;
    if (!noise_init_initiator(&p->noise, s->key, &remote, &s->ephemeral, &p->out)) {
        peer_free(p);
        return NULL;
    }
    return p;
}

struct peer *peer_new_accepted(const struct peer_setup *s)
{
    struct peer *p = create(s);
    noise_init_responder(&p->noise, s->key, &s->ephemeral);
    return p;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    noise_clear(&p->noise);
    buf_clear(&p->in);
    buf_clear(&p->out);
    buf_clear(&p->part);
    buf_clear(&p->frame);
    buf_clear(&p->message);
    free(p);
}

/* -- sending -- */

/* Empties, and gives back what only a rare large message needed. */
static void empty(struct buf *b)
{
    if (b->room > KEEP_ROOM)
        buf_clear(b);
    else
        buf_reset(b);
}

/* Cuts a message into frames. The queue's bound is looked at before, so a message is never cut off. */
static enum err queue(struct peer *p, enum msg_type type, struct bytes body)
{
    const size_t part_max = FRAME_BODY_MAX - 1;
    if (peer_queued(p) + body.n + NOISE_FRAME_EXTRA * (body.n / part_max + 1) > PEER_SEND_QUEUE_MAX) {
        end(p, false, ERR_FULL, "does not read what it is sent");
        return ERR_FULL;
    }
    do {
        size_t n = body.n < part_max ? body.n : part_max;
        uint8_t head = (uint8_t)(type | (n < body.n ? FRAME_MORE : 0));
        buf_reset(&p->part);
        buf_add(&p->part, &head, 1);
        buf_add(&p->part, body.p, n);
        noise_put(&p->noise, &p->out, bytes_of_buf(&p->part));
        body.n -= n;
        if (body.n)
            body.p += n;
    } while (body.n);
    return ERR_OK;
}

enum err peer_send(struct peer *p, enum msg_type type, struct bytes body)
{
    const struct msg_rule *rule = msg_rule((uint8_t)type);
    CHECK(rule);
    if (p->state != PEER_READY)
        return ERR_STATE;
    if (body.n > rule->size_max)
        return ERR_LIMIT;
    return queue(p, type, body);
}

static void queue_hello(struct peer *p)
{
    struct buf body = {0};
    hello_put(&body, &p->mine);
    (void)queue(p, MSG_HELLO, bytes_of_buf(&body)); /* the queue is empty */
    buf_clear(&body);
}

static void queue_ping(struct peer *p, enum msg_type type, uint64_t cookie)
{
    struct buf body = {0};
    ping_put(&body, &(struct ping){cookie});
    (void)queue(p, type, bytes_of_buf(&body)); /* a full queue has ended it */
    buf_clear(&body);
}

size_t peer_queued(const struct peer *p)
{
    return p->out.n - p->out_used;
}

struct bytes peer_output(const struct peer *p)
{
    return p->out.n ? bytes_of(p->out.p + p->out_used, peer_queued(p)) : (struct bytes){0};
}

void peer_output_drop(struct peer *p, size_t n)
{
    CHECK(n <= peer_queued(p));
    p->has_moved = true;
    p->out_used += n;
    if (p->out_used == p->out.n) {
        empty(&p->out);
        p->out_used = 0;
    } else if (p->out_used > p->out.n / 2) {
        buf_drop(&p->out, p->out_used);
        p->out_used = 0;
    }
}

void peer_end(struct peer *p, enum err reason, const char *text)
{
    if (p->state == PEER_READY) {
        struct buf body = {0};
        struct bye bye = {.reason = (uint8_t)reason};
        if (!text255_set(&bye.text, text))
            bye.text = (struct text255){0};
        bye_put(&body, &bye);
        (void)queue(p, MSG_BYE, bytes_of_buf(&body));
        buf_clear(&body);
    }
    end(p, reason == ERR_PROTOCOL || reason == ERR_CORRUPT, reason, "%s", text);
}

/* -- receiving -- */

static size_t in_left(const struct peer *p)
{
    return p->in.n - p->in_used;
}

size_t peer_held(const struct peer *p)
{
    return in_left(p);
}

static void in_drop(struct peer *p, size_t n)
{
    p->in_used += n;
    if (p->in_used == p->in.n) {
        empty(&p->in);
        p->in_used = 0;
    } else if (p->in_used > 2 * FRAME_BODY_MAX) {
        buf_drop(&p->in, p->in_used);
        p->in_used = 0;
    }
}

static void step_handshake(struct peer *p)
{
    size_t want = noise_wants(&p->noise);
    while (want && in_left(p) >= want) {
        enum noise_fail fail = noise_step(&p->noise, bytes_of(p->in.p + p->in_used, want), &p->out);
        if (fail != NOISE_OK) {
            end(p, true, ERR_AUTH, "handshake: %s%s", noise_fail_name(fail),
                fail == NOISE_ACT2_READ_FAILED || fail == NOISE_ACT1_BAD_TAG ? " (another key than expected?)" : "");
            return;
        }
        in_drop(p, want);
        want = noise_wants(&p->noise);
    }
    if (want)
        return;
    if (p->noise.remote.b[0] != 2) {
        end(p, true, ERR_AUTH, "its key has an odd y: no identity of this network");
        return;
    }
    memcpy(p->key.b, p->noise.remote.b + 1, sizeof p->key.b);
    if (pubkey_equal(&p->key, &p->self)) {
        end(p, false, ERR_DUPLICATE, "that is this node itself");
        return;
    }
    p->state = PEER_HELLO;
    queue_hello(p);
}

void peer_receive(struct peer *p, struct bytes in, uint64_t now_ms)
{
    if (p->state == PEER_ENDED || in.n == 0)
        return;
    if (p->state == PEER_HANDSHAKE && in_left(p) + in.n > STRANGER_MAX) {
        end(p, true, ERR_PROTOCOL, "sends before the handshake is done");
        return;
    }
    p->heard_ms = now_ms;
    buf_add(&p->in, in.p, in.n);
    if (p->state == PEER_HANDSHAKE)
        step_handshake(p);
}

/* Decrypts the next frame into p->frame; false if it is not all there, or ended. */
static bool next_frame(struct peer *p)
{
    if (!p->frame_is_open) {
        if (in_left(p) < NOISE_HEADER_SIZE)
            return false;
        if (!noise_get_length(&p->noise, p->in.p + p->in_used, &p->frame_length)) {
            end(p, true, ERR_AUTH, "frame header altered");
            return false;
        }
        in_drop(p, NOISE_HEADER_SIZE);
        p->frame_is_open = true;
    }
    size_t sealed = (size_t)p->frame_length + NOISE_TAG_SIZE;
    if (in_left(p) < sealed)
        return false;
    buf_reset(&p->frame);
    buf_reserve(&p->frame, p->frame_length);
    if (!noise_get_body(&p->noise, p->in.p + p->in_used, p->frame_length, p->frame.p)) {
        end(p, true, ERR_AUTH, "frame altered");
        return false;
    }
    p->frame.n = p->frame_length;
    in_drop(p, sealed);
    p->frame_is_open = false;
    return true;
}

/* A list is as many messages as it is KiB. */
static int64_t cost_of(const struct msg_rule *rule, size_t n)
{
    bool is_list = rule->type == MSG_TXS || rule->type == MSG_TX_IDS || rule->type == MSG_TX_GET ||
                   rule->type == MSG_TX_NONE || rule->type == MSG_PROPOSAL_TXS;
    return is_list ? (int64_t)(rule->cost * (1 + n / 1024)) : (int64_t)rule->cost;
}

/* Puts the frame to its message; true when that is whole. */
static bool take_frame(struct peer *p, struct peer_message *out)
{
    if (p->frame.n == 0) {
        end(p, true, ERR_PROTOCOL, "empty frame");
        return false;
    }
    uint8_t type = p->frame.p[0] & (FRAME_MORE - 1);
    bool more = p->frame.p[0] & FRAME_MORE;
    struct bytes part = bytes_of(p->frame.p + 1, p->frame.n - 1);
    const struct msg_rule *rule = msg_rule(type);
    if (!rule) {
        end(p, true, ERR_PROTOCOL, "message type %u is none of this version's", type);
        return false;
    }
    if (p->message_type != 0 && p->message_type != type) {
        end(p, true, ERR_PROTOCOL, "%s within a message of type %u", rule->name, p->message_type);
        return false;
    }
    if ((rule->phase == MSG_PHASE_HELLO) != (p->state == PEER_HELLO)) {
        end(p, true, ERR_PROTOCOL, "%s is out of turn", rule->name);
        return false;
    }
    if (p->message.n + part.n > rule->size_max) {
        end(p, true, ERR_LIMIT, "%s of more than %u bytes", rule->name, rule->size_max);
        return false;
    }
    if (more && part.n == 0) {
        end(p, true, ERR_PROTOCOL, "%s in empty parts", rule->name);
        return false;
    }
    out->type = (enum msg_type)type;
    if (!more && p->message.n == 0) {
        out->body = part;
        p->message_type = 0;
    } else {
        buf_add(&p->message, part.p, part.n);
        p->message_type = more ? type : 0;
        out->body = bytes_of_buf(&p->message);
    }
    if (!more)
        p->allowance -= cost_of(rule, out->body.n);
    return !more;
}

static void take_hello(struct peer *p, struct bytes body)
{
    char ours[65], its[65];
    if (!MSG_GET(hello, body, &p->theirs)) {
        end(p, true, ERR_FORMAT, "hello is malformed");
        return;
    }
    if (p->theirs.version != p->mine.version) {
        end(p, false, ERR_UNSUPPORTED, "speaks protocol version %u, this node %u", p->theirs.version, p->mine.version);
        return;
    }
    if (!hash_equal(&p->theirs.chain, &p->mine.chain)) {
        hex_put(ours, p->mine.chain.b, HASH_SIZE);
        hex_put(its, p->theirs.chain.b, HASH_SIZE);
        end(p, false, ERR_CHAIN, "is of chain %.16s, this node of %.16s", its, ours);
        return;
    }
    p->state = PEER_READY;
}

static void take_ping(struct peer *p, enum msg_type type, struct bytes body, uint64_t now_ms)
{
    struct ping ping;
    if (!MSG_GET(ping, body, &ping)) {
        end(p, true, ERR_FORMAT, "ping is malformed");
    } else if (type == MSG_PING) {
        queue_ping(p, MSG_PONG, ping.cookie);
    } else if (!p->ping_is_out || ping.cookie != p->ping_cookie) {
        end(p, true, ERR_PROTOCOL, "pong without a ping");
    } else {
        p->ping_is_out = false;
        p->rtt_ms = (uint32_t)(now_ms - p->pinged_ms);
    }
}

static void end_bye(struct peer *p, const struct bye *bye)
{
    char text[LOG_WORD_ROOM];
    log_word(text, bye->text.s);
    end(p, false, bye->reason > ERR_OK && bye->reason < ERR_COUNT ? (enum err)bye->reason : ERR_CLOSED, "said bye: %s",
        text);
}

static void take_bye(struct peer *p, struct bytes body)
{
    struct bye bye;
    if (!MSG_GET(bye, body, &bye))
        end(p, true, ERR_FORMAT, "bye is malformed");
    else
        end_bye(p, &bye);
}

static void refill(struct peer *p, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - p->allowance_at_ms;
    if (passed_ms > 60000)
        passed_ms = 60000;
    p->allowance += (int64_t)(passed_ms * PEER_RATE_SECOND / 1000);
    if (p->allowance > PEER_RATE_BURST)
        p->allowance = PEER_RATE_BURST;
    p->allowance_at_ms = now_ms;
}

bool peer_next(struct peer *p, struct peer_message *out, uint64_t now_ms)
{
    refill(p, now_ms);
    if (p->message_type == 0)
        empty(&p->message);
    while ((p->state == PEER_HELLO || p->state == PEER_READY) && p->allowance >= 0 && next_frame(p)) {
        if (!take_frame(p, out))
            continue;
        switch (out->type) {
        case MSG_HELLO:
            take_hello(p, out->body);
            break;
        case MSG_PING:
        case MSG_PONG:
            take_ping(p, out->type, out->body, now_ms);
            break;
        case MSG_BYE:
            take_bye(p, out->body);
            break;
        default:
            return true;
        }
        empty(&p->message);
    }
    return false;
}

void peer_charge(struct peer *p, uint32_t cost)
{
    p->allowance -= cost;
}

bool peer_is_throttled(const struct peer *p)
{
    return p->state != PEER_ENDED && p->allowance < 0;
}

/* -- time -- */

uint64_t peer_timeout_ms(const struct peer *p)
{
    if (p->state == PEER_ENDED)
        return UINT64_MAX;
    if (p->state != PEER_READY)
        return p->started_ms + PEER_HANDSHAKE_MS;
    uint64_t at = p->heard_ms + PEER_SILENT_MS;
    if (!p->ping_is_out && p->pinged_ms + PEER_PING_MS < at)
        at = p->pinged_ms + PEER_PING_MS;
    if (peer_queued(p) > 0 && p->stuck_ms + PEER_SILENT_MS < at)
        at = p->stuck_ms + PEER_SILENT_MS;
    /* Throttled: when a tenth of a second's allowance is there again. */
    uint64_t again = p->allowance_at_ms + 100;
    return p->allowance < 0 && again < at ? again : at;
}

void peer_step(struct peer *p, uint64_t now_ms)
{
    if (p->state == PEER_ENDED)
        return;
    refill(p, now_ms);
    if (p->state != PEER_READY) {
        if (now_ms >= p->started_ms + PEER_HANDSHAKE_MS)
            end(p, false, ERR_TIMEOUT, "no handshake and hello within %u ms", PEER_HANDSHAKE_MS);
        return;
    }
    if (p->has_moved || peer_queued(p) == 0) {
        p->stuck_ms = now_ms;
        p->has_moved = false;
    } else if (now_ms >= p->stuck_ms + PEER_SILENT_MS) {
        end(p, false, ERR_TIMEOUT, "read nothing for %u ms", PEER_SILENT_MS);
        return;
    }
    if (p->allowance < 0)
        p->heard_ms = now_ms; /* it is we who do not read */
    if (now_ms >= p->heard_ms + PEER_SILENT_MS) {
        end(p, false, ERR_TIMEOUT, "silent for %u ms", PEER_SILENT_MS);
        return;
    }
    if (now_ms >= p->pinged_ms + PEER_PING_MS && !p->ping_is_out) {
        p->pinged_ms = now_ms;
        p->ping_cookie++;
        p->ping_is_out = true;
        queue_ping(p, MSG_PING, p->ping_cookie);
    }
}

/* -- what is known -- */

enum peer_state peer_state(const struct peer *p)
{
    return p->state;
}

enum err peer_reason(const struct peer *p)
{
    return p->reason;
}

const char *peer_reason_text(const struct peer *p)
{
    return p->text;
}

bool peer_is_faulty(const struct peer *p)
{
    return p->faulty;
}

const struct pubkey *peer_key(const struct peer *p)
{
    return &p->key;
}

const struct hello *peer_hello(const struct peer *p)
{
    return &p->theirs;
}

bool peer_is_dialled(const struct peer *p)
{
    return p->dialled;
}

uint32_t peer_rtt_ms(const struct peer *p)
{
    return p->rtt_ms;
}

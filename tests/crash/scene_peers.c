/* The network of a scene, in place of node/net/peers.c: what is sent arrives later, or is lost. */
#include "tests/crash/scene_in.h"

#include "base/mem.h"
#include "node/consensus/sync.h"

#include <stdio.h>
#include <stdlib.h>

static void mark_out(const struct peers *p, enum msg_type type, struct bytes body)
{
    struct buf said = {0};
    uint8_t t = (uint8_t)type;
    if (p->self != 0)
        return;
    buf_add(&said, &t, 1);
    buf_add(&said, body.p, body.n);
    disk_mark(MARK_OUT, bytes_of_buf(&said));
    buf_clear(&said);
}

static void hand_over(struct scene *s, unsigned from, unsigned to, uint8_t type, struct bytes body)
{
    struct peers *p = &s->m[to].peers;
    if (!s->m[to].consensus || !p->on[type].fn)
        return;
    if (to == 0) {
        struct buf said = {0};
        uint64_t height = ledger_info(s->m[0].ledger).height + 1;
        uint8_t head[2] = {(uint8_t)from, type};
        buf_add(&said, &height, sizeof height);
        buf_add(&said, &s->now_ms, sizeof s->now_ms);
        buf_add(&said, head, sizeof head);
        buf_add(&said, body.p, body.n);
        disk_mark(MARK_IN, bytes_of_buf(&said));
        buf_clear(&said);
    }
    enum err e = p->on[type].fn(p->on[type].arg, &s->m[from].id, body);
    CHECK(e == ERR_OK); /* nobody here breaks the protocol */
}

void scene_message_free(struct message *m)
{
    *m->link = m->next;
    if (m->next)
        m->next->link = m->link;
    timer_remove(&m->scene->timers, &m->timer);
    buf_clear(&m->body);
    free(m);
}

static void on_arrival(void *arg)
{
    struct message *m = arg;
    hand_over(m->scene, m->from, m->to, m->type, bytes_of_buf(&m->body));
    scene_message_free(m);
}

static void message_send(struct scene *s, unsigned from, unsigned to, uint8_t type, struct bytes body,
                         uint64_t delay_ms)
{
    struct message *m = mem_new(sizeof *m);
    *m = (struct message){.scene = s, .from = from, .to = to, .type = type, .next = s->messages, .link = &s->messages};
    if (m->next)
        m->next->link = &m->next;
    s->messages = m;
    buf_add(&m->body, body.p, body.n);
    timer_add(&s->timers, &m->timer, s->now_ms + delay_ms, on_arrival, m);
}

static void answer_block(struct scene *s, unsigned from, struct bytes question)
{
    struct buf answer = {0};
    uint64_t height = load_le64(question.p), at = 0;
    struct bytes block = {0}, commit = {0};
    for (uint32_t i = 0; s->chain && i < s->chain->n; i++) {
        const struct disk_op *o = &s->chain->ops[i];
        if (o->kind != DISK_MARK || o->inode != MARK_CHAIN || ++at != height)
            continue;
        uint32_t n = load_le32(o->bytes.p);
        block = bytes_of(o->bytes.p + 4, n);
        commit = bytes_of(o->bytes.p + 4 + n, o->bytes.n - 4 - n);
    }
    block_answer_put(&answer, &(struct block_answer){height, 1, block, commit});
    message_send(s, from, 0, MSG_BLOCK, bytes_of_buf(&answer), 10);
    buf_clear(&answer);
}

static void send(struct peers *p, unsigned to, enum msg_type type, struct bytes body)
{
    struct scene *s = p->scene;
    if (s->chain && type == MSG_BLOCK_GET)
        answer_block(s, to, body);
    if (s->m[to].consensus && scene_random(s) % 100 >= s->o.loss_percent)
        message_send(s, p->self, to, (uint8_t)type, body, 5 + scene_random(s) % 60);
}

void peers_on(struct peers *p, enum msg_type type, peers_message_fn fn, void *arg)
{
    p->on[type].fn = fn;
    p->on[type].arg = arg;
}

void peers_on_change(struct peers *p, peers_change_fn fn, void *arg)
{
    (void)p, (void)fn, (void)arg; /* all are up from the start */
}

enum err peers_send(struct peers *p, const struct pubkey *to, enum msg_type type, struct bytes body)
{
    mark_out(p, type, body);
    for (unsigned i = 0; i < p->scene->o.nodes; i++)
        if (i != p->self && pubkey_equal(&p->scene->m[i].id, to))
            send(p, i, type, body);
    return ERR_OK;
}

unsigned peers_send_some(struct peers *p, enum msg_type type, struct bytes body, peers_pick_fn pick, void *arg)
{
    unsigned n = 0;
    mark_out(p, type, body);
    for (unsigned i = 0; i < p->scene->o.nodes; i++)
        if (i != p->self && pick(arg, &p->scene->m[i].id)) {
            send(p, i, type, body);
            n++;
        }
    return n;
}

static bool is_other(void *arg, const struct pubkey *peer)
{
    const struct pubkey *except = arg;
    return !except || !pubkey_equal(peer, except);
}

unsigned peers_broadcast(struct peers *p, enum msg_type type, struct bytes body, const struct pubkey *except)
{
    return peers_send_some(p, type, body, is_other, (void *)(uintptr_t)except);
}

size_t peers_queued(const struct peers *p, const struct pubkey *to)
{
    (void)p, (void)to;
    return 0;
}

bool peers_seen_first(struct peers *p, enum msg_type type, struct bytes body)
{
    (void)p, (void)type, (void)body;
    return true;
}

void peers_drop(struct peers *p, const struct pubkey *key, enum err reason, const char *text)
{
    (void)p, (void)key, (void)reason;
    fprintf(stderr, "a peer was dropped: %s\n", text);
    CHECK(!"nobody here breaks the protocol");
}

void peers_charge(struct peers *p, const struct pubkey *key, uint32_t cost)
{
    (void)p, (void)key, (void)cost;
}

void peers_set_height(struct peers *p, uint64_t height)
{
    (void)p, (void)height;
}

void peers_note_height(struct peers *p, const struct pubkey *key, uint64_t height)
{
    (void)p, (void)key, (void)height;
}

void scene_deliver(struct scene *s, unsigned from, uint8_t type, struct bytes body)
{
    hand_over(s, from, 0, type, body);
}

void scene_offer_chain(struct scene *s, const struct disk_trace *chain)
{
    s->chain = chain;
    for (uint32_t i = 0; i < chain->n; i++)
        s->chain_height += chain->ops[i].kind == DISK_MARK && chain->ops[i].inode == MARK_CHAIN;
}

void scene_tell_height(struct scene *s)
{
    struct buf status = {0};
    codec_put_u64(&status, &s->chain_height);
    for (unsigned i = 1; i < s->o.nodes; i++)
        hand_over(s, i, 0, MSG_STATUS, bytes_of_buf(&status));
    buf_clear(&status);
}

/* See relay.h. A turn every RELAY_TURN_MS chooses the near ones anew; half of the credit of before counts. */
#include "node/consensus/relay.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

struct place {
    bool is_taken;
    struct pubkey key;
    bool is_near;    /* it sends us news whole */
    bool wants_told; /* we only tell it */
    uint32_t credit;
};

struct relay {
    struct host *host;
    struct peers *peers;
    struct timer timer;
    struct place place[RELAY_SLOTS];
    uint32_t n;
};

static void on_turn(void *arg);

struct relay *relay_new(struct host *host, struct peers *peers)
{
    struct relay *r = mem_new(sizeof *r);
    r->host = host;
    r->peers = peers;
    return r;
}

void relay_free(struct relay *r)
{
    if (!r)
        return;
    host_timer_cancel(r->host, &r->timer);
    free(r);
}

/* -- places -- */

int relay_slot(const struct relay *r, const struct pubkey *peer)
{
    for (int i = 0; i < RELAY_SLOTS; i++)
        if (r->place[i].is_taken && pubkey_equal(&r->place[i].key, peer))
            return i;
    return -1;
}

uint64_t relay_bit(const struct relay *r, const struct pubkey *peer)
{
    int slot = peer ? relay_slot(r, peer) : -1;
    return slot < 0 ? 0 : UINT64_C(1) << slot;
}

const struct pubkey *relay_peer(const struct relay *r, int slot)
{
    return slot >= 0 && slot < RELAY_SLOTS && r->place[slot].is_taken ? &r->place[slot].key : NULL;
}

/* As if nobody had asked for anything: whole both ways. */
static void place_take(struct relay *r, const struct pubkey *peer)
{
    for (int i = 0; i < RELAY_SLOTS; i++)
        if (!r->place[i].is_taken) {
            r->place[i] = (struct place){.is_taken = true, .key = *peer, .is_near = true};
            r->n++;
            return;
        }
}

void relay_change(struct relay *r, const struct pubkey *peer, bool up)
{
    int slot = relay_slot(r, peer);
    if (slot >= 0) {
        r->place[slot] = (struct place){0};
        r->n--;
    }
    if (up)
        place_take(r, peer);
    host_timer_set(r->host, &r->timer, RELAY_SOON_MS, on_turn, r);
}

/* -- near ones -- */

/* The best of those that are not chosen yet: of equal credit one that is near already. */
static int best_of(const struct relay *r, uint64_t chosen)
{
    int best = -1;
    for (int i = 0; i < RELAY_SLOTS; i++) {
        const struct place *p = &r->place[i], *b = best < 0 ? NULL : &r->place[best];
        if (!p->is_taken || chosen >> i & 1)
            continue;
        if (!b || p->credit > b->credit || (p->credit == b->credit && p->is_near && !b->is_near))
            best = i;
    }
    return best;
}

static int drawn_of(const struct relay *r, uint64_t chosen, uint32_t left)
{
    uint32_t chance;
    host_random(r->host, &chance, sizeof chance);
    uint32_t skip = chance % left;
    for (int i = 0; i < RELAY_SLOTS; i++)
        if (r->place[i].is_taken && !(chosen >> i & 1) && skip-- == 0)
            return i;
    return -1;
}

static uint64_t choose(const struct relay *r)
{
    uint64_t chosen = 0;
    if (r->n <= RELAY_ALL)
        return UINT64_MAX;
    for (uint32_t i = 0; i + 1 < RELAY_NEAR; i++)
        chosen |= UINT64_C(1) << best_of(r, chosen);
    return chosen | UINT64_C(1) << drawn_of(r, chosen, r->n - (RELAY_NEAR - 1));
}

static void want(struct relay *r, struct place *p, bool near)
{
    uint8_t body = near;
    p->is_near = near;
    enum err e = peers_send(r->peers, &p->key, MSG_NEWS, bytes_of(&body, 1));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "relay", "unsent", "why=%s", err_name(e));
}

static void on_turn(void *arg)
{
    struct relay *r = arg;
    uint64_t near = choose(r);
    for (int i = 0; i < RELAY_SLOTS; i++) {
        struct place *p = &r->place[i];
        if (p->is_taken && p->is_near != (near >> i & 1))
            want(r, p, near >> i & 1);
        p->credit /= 2;
    }
    if (r->n > RELAY_ALL)
        host_timer_set(r->host, &r->timer, RELAY_TURN_MS, on_turn, r);
}

void relay_credit(struct relay *r, const struct pubkey *from)
{
    int slot = from ? relay_slot(r, from) : -1;
    if (slot >= 0)
        r->place[slot].credit++;
}

/* -- what others want -- */

enum err relay_take(struct relay *r, const struct pubkey *from, struct bytes body)
{
    int slot = relay_slot(r, from);
    if (body.n != 1 || body.p[0] > 1)
        return ERR_PROTOCOL;
    if (slot >= 0)
        r->place[slot].wants_told = body.p[0] == 0;
    return ERR_OK;
}

uint64_t relay_told(const struct relay *r)
{
    uint64_t told = 0;
    for (int i = 0; i < RELAY_SLOTS; i++)
        if (r->place[i].is_taken && r->place[i].wants_told)
            told |= UINT64_C(1) << i;
    return told;
}

struct pass {
    const struct relay *r;
    const struct pubkey *from;
    bool is_told;
};

static bool is_meant(void *arg, const struct pubkey *peer)
{
    const struct pass *pass = arg;
    int slot = relay_slot(pass->r, peer);
    bool is_told = slot >= 0 && pass->r->place[slot].wants_told;
    return is_told == pass->is_told && !(pass->from && pubkey_equal(peer, pass->from));
}

void relay_pass(struct relay *r, enum msg_type type, struct bytes body, const struct pubkey *from)
{
    peers_send_some(r->peers, type, body, is_meant, &(struct pass){r, from, false});
}

void relay_tell(struct relay *r, enum msg_type type, struct bytes body, const struct pubkey *from)
{
    if (relay_told(r))
        peers_send_some(r->peers, type, body, is_meant, &(struct pass){r, from, true});
}

/* Catching up block by block. */
#include "node/consensus/sync.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

RECORD_DEFINE(block_get, BLOCK_GET_FIELDS)
RECORD_DEFINE(block_answer, BLOCK_ANSWER_FIELDS)

struct source {
    struct pubkey key;
    uint64_t height;
    uint64_t first;        /* as it said last; 0: not asked yet */
    uint64_t bad_until_ms; /* it did not answer */
};

/* Slot of height h is slots[h % SYNC_WINDOW]. */
struct slot {
    uint64_t height; /* 0: free */
    uint64_t due_ms;
    struct pubkey from;
    bool is_here;
    struct buf block, commit;
};

struct sync {
    struct sync_options o;
    uint64_t height;
    uint64_t behind_since_ms; /* 0: not behind */
    struct source sources[PEERS_MAX];
    uint32_t sources_n;
    uint32_t turn;
    struct slot slots[SYNC_WINDOW];
    struct timer timer;
    bool is_applying, is_held;
};

static void apply(struct sync *s);
static void step(struct sync *s);

/* A block that came while the store still refused the one before waits in its slot. It is not applied from within
 * sync_height: who listens to blocks would hear of it before that one. */
static void on_timer(void *arg)
{
    apply(arg);
    step(arg);
}

static void slot_clear(struct slot *slot)
{
    buf_clear(&slot->block);
    buf_clear(&slot->commit);
    *slot = (struct slot){0};
}

uint64_t sync_target(const struct sync *s)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < s->sources_n; i++)
        most = s->sources[i].height > most ? s->sources[i].height : most;
    return most;
}

static struct source *source_find(struct sync *s, const struct pubkey *key)
{
    for (uint32_t i = 0; i < s->sources_n; i++)
        if (pubkey_equal(&s->sources[i].key, key))
            return &s->sources[i];
    return NULL;
}

/* The next peer in turn that claims to have this height and is not known for silence. */
static struct source *source_for(struct sync *s, uint64_t height, uint64_t now)
{
    for (uint32_t i = 0; i < s->sources_n; i++) {
        struct source *p = &s->sources[(s->turn + i) % s->sources_n];
        if (p->height >= height && p->first <= height && p->bad_until_ms <= now) {
            s->turn = (uint32_t)(p - s->sources) + 1;
            return p;
        }
    }
    return NULL;
}

static void ask(struct sync *s, struct slot *slot, uint64_t height, uint64_t now)
{
    struct source *p = source_for(s, height, now);
    if (!p)
        return;
    struct buf b = {0};
    block_get_put(&b, &(struct block_get){height});
    slot_clear(slot);
    if (peers_send(s->o.peers, &p->key, MSG_BLOCK_GET, bytes_of_buf(&b)) == ERR_OK)
        *slot = (struct slot){.height = height, .due_ms = now + SYNC_TIMEOUT_MS, .from = p->key};
    buf_clear(&b);
}

static void blame(struct sync *s, const struct slot *slot, uint64_t now)
{
    struct source *p = source_find(s, &slot->from);
    if (p)
        p->bad_until_ms = now + 4 * SYNC_TIMEOUT_MS;
}

static void refuse(struct sync *s, const struct slot *slot, enum err e, const struct note *note)
{
    char hex[65];
    hex_put(hex, slot->from.b, sizeof slot->from.b);
    log_event(LOG_ODD, "sync", "refused", "peer=%.16s height=%" PRIu64 " why=\"%s\"", hex, slot->height, note->text);
    blame(s, slot, host_now_ms(s->o.host));
    bool is_forged = e == ERR_FORMAT || e == ERR_AUTH;
    peers_drop(s->o.peers, &slot->from, is_forged ? ERR_PROTOCOL : e, "a block that does not follow");
}

/* Applies what is here in order. */
static void apply(struct sync *s)
{
    if (s->is_applying)
        return;
    s->is_applying = true;
    for (;;) {
        struct slot *slot = &s->slots[(s->height + 1) % SYNC_WINDOW];
        if (slot->height != s->height + 1 || !slot->is_here)
            break;
        struct note note = {{0}};
        struct slot taken = *slot;
        uint64_t before = s->height;
        *slot = (struct slot){0};
        enum err e = s->o.apply(s->o.arg, bytes_of_buf(&taken.block), bytes_of_buf(&taken.commit), &note);
        if (e != ERR_OK && e != ERR_BUSY) {
            refuse(s, &taken, e, &note);
        }
        slot_clear(&taken);
        if (s->height == before)
            break;
    }
    s->is_applying = false;
}

static void step(struct sync *s)
{
    uint64_t now = host_now_ms(s->o.host), target = sync_target(s);
    for (unsigned i = 0; i < SYNC_WINDOW; i++) {
        struct slot *slot = &s->slots[i];
        if (slot->height && slot->height <= s->height)
            slot_clear(slot);
        if (slot->height && !slot->is_here && slot->due_ms <= now) {
            blame(s, slot, now);
            slot_clear(slot);
        }
    }
    if (target <= s->height || s->is_held) {
        s->behind_since_ms = 0;
        host_timer_cancel(s->o.host, &s->timer);
        return;
    }
    if (s->behind_since_ms == 0)
        s->behind_since_ms = now;
    bool is_soon = target == s->height + 1 && now < s->behind_since_ms + SYNC_PAUSE_MS;
    for (uint64_t h = s->height + 1; !is_soon && h <= target && h <= s->height + SYNC_WINDOW; h++)
        if (s->slots[h % SYNC_WINDOW].height != h)
            ask(s, &s->slots[h % SYNC_WINDOW], h, now);
    host_timer_set(s->o.host, &s->timer, SYNC_PAUSE_MS, on_timer, s);
}

/* -- messages -- */

static enum err on_block_get(void *arg, const struct pubkey *from, struct bytes body)
{
    struct sync *s = arg;
    struct block_get get;
    struct cursor c = cursor_of(body);
    block_get_get(&c, &get);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    struct buf block = {0}, commit = {0}, out = {0};
    if (s->o.load(s->o.arg, get.height, &block, &commit) != ERR_OK) {
        buf_reset(&block);
        buf_reset(&commit);
    }
    block_answer_put(
        &out, &(struct block_answer){get.height, s->o.first(s->o.arg), bytes_of_buf(&block), bytes_of_buf(&commit)});
    peers_charge(s->o.peers, from, (uint32_t)(out.n / PEER_ANSWER_UNIT));
    enum err e = peers_send(s->o.peers, from, MSG_BLOCK, bytes_of_buf(&out));
    if (e != ERR_OK)
        log_event(LOG_DEBUG, "sync", "unsent", "height=%" PRIu64 " why=%s", get.height, err_name(e));
    buf_clear(&block);
    buf_clear(&commit);
    buf_clear(&out);
    return ERR_OK;
}

static enum err on_block(void *arg, const struct pubkey *from, struct bytes body)
{
    struct sync *s = arg;
    struct block_answer answer;
    struct cursor c = cursor_of(body);
    block_answer_get(&c, &answer);
    if (!cursor_end(&c))
        return ERR_PROTOCOL;
    struct slot *slot = &s->slots[answer.height % SYNC_WINDOW];
    if (answer.height == 0 || slot->height != answer.height || slot->is_here || !pubkey_equal(&slot->from, from))
        return ERR_DUPLICATE; /* asked long ago, or somebody else was faster */
    struct source *p = source_find(s, from);
    if (p)
        p->first = answer.first;
    if (answer.block.n == 0) {
        if (p && answer.height >= answer.first && p->height >= answer.height)
            p->height = answer.height - 1;
        slot_clear(slot);
        step(s);
        return ERR_OK;
    }
    slot->is_here = true;
    buf_add(&slot->block, answer.block.p, answer.block.n);
    buf_add(&slot->commit, answer.commit.p, answer.commit.n);
    apply(s);
    step(s);
    return ERR_OK;
}

struct sync *sync_new(const struct sync_options *o, uint64_t height)
{
    struct sync *s = mem_new(sizeof *s);
    s->o = *o;
    s->height = height;
    peers_on(o->peers, MSG_BLOCK_GET, on_block_get, s);
    peers_on(o->peers, MSG_BLOCK, on_block, s);
    return s;
}

void sync_free(struct sync *s)
{
    if (!s)
        return;
    host_timer_cancel(s->o.host, &s->timer);
    for (unsigned i = 0; i < SYNC_WINDOW; i++)
        slot_clear(&s->slots[i]);
    free(s);
}

void sync_height(struct sync *s, uint64_t height)
{
    s->height = height;
    s->behind_since_ms = 0;
    if (!s->is_applying)
        step(s);
}

void sync_hold(struct sync *s, bool is_held)
{
    if (s->is_held == is_held)
        return;
    s->is_held = is_held;
    if (!s->is_applying)
        step(s);
}

struct bytes sync_find(const struct sync *s, uint64_t height)
{
    const struct slot *slot = &s->slots[height % SYNC_WINDOW];
    return slot->height == height && slot->is_here ? bytes_of_buf(&slot->block) : (struct bytes){0};
}

bool sync_is_pruned(const struct sync *s)
{
    bool is_pruned = false;
    for (uint32_t i = 0; i < s->sources_n; i++) {
        const struct source *p = &s->sources[i];
        if (p->height > s->height && p->first <= s->height + 1)
            return false;
        is_pruned = is_pruned || p->height > s->height;
    }
    return is_pruned;
}

void sync_peer(struct sync *s, const struct pubkey *peer, uint64_t height)
{
    struct source *p = source_find(s, peer);
    if (!p && s->sources_n == PEERS_MAX)
        return;
    if (!p) {
        p = &s->sources[s->sources_n++];
        *p = (struct source){.key = *peer};
    }
    p->height = height;
    step(s);
}

void sync_peer_gone(struct sync *s, const struct pubkey *peer)
{
    struct source *p = source_find(s, peer);
    if (p)
        *p = s->sources[--s->sources_n];
    for (unsigned i = 0; i < SYNC_WINDOW; i++)
        if (s->slots[i].height && !s->slots[i].is_here && pubkey_equal(&s->slots[i].from, peer))
            slot_clear(&s->slots[i]);
    step(s);
}

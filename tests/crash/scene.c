/* Validators on virtual time. */
#include "tests/crash/scene.h"

#include "base/mem.h"
#include "chain/block.h"
#include "node/consensus.h"
#include "node/sync.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define START_MS UINT64_C(1700000000000)
#define FUND     (UINT64_C(1000000) * MOTE_PER_KITH)
#define PAYMENTS 16 /* in one scene_pay: blocks of a size that turns logs over */

/* LevelDB's least: logs are turned over and tables merged within a few dozen blocks. The store asks for more. */
void leveldb_options_set_write_buffer_size(void *options, size_t bytes);
void leveldb_options_set_write_buffer_size(void *options, size_t bytes)
{
    void (*real)(void *, size_t) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "leveldb_options_set_write_buffer_size");
    (void)bytes;
    real(options, 65536);
}

/* In place of node/peers.c. */
struct peers {
    struct scene *scene;
    unsigned self;
    struct {
        peers_message_fn fn;
        void *arg;
    } on[256];
};

struct member {
    struct peers peers;
    struct seckey key;
    struct pubkey id;
    struct kv *kv;
    struct ledger *ledger;
    struct consensus *consensus;
    char dir[1024];
};

struct message {
    struct timer timer;
    struct message *next, **link;
    struct scene *scene;
    unsigned from, to;
    uint8_t type;
    struct buf body;
};

/* Done on a thread, as far as a node can see. */
struct work {
    struct timer timer;
    struct work *next, **link;
    struct scene *scene;
    host_fn work, done;
    void *arg;
};

struct scene {
    struct host host; /* first */
    struct host *real;
    struct scene_options o;
    struct timer_heap timers;
    uint64_t now_ms, random;
    struct genesis genesis;
    struct buf genesis_room;
    struct hash chain_id;
    struct seckey rich;
    struct pubkey rich_id;
    struct member m[SCENE_NODES_MAX];
    struct message *messages;
    struct work *works;
    const struct disk_trace *chain;
    uint64_t chain_height;
};

/* -- the host: virtual time, real files -- */

static struct scene *of(struct host *h)
{
    return (struct scene *)h;
}

static uint64_t next_random(struct scene *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

static uint64_t host_now(struct host *h)
{
    return of(h)->now_ms;
}

static uint64_t host_wall(struct host *h)
{
    return START_MS + of(h)->now_ms;
}

static void host_chance(struct host *h, void *p, size_t n)
{
    for (uint8_t *to = p; n--;)
        *to++ = (uint8_t)next_random(of(h));
}

static void host_set(struct host *h, struct timer *t, uint64_t delay_ms, timer_fn fn, void *arg)
{
    timer_add(&of(h)->timers, t, of(h)->now_ms + delay_ms, fn, arg);
}

static void host_cancel(struct host *h, struct timer *t)
{
    timer_remove(&of(h)->timers, t);
}

static void work_end(void *arg)
{
    struct work *w = arg;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    timer_remove(&w->scene->timers, &w->timer);
    w->work(w->arg);
    w->done(w->arg);
    free(w);
}

static void host_work(struct host *h, host_fn work, host_fn done, void *arg)
{
    struct scene *s = of(h);
    struct work *w = mem_new(sizeof *w);
    *w = (struct work){.next = s->works, .link = &s->works, .scene = s, .work = work, .done = done, .arg = arg};
    if (w->next)
        w->next->link = &w->next;
    s->works = w;
    timer_add(&s->timers, &w->timer, s->now_ms + 2, work_end, w);
}

static enum err real_read(struct host *h, const char *path, size_t max, struct buf *out, struct note *note)
{
    return host_read(of(h)->real, path, max, out, note);
}

static enum err real_write(struct host *h, const char *path, unsigned mode, struct bytes b, struct note *note)
{
    return host_write(of(h)->real, path, mode, b, note);
}

static enum err real_rename(struct host *h, const char *from, const char *to, struct note *note)
{
    return host_rename(of(h)->real, from, to, note);
}

static enum err real_remove(struct host *h, const char *path, struct note *note)
{
    return host_remove(of(h)->real, path, note);
}

static enum err real_make_dir(struct host *h, const char *path, struct note *note)
{
    return host_make_dir(of(h)->real, path, note);
}

static enum err real_list(struct host *h, const char *dir, host_name_fn fn, void *arg, struct note *note)
{
    return host_list(of(h)->real, dir, fn, arg, note);
}

static enum err real_open(struct host *h, const char *path, enum host_open how, struct host_file **out,
                          struct note *note)
{
    return host_file_open(of(h)->real, path, how, out, note);
}

static const struct host_ops host_ops = {
    .now_ms = host_now,
    .wall_ms = host_wall,
    .random = host_chance,
    .timer_set = host_set,
    .timer_cancel = host_cancel,
    .submit = host_work,
    .read = real_read,
    .write = real_write,
    .rename = real_rename,
    .remove = real_remove,
    .make_dir = real_make_dir,
    .list = real_list,
    .open = real_open,
};

/* -- the network -- */

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

static void message_free(struct message *m)
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
    message_free(m);
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
    if (s->m[to].consensus && next_random(s) % 100 >= s->o.loss_percent)
        message_send(s, p->self, to, (uint8_t)type, body, 5 + next_random(s) % 60);
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

/* -- nodes -- */

static struct seckey key_number(unsigned n)
{
    struct seckey k = {{0}};
    struct hash h = hash_once(HASH_FILE, &n, sizeof n);
    memcpy(k.b, h.b, sizeof k.b);
    return k;
}

static void make_genesis(struct scene *s)
{
    struct genesis_holder v[SCENE_NODES_MAX], rich;
    struct genesis *g = &s->genesis;
    for (unsigned i = 0; i < s->o.nodes; i++) {
        s->m[i].key = key_number(i);
        key_derive(&s->m[i].key, &s->m[i].id);
        v[i] = (struct genesis_holder){s->m[i].id, amount_of(100 * MOTE_PER_KITH)};
    }
    s->rich = key_number(100);
    key_derive(&s->rich, &s->rich_id);
    rich = (struct genesis_holder){s->rich_id, amount_of(FUND)};
    *g = (struct genesis){.version = GENESIS_VERSION, .params = params_private()};
    CHECK(text64_set(&g->name, "crash") && text64_set(&g->prefix, ADDRESS_PREFIX_PRIVATE));
    CHECK(genesis_list(&rich, 1, &s->genesis_room, NULL) == ERR_OK);
    size_t middle = s->genesis_room.n;
    CHECK(genesis_list(v, s->o.nodes, &s->genesis_room, NULL) == ERR_OK);
    g->accounts = bytes_of(s->genesis_room.p, middle);
    g->validators = bytes_of(s->genesis_room.p + middle, s->genesis_room.n - middle);
    CHECK(genesis_check(g, NULL) == ERR_OK);
    s->chain_id = genesis_chain_id(g);
}

struct scene *scene_new(const struct scene_options *o)
{
    struct scene *s = mem_new(sizeof *s);
    s->host.ops = &host_ops;
    s->real = host_uv_open(NULL);
    s->o = *o;
    s->random = o->seed * 7919 + 12345;
    make_genesis(s);
    return s;
}

void scene_free(struct scene *s)
{
    for (unsigned i = 0; i < s->o.nodes; i++) {
        scene_stop(s, i);
        if (s->m[i].kv)
            kv_close(s->m[i].kv);
    }
    while (s->messages)
        message_free(s->messages);
    while (s->works)
        work_end(s->works);
    timer_heap_clear(&s->timers);
    host_uv_close(s->real);
    buf_clear(&s->genesis_room);
    free(s);
}

static void on_block(void *arg, const struct consensus_block *block)
{
    struct buf said = {0};
    (void)arg;
    codec_put_u64(&said, &block->header->height);
    codec_put_hash(&said, &block->id);
    codec_put_hash(&said, &block->result->state_root);
    disk_mark(MARK_BLOCK, bytes_of_buf(&said));
    buf_clear(&said);
}

/* As node.c's: home, store, ledger, consensus. */
static enum err open_store(struct scene *s, struct member *m, unsigned node, struct note *note)
{
    char path[1100];
    if (node != 0) {
        if (!m->kv)
            m->kv = kv_mem_open();
        return ERR_OK;
    }
    enum err e = host_make_dir(&s->host, s->o.home, note);
    snprintf(path, sizeof path, "%s/chain", s->o.home);
    return e == ERR_OK ? kv_leveldb_open(path, &m->kv, note) : e;
}

enum err scene_start(struct scene *s, unsigned node, struct note *note)
{
    struct member *m = &s->m[node];
    if (node == 0)
        snprintf(m->dir, sizeof m->dir, "%s/consensus", s->o.home);
    else
        snprintf(m->dir, sizeof m->dir, "%s/%u", s->o.elsewhere, node);
    memset(&m->peers, 0, sizeof m->peers);
    m->peers.scene = s;
    m->peers.self = node;
    enum err e = open_store(s, m, node, note);
    if (e == ERR_OK)
        e = ledger_open(m->kv, &s->genesis, &m->ledger, note);
    struct consensus_options o = {.host = &s->host,
                                  .kv = m->kv,
                                  .ledger = m->ledger,
                                  .peers = &m->peers,
                                  .key = &m->key,
                                  .dir = m->dir,
                                  .block_interval_ms = 200,
                                  .heartbeat_ms = 600000};
    if (e == ERR_OK)
        e = consensus_open(&o, &m->consensus, note);
    if (e == ERR_OK && node == 0)
        consensus_on_block(m->consensus, on_block, s);
    if (e != ERR_OK)
        scene_stop(s, node);
    return e;
}

void scene_stop(struct scene *s, unsigned node)
{
    struct member *m = &s->m[node];
    consensus_close(m->consensus);
    ledger_close(m->ledger);
    m->consensus = NULL;
    m->ledger = NULL;
    if (node == 0 && m->kv) {
        kv_close(m->kv);
        m->kv = NULL;
    }
}

/* The next thing that happens before `end`; false when nothing does, and it is then. */
static bool step(struct scene *s, uint64_t end)
{
    struct timer *t = timer_step(&s->timers, s->now_ms);
    if (t) {
        t->fn(t->arg);
        return true;
    }
    uint64_t next = timer_next_ms(&s->timers);
    s->now_ms = next > end ? end : next;
    return next <= end;
}

bool scene_run(struct scene *s, uint64_t height, uint64_t limit_ms)
{
    uint64_t end = s->now_ms + limit_ms;
    while (ledger_info(s->m[0].ledger).height < height)
        if (!step(s, end))
            return false;
    return true;
}

void scene_wait(struct scene *s, uint64_t until_ms)
{
    while (s->now_ms < until_ms && step(s, until_ms))
        continue;
}

void scene_set_now(struct scene *s, uint64_t now_ms)
{
    s->now_ms = now_ms;
}

void scene_pay(struct scene *s, unsigned node, uint64_t mote)
{
    for (unsigned i = 0; i < PAYMENTS; i++) {
        struct buf body = {0}, tx = {0};
        struct tx_transfer t = {.to = s->m[0].id, .amount = amount_of(mote + i)};
        struct consensus *c = s->m[node].consensus;
        CHECK(text64_set(&t.memo, "a memo as long as memos may be, so that logs are turned over."));
        tx_transfer_put(&body, &t);
        tx_build(&tx, &s->chain_id, &s->rich, consensus_nonce(c, &s->rich_id), amount_of(MOTE_PER_KITH / 100),
                 TX_TRANSFER, bytes_of_buf(&body));
        enum err e = consensus_submit(c, bytes_of_buf(&tx), NULL, NULL);
        CHECK(e == ERR_OK || e == ERR_NONCE || e == ERR_DUPLICATE);
        buf_clear(&body);
        buf_clear(&tx);
    }
}

struct ledger *scene_ledger(const struct scene *s, unsigned node)
{
    return s->m[node].ledger;
}

struct kv *scene_kv(const struct scene *s, unsigned node)
{
    return s->m[node].kv;
}

enum err scene_block(const struct scene *s, unsigned node, uint64_t height, struct buf *block, struct buf *commit)
{
    return consensus_block_get(s->m[node].consensus, height, block, commit, NULL);
}

bool scene_is_stuck(const struct scene *s)
{
    return consensus_status(s->m[0].consensus).is_stuck;
}

struct pubkey scene_self(void)
{
    struct seckey k = key_number(0);
    return key_public(&k);
}

uint64_t scene_now(const struct scene *s)
{
    return s->now_ms;
}

struct hash scene_chain(unsigned nodes)
{
    struct scene s = {.o.nodes = nodes};
    make_genesis(&s);
    buf_clear(&s.genesis_room);
    return s.chain_id;
}

void scene_mark_chain(const struct scene *s, unsigned node)
{
    uint64_t height = ledger_info(s->m[node].ledger).height;
    for (uint64_t h = 1; h <= height; h++) {
        struct buf block = {0}, commit = {0}, said = {0};
        uint8_t size[4];
        CHECK(scene_block(s, node, h, &block, &commit) == ERR_OK);
        store_le32(size, (uint32_t)block.n);
        buf_add(&said, size, sizeof size);
        buf_add(&said, block.p, block.n);
        buf_add(&said, commit.p, commit.n);
        disk_mark(MARK_CHAIN, bytes_of_buf(&said));
        buf_clear(&block);
        buf_clear(&commit);
        buf_clear(&said);
    }
}

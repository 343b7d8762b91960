/* Validators on virtual time. */
#include "tests/crash/scene_in.h"

#include "base/mem.h"
#include "chain/block.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define START_MS     UINT64_C(1700000000000)
#define FUND         (UINT64_C(1000000) * MOTE_PER_KITH)
#define HEARTBEAT_MS 600000
#define PAYMENTS     16 /* in one scene_pay: blocks of a size that turns logs over */

/* LevelDB's least: logs are turned over and tables merged within a few dozen blocks. The store asks for more. */
void leveldb_options_set_write_buffer_size(void *options, size_t bytes);
void leveldb_options_set_write_buffer_size(void *options, size_t bytes)
{
    void (*real)(void *, size_t) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "leveldb_options_set_write_buffer_size");
    (void)bytes;
    real(options, 65536);
}

/* -- the host: virtual time, real files -- */

static struct scene *of(struct host *h)
{
    return (struct scene *)h;
}

uint64_t scene_random(struct scene *s)
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
        *to++ = (uint8_t)scene_random(of(h));
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
    g->params.gap_ms = 2 * HEARTBEAT_MS;
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
        scene_message_free(s->messages);
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
                                  .heartbeat_ms = HEARTBEAT_MS};
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

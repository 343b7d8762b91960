/* Load for a network of real nodes (bench/net.sh starts them): signs ahead, posts lists over HTTP, follows the heights,
 * then reads the blocks and counts.
 *
 *     bench_net accounts N                                      --account KEY:AMOUNT for `kithd genesis`
 *     bench_net transfer|publish CHAIN N COUNT RATE HOST:PORT...  posts COUNT transactions of those accounts, RATE a
 * second
 *
 * `publish`: model records of 1 KiB with lineage. Every transaction must be in a block and have succeeded, or the run
 * counts for nothing. Latency is from the post until a node says that the height with the transaction is committed. */
#include "base/mem.h"
#include "chain/tx.h"
#include "node/host/helpers.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NODES_MAX     8u
#define HEIGHTS_MAX   4096u
#define LIST_MAX      256u  /* transactions of one post */
#define TICK_US       20000 /* a post each */
#define PATIENCE_S    30.0
#define PUBLISH_BYTES 1024u

struct sent {
    struct buf raw;
    struct hash id;
    double at;
    uint64_t height; /* 0: in no block */
};

struct load {
    struct hash chain;
    uint32_t accounts, count, nodes_n;
    double rate;
    bool publish;
    struct seckey *secret;
    struct pubkey *key;
    struct sent *txs;
    uint32_t *by_id; /* 1 + index; open addressing */
    uint32_t slots;
    struct sockaddr_in nodes[NODES_MAX];
    double heights[HEIGHTS_MAX]; /* when each was known */
    atomic_uint_fast64_t height;
    atomic_bool is_over;
    double start;
};

struct poster {
    struct load *l;
    uint32_t node;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_net: %s\n", what);
    exit(1);
}

/* -- accounts and transactions -- */

static void secret_at(uint32_t i, struct seckey *out)
{
    memset(out->b, 2, 32);
    store_le32(out->b, i + 1);
}

static void make_key(void *arg, uint32_t i)
{
    struct load *l = arg;
    secret_at(l->publish ? l->accounts + i : i, &l->secret[i]); /* others than those of transfers */
    key_derive(&l->secret[i], &l->key[i]);
}

static struct hash model_root(uint32_t i)
{
    return hash_once(HASH_FILE, &i, sizeof i);
}

static void put_publish(const struct load *l, uint32_t i, struct buf *body)
{
    struct tx_model_publish m = {.root = model_root(i), .size = 1, .royalty_bps = 1000, .derive_bps = 1000};
    struct lineage_entry parent = {LINEAGE_MODEL, model_root(0), 2000};
    struct buf lineage = {0}, tensors = {0};
    char name[32];
    snprintf(name, sizeof name, "bench-%u", i);
    CHECK(text64_set(&m.name, name) && text64_set(&m.licence, "CC0-1.0") && text64_set(&m.format, "gguf") &&
          text64_set(&m.architecture, "llama"));
    if (i > 0)
        lineage_entry_put(&lineage, &parent);
    m.lineage = bytes_of_buf(&lineage);
    for (size_t size = 0; size < PUBLISH_BYTES - 128; size = body->n) { /* the envelope is the rest */
        struct hash t = {{0}};
        uint64_t number = (uint64_t)i << 16 | tensors.n;
        t = hash_once(HASH_TENSOR, &number, sizeof number);
        buf_add(&tensors, t.b, sizeof t.b);
        m.tensors = (struct hashes){tensors.p, (uint32_t)(tensors.n / HASH_SIZE)};
        m.tensors_root = tx_tensors_root(&m.tensors);
        buf_reset(body);
        tx_model_publish_put(body, &m);
    }
    (void)l;
    buf_clear(&lineage);
    buf_clear(&tensors);
}

static void make_tx(void *arg, uint32_t i)
{
    struct load *l = arg;
    uint32_t from = i % l->accounts;
    struct buf body = {0};
    struct tx t;
    if (l->publish)
        put_publish(l, i, &body);
    else
        tx_transfer_put(&body, &(struct tx_transfer){.to = l->key[(from * 7u + i / l->accounts + 1) % l->accounts],
                                                     .amount = amount_of(1)});
    tx_build(&l->txs[i].raw, &l->chain, &l->secret[from], i / l->accounts, amount_of(l->publish ? 10000000 : 1000000),
             l->publish ? TX_MODEL_PUBLISH : TX_TRANSFER, bytes_of_buf(&body));
    CHECK(tx_decode(bytes_of_buf(&l->txs[i].raw), &t, NULL) == ERR_OK && tx_check(&t, &l->chain, NULL) == ERR_OK);
    l->txs[i].id = tx_id(&t);
    buf_clear(&body);
}

static uint32_t *slot_of(struct load *l, const struct hash *id)
{
    uint32_t i = load_le32(id->b) & (l->slots - 1);
    while (l->by_id[i] && !hash_equal(&l->txs[l->by_id[i] - 1].id, id))
        i = (i + 1) & (l->slots - 1);
    return &l->by_id[i];
}

static void make_load(struct load *l)
{
    struct helpers *helpers = helpers_new(helpers_best());
    struct parallel p = helpers_parallel(helpers);
    l->secret = mem_array(l->accounts, sizeof *l->secret);
    l->key = mem_array(l->accounts, sizeof *l->key);
    l->txs = mem_array(l->count, sizeof *l->txs);
    parallel_run(&p, make_key, l, l->accounts);
    parallel_run(&p, make_tx, l, l->count);
    helpers_free(helpers);
    for (l->slots = 1024; l->slots < 2 * l->count; l->slots *= 2)
        continue;
    l->by_id = mem_array(l->slots, sizeof *l->by_id);
    for (uint32_t i = 0; i < l->count; i++)
        *slot_of(l, &l->txs[i].id) = i + 1;
}

/* -- HTTP, one request after the other on a connection that stays -- */

static int dial(const struct sockaddr_in *to)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const void *)to, sizeof *to) != 0)
        die("a node does not answer");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t k = write(fd, (const uint8_t *)p + at, n - at);
        if (k <= 0)
            die("a node hung up");
        at += (size_t)k;
    }
}

/* The answer's body, as text. Answers here always say their length. */
static void answer_get(int fd, struct buf *in)
{
    const char *head_end, *length;
    buf_reset(in);
    for (;;) {
        buf_reserve(in, 1u << 16);
        ssize_t k = read(fd, in->p + in->n, 1u << 16);
        if (k <= 0)
            die("a node hung up");
        in->n += (size_t)k;
        const char *text = buf_text(in);
        if (!(head_end = strstr(text, "\r\n\r\n")))
            continue;
        length = strcasestr(text, "content-length:");
        if (!length || length > head_end)
            die("an answer without a length");
        size_t head = (size_t)(head_end + 4 - text), whole = head + strtoul(length + 15, NULL, 10);
        if (in->n < whole)
            continue;
        buf_drop(in, head);
        return;
    }
}

static void get(int fd, struct buf *in, const char *path, uint64_t number, const char *rest)
{
    char head[256];
    int n = snprintf(head, sizeof head, "GET %s%" PRIu64 "%s HTTP/1.1\r\nHost: localhost\r\n\r\n", path, number, rest);
    send_all(fd, head, (size_t)n);
    answer_get(fd, in);
}

static uint64_t number_in(const struct buf *in, const char *name)
{
    const char *at = strstr((const char *)in->p, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* -- posting: accounts are divided among the nodes, so that nonces arrive in order -- */

static bool is_mine(const struct poster *p, uint32_t tx)
{
    return tx % p->l->accounts % p->l->nodes_n == p->node;
}

static void post(struct poster *p, int fd, const struct buf *list, struct buf *in)
{
    char head[256];
    int n = snprintf(head, sizeof head,
                     "POST /kith/v1/txs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     list->n);
    send_all(fd, head, (size_t)n);
    send_all(fd, list->p, list->n);
    answer_get(fd, in);
    if (number_in(in, "\"refused\":") || !strstr(buf_text(in), "\"accepted\"")) {
        fprintf(stderr, "node %u: %.200s\n", p->node, buf_text(in));
        die("a node refused transactions: offer fewer a second");
    }
}

static void *poster_main(void *arg)
{
    struct poster *p = arg;
    struct load *l = p->l;
    int fd = dial(&l->nodes[p->node]);
    struct buf list = {0}, in = {0};
    uint32_t next = l->publish ? 1 : 0; /* the first model was there before */
    while (next < l->count) {
        double now = now_s();
        uint32_t due = (uint32_t)((now - l->start) * l->rate), n = 0;
        buf_reset(&list);
        for (; next < l->count && next < due && n < LIST_MAX; next++) {
            if (!is_mine(p, next))
                continue;
            struct bytes raw = bytes_of_buf(&l->txs[next].raw);
            codec_put_blob(&list, &raw);
            l->txs[next].at = now;
            n++;
        }
        if (n)
            post(p, fd, &list, &in);
        if (n < LIST_MAX)
            usleep(TICK_US);
    }
    close(fd);
    buf_clear(&list);
    buf_clear(&in);
    return NULL;
}

static void *watcher_main(void *arg)
{
    struct load *l = arg;
    int fd = dial(&l->nodes[0]);
    struct buf in = {0};
    while (!atomic_load(&l->is_over)) {
        uint64_t h = atomic_load(&l->height);
        get(fd, &in, "/kith/v1/chain/wait?height=", h + 1, "&wait=2");
        uint64_t got = number_in(&in, "\"height\":");
        double now = now_s();
        for (uint64_t k = h + 1; k <= got && k < HEIGHTS_MAX; k++)
            l->heights[k] = now;
        if (got > h)
            atomic_store(&l->height, got);
    }
    close(fd);
    buf_clear(&in);
    return NULL;
}

/* -- counting -- */

/* Marks those of ours that are in the block; returns how many. */
static uint32_t read_block(struct load *l, int fd, uint64_t height, struct buf *in)
{
    uint32_t found = 0;
    struct hash id;
    get(fd, in, "/kith/v1/chain/blocks/", height, "");
    const char *at = strstr((const char *)in->p, "\"txs\":");
    while (at && (at = strstr(at, "{\"id\":\""))) {
        at += 7;
        if (strlen(at) < 64)
            break;
        char hex[65] = {0};
        memcpy(hex, at, 64);
        uint32_t i = hex_get(hex, id.b, 32) ? *slot_of(l, &id) : 0;
        const char *end = strchr(at, '}');
        if (!i)
            continue;
        const char *ok = strstr(at, "\"ok\":true");
        if (!ok || !end || ok > end)
            die("a transaction had no effect");
        found += l->txs[i - 1].height == 0;
        l->txs[i - 1].height = height;
    }
    return found;
}

static int compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void report(struct load *l, uint32_t from, uint64_t blocks)
{
    uint32_t n = l->count - from;
    double *wait = mem_array(n, sizeof *wait), last = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct sent *s = &l->txs[from + i];
        double at = l->heights[s->height];
        wait[i] = at - s->at;
        last = at > last ? at : last;
    }
    qsort(wait, n, sizeof *wait, compare_doubles);
    printf("%s: %u of %zu bytes through %u nodes, offered %.0f/s: committed %.0f/s in %" PRIu64
           " blocks; latency median %.3f s, 99th %.3f s\n",
           l->publish ? "publish" : "transfer", n, l->txs[from].raw.n, l->nodes_n, l->rate, n / (last - l->start),
           blocks, wait[n / 2], wait[n - 1 - n / 100]);
    free(wait);
}

/* Until all are in blocks. */
static void count(struct load *l, uint32_t from, uint64_t height)
{
    struct buf in = {0};
    int fd = dial(&l->nodes[0]);
    uint32_t found = 0;
    uint64_t first = height + 1;
    double quiet_since = now_s();
    while (found < l->count - from) {
        if (height == atomic_load(&l->height)) {
            if (now_s() > quiet_since + PATIENCE_S)
                die("transactions are in no block");
            usleep(TICK_US);
            continue;
        }
        uint32_t more = read_block(l, fd, ++height, &in);
        found += more;
        if (more)
            quiet_since = now_s();
    }
    close(fd);
    buf_clear(&in);
    report(l, from, height - first + 1);
}

/* The first model, which the others derive from. */
static void publish_first(struct load *l)
{
    struct poster p = {.l = l};
    struct buf list = {0}, in = {0};
    struct bytes raw = bytes_of_buf(&l->txs[0].raw);
    int fd = dial(&l->nodes[0]);
    uint64_t height = atomic_load(&l->height);
    codec_put_blob(&list, &raw);
    post(&p, fd, &list, &in);
    while (read_block(l, fd, height + 1, &in) == 0) {
        height = height + 1 < atomic_load(&l->height) ? height + 1 : height;
        usleep(100000);
    }
    close(fd);
    buf_clear(&list);
    buf_clear(&in);
}

static void run(struct load *l)
{
    pthread_t watcher, posters[NODES_MAX];
    struct poster p[NODES_MAX];
    struct buf in = {0};
    int fd = dial(&l->nodes[0]);
    get(fd, &in, "/kith/v1/chain/wait?height=", 0, "");
    atomic_store(&l->height, number_in(&in, "\"height\":"));
    close(fd);
    buf_clear(&in);
    CHECK(pthread_create(&watcher, NULL, watcher_main, l) == 0);
    if (l->publish)
        publish_first(l);
    uint64_t height = atomic_load(&l->height);
    l->start = now_s();
    for (uint32_t i = 0; i < l->nodes_n; i++) {
        p[i] = (struct poster){l, i};
        CHECK(pthread_create(&posters[i], NULL, poster_main, &p[i]) == 0);
    }
    for (uint32_t i = 0; i < l->nodes_n; i++)
        pthread_join(posters[i], NULL);
    usleep(1000000); /* reading blocks is work for the node: not while it still commits most of them */
    count(l, l->publish ? 1 : 0, height);
    atomic_store(&l->is_over, true);
    pthread_join(watcher, NULL);
}

static void node_add(struct load *l, const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    if (!colon || l->nodes_n == NODES_MAX || (size_t)(colon - text) >= sizeof host)
        die("HOST:PORT, at most eight");
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    struct sockaddr_in *a = &l->nodes[l->nodes_n++];
    a->sin_family = AF_INET;
    a->sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &a->sin_addr) != 1)
        die("a numeric address is needed");
}

int main(int argc, char **argv)
{
    static struct load l;
    if (argc == 3 && strcmp(argv[1], "accounts") == 0) {
        for (uint32_t i = 0; i < (uint32_t)atoi(argv[2]); i++) {
            struct seckey s;
            char hex[65];
            secret_at(i, &s);
            struct pubkey key = key_public(&s);
            hex_put(hex, key.b, sizeof key.b);
            printf("--account %s:1000\n", hex);
        }
        return 0;
    }
    if (argc < 7 || !hex_get(argv[2], l.chain.b, sizeof l.chain.b))
        die("see the head of bench/bench_net.c");
    l.publish = strcmp(argv[1], "publish") == 0;
    l.accounts = (uint32_t)atoi(argv[3]);
    l.count = (uint32_t)atoi(argv[4]);
    l.rate = atof(argv[5]);
    for (int i = 6; i < argc; i++)
        node_add(&l, argv[i]);
    make_load(&l);
    run(&l);
    return 0;
}

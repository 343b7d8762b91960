/* Adding a data set: what fails leaves nothing behind, and neither does a process that ends in the middle. */
#include "base/file.h"
#include "node/data/data.h"
#include "tests/net.h"
#include "tests/world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE (3u * LEAF_SIZE + 5u)

struct store {
    struct net net;
    struct world *w;
    struct blobs *blobs;
    char *dir, file[300];
    uint8_t *content;
};

struct done {
    bool called;
    enum err e;
    struct data_facts facts;
    struct note note;
};

static void on_done(void *arg, enum err e, const struct data_facts *f, const struct note *note)
{
    struct done *d = arg;
    *d = (struct done){true, e, *f, *note};
}

static bool is_done(void *arg)
{
    return ((struct done *)arg)->called;
}

static struct done add(struct store *s)
{
    struct done d = {0};
    data_add(s->net.host, s->blobs, s->dir, s->file, on_done, &d);
    net_run(&s->net, is_done, &d, 20000);
    return d;
}

/* Files under HOME/data with that ending; all of them: "". */
static unsigned count(struct store *s, const char *ending)
{
    char path[300];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/data", s->dir);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        size_t name = strlen(e->d_name), end = strlen(ending);
        n += e->d_name[0] != '.' && name >= end && strcmp(e->d_name + name - end, ending) == 0;
    }
    closedir(d);
    return n;
}

static void write_content(struct store *s, uint8_t first)
{
    s->content[0] = first;
    assert_int_equal(file_write(s->file, 0600, bytes_of(s->content, SIZE), NULL), ERR_OK);
}

static void open_store(struct store *s)
{
    assert_int_equal(blobs_open(s->net.host, s->net.node[0].peers, s->dir, &s->blobs, NULL), ERR_OK);
}

static int begin(void **state)
{
    struct store *s = calloc(1, sizeof *s);
    s->w = world_new(NULL);
    s->dir = test_dir_new();
    snprintf(s->file, sizeof s->file, "%s/plain", s->dir);
    s->content = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        s->content[i] = (uint8_t)(i * 89 + i / 555);
    write_content(s, 1);
    net_open(&s->net);
    net_start(&s->net, 0, s->w->chain);
    open_store(s);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct store *s = *state;
    blobs_close(s->blobs);
    net_stop(&s->net, 0);
    net_close(&s->net);
    test_dir_remove(s->dir);
    world_free(s->w);
    free(s->content);
    free(s);
    return 0;
}

static const struct host_ops *real;
static struct host_ops full;

static enum err no_room(struct host *host, const char *from, const char *to, struct note *note)
{
    (void)host, (void)from, (void)to;
    return note_set(note, ERR_FULL, "no room");
}

static void what_fails_leaves_nothing(void **state)
{
    struct store *s = *state;
    real = s->net.host->ops;
    full = *real;
    full.rename = no_room; /* into the store, when key and hashes are written */
    s->net.host->ops = &full;
    struct done d = add(s);
    s->net.host->ops = real;
    assert_int_equal(d.e, ERR_FULL);
    assert_int_equal(count(s, ".key") + count(s, ".plain") + count(s, ".adding") + count(s, ".blob"), 0);
    assert_int_equal(add(s).e, ERR_OK);
}

static void put(struct store *s, const struct hash *root, const char *ending, struct bytes content)
{
    char path[400], hex[65];
    hex_put(hex, root->b, HASH_SIZE);
    snprintf(path, sizeof path, "%s/data/%s.%s", s->dir, hex, ending);
    assert_int_equal(file_write(path, 0600, content, NULL), ERR_OK);
}

/* The process ended in the middle: of encrypting, before the blob was in the store, and behind that. */
static void what_a_kill_left_goes(void **state)
{
    struct store *s = *state;
    const struct hash lost = {{7}}, nowhere = {{8}};
    char path[400];
    struct done first = add(s);
    assert_int_equal(first.e, ERR_OK);
    assert_int_equal(count(s, ".adding"), 0);
    snprintf(path, sizeof path, "%s/data/adding-00112233", s->dir);
    assert_int_equal(file_write(path, 0600, bytes_of("x", 1), NULL), ERR_OK);
    put(s, &lost, "adding", bytes_of(nowhere.b, HASH_SIZE));
    put(s, &lost, "key", bytes_of("k", 1));
    put(s, &lost, "plain", bytes_of("p", 1));
    put(s, &first.facts.plain_root, "adding", bytes_of(first.facts.cipher_root.b, HASH_SIZE));
    data_clean(s->dir);
    assert_int_equal(count(s, "112233") + count(s, ".adding"), 0);
    assert_int_equal(count(s, ".key"), 1);
    assert_int_equal(count(s, ".plain"), 1);
    assert_true(data_has_key(s->dir, &first.facts.plain_root));
    data_clean(s->dir); /* of nothing */
    assert_int_equal(count(s, ".key"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_fails_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_a_kill_left_goes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

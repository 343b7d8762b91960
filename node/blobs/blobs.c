/* The store: what is on the disk, importing, finding, removing. */
#include "node/blobs/blobs_in.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const dir_names[BLOB_KIND_COUNT] = {"models", "data"};

/* A copy that is being made on a thread. Outlives the store if that closes first. */
struct import {
    struct blobs *owner; /* NULL: the store is gone */
    struct import *next;
    struct host *host;
    enum blob_kind kind;
    char *from, *temp;
    blobs_done_fn done;
    void *arg;
    /* what the thread leaves behind */
    enum err e;
    struct note note;
    uint64_t size;
    struct hash *leaves;
};

/* -- items -- */

struct item *blobs_item(const struct blobs *b, const struct hash *root)
{
    struct item *it = b->items;
    while (it && !hash_equal(&it->root, root))
        it = it->next;
    return it;
}

char *blobs_item_path(const struct item *it, const char *ext)
{
    struct buf path = {0};
    char hex[65];
    hex_put(hex, it->root.b, sizeof it->root.b);
    buf_add_format(&path, "%s/%s.%s", it->owner->dir[it->kind], hex, ext);
    char *out = mem_string(buf_text(&path));
    buf_clear(&path);
    return out;
}

struct item *blobs_item_new(struct blobs *b, enum blob_kind kind, const struct hash *root)
{
    if (b->items_n >= BLOBS_MAX)
        return NULL;
    struct item *it = mem_new(sizeof *it);
    it->owner = b;
    it->kind = kind;
    it->root = *root;
    it->path = blobs_item_path(it, "blob");
    it->next = b->items;
    b->items = it;
    b->items_n++;
    return it;
}

void blobs_item_remove(struct item *it)
{
    struct blobs *b = it->owner;
    struct item **at = &b->items;
    while (*at != it)
        at = &(*at)->next;
    *at = it->next;
    b->items_n--;
    if (b->check_at == it) {
        b->check_at = it->next;
        b->check_leaf = 0;
    }
    blobs_part_close(it);
    merkle_tree_free(it->tree);
    while (it->waiters) {
        struct waiter *w = it->waiters;
        it->waiters = w->next;
        free(w);
    }
    free(it->path);
    free(it);
}

/* -- telling -- */

struct telling {
    struct telling *next;
    struct blobs *owner; /* NULL: the store is gone, and so may be whoever waited */
    blobs_done_fn fn;    /* NULL: who waited has left */
    void *arg;
    enum err e;
    struct hash root;
    struct note note;
};

static void tell(void *arg)
{
    struct telling *t = arg;
    if (t->owner) {
        struct telling **at = &t->owner->tellings;
        while (*at != t)
            at = &(*at)->next;
        *at = t->next;
        if (t->fn)
            t->fn(t->arg, t->e, &t->root, &t->note);
    }
    free(t);
}

void blobs_untell(struct blobs *b, const struct hash *root, blobs_done_fn fn, const void *arg)
{
    for (struct telling *t = b->tellings; t; t = t->next)
        if (t->fn == fn && t->arg == arg && hash_equal(&t->root, root)) {
            t->fn = NULL;
            return;
        }
}

static void tell_soon(struct blobs *b, const struct waiter *w, enum err e, const struct hash *root,
                      const struct note *note)
{
    struct telling *t = mem_new(sizeof *t);
    *t = (struct telling){b->tellings, b, w->fn, w->arg, e, *root, note ? *note : (struct note){{0}}};
    b->tellings = t;
    host_post(b->host, tell, t);
}

void blobs_item_wait(struct item *it, blobs_done_fn fn, void *arg)
{
    if (!fn)
        return;
    struct waiter *w = mem_new(sizeof *w);
    *w = (struct waiter){it->waiters, fn, arg};
    it->waiters = w;
}

void blobs_item_tell(struct item *it, enum err e, const struct note *note)
{
    while (it->waiters) {
        struct waiter *w = it->waiters;
        it->waiters = w->next;
        tell_soon(it->owner, w, e, &it->root, note);
        free(w);
    }
}

/* -- becoming whole -- */

/* `leaves` are of the bytes in the file `from`, which becomes the .blob if they make the root. The list is
 * written first: a .blob without one is never found at a start. */
static enum err adopt(struct item *it, const char *from, uint64_t size, const struct hash *leaves, struct note *note)
{
    struct blob_head head;
    char hex[65];
    struct merkle_tree *tree = merkle_tree_new(leaves, merkle_leaves(size), size);
    struct hash root = merkle_tree_root(tree);
    char *list = blobs_item_path(it, "leaves");
    hex_put(hex, it->root.b, sizeof it->root.b);
    enum err e = hash_equal(&root, &it->root)
                     ? blob_seal(from, note)
                     : note_set(note, ERR_CORRUPT, "the leaves of %s do not make that root", hex);
    if (e == ERR_OK)
        e = blob_stamp(from, &head, note); /* a rename changes neither time nor inode */
    if (e == ERR_OK && head.size != size)
        e = note_set(note, ERR_CORRUPT, "%s has %llu bytes instead of %llu", from, (unsigned long long)head.size,
                     (unsigned long long)size);
    if (e == ERR_OK)
        e = blob_leaves_write(it->owner->host, list, &head, leaves, note);
    if (e == ERR_OK)
        e = host_rename(it->owner->host, from, it->path, note);
    free(list);
    if (e != ERR_OK) {
        merkle_tree_free(tree);
        return e;
    }
    it->size = size;
    it->tree = tree;
    it->whole = true;
    log_event(LOG_INFO, "blobs", "whole", "root=%.16s kind=%s size=%llu", hex, dir_names[it->kind],
              (unsigned long long)size);
    return ERR_OK;
}

enum err blobs_item_finish(struct item *it, struct note *note)
{
    char *part = blobs_item_path(it, "part"), *have = blobs_item_path(it, "have");
    enum err e = host_file_sync(it->file);
    if (e != ERR_OK)
        e = note_set(note, e, "cannot sync %s: %s", part, err_text(e));
    else
        e = adopt(it, part, it->size, it->leaves, note);
    if (e == ERR_OK) {
        blobs_part_close(it);
        e = host_remove(it->owner->host, have, note);
    } else if (e == ERR_CORRUPT && host_remove(it->owner->host, have, NULL) != ERR_OK) {
        log_event(LOG_ODD, "blobs", "left behind", "path=%s", have);
    }
    free(part);
    free(have);
    return e;
}

/* -- importing -- */

static void import_work(void *arg)
{
    struct import *i = arg;
    i->e = blob_copy(i->from, i->temp, &i->size, &i->leaves, &i->note);
}

static void import_free(struct import *i)
{
    if (i->owner) {
        struct import **at = &i->owner->imports;
        while (*at != i)
            at = &(*at)->next;
        *at = i->next;
    }
    free(i->from);
    free(i->temp);
    free(i->leaves);
    free(i);
}

/* A pull of the same blob that is under way ends with it. */
static enum err import_adopt(struct import *i, struct hash *root)
{
    struct blobs *b = i->owner;
    struct merkle_tree *tree = merkle_tree_new(i->leaves, merkle_leaves(i->size), i->size);
    *root = merkle_tree_root(tree);
    merkle_tree_free(tree);
    struct item *it = blobs_item(b, root);
    if (it && it->whole)
        return host_remove(b->host, i->temp, &i->note);
    struct item *made = it ? NULL : blobs_item_new(b, i->kind, root);
    if (!it && !made)
        return note_set(&i->note, ERR_FULL, "the store holds %u blobs already: remove one first", BLOBS_MAX);
    it = it ? it : made;
    enum err e = adopt(it, i->temp, i->size, i->leaves, &i->note);
    if (e != ERR_OK && made)
        blobs_item_remove(made);
    if (e != ERR_OK || made)
        return e;
    blobs_part_close(it);
    blobs_item_tell(it, ERR_OK, NULL);
    static const char *const exts[] = {"part", "have"};
    for (int k = 0; k < 2 && e == ERR_OK; k++) {
        char *path = blobs_item_path(it, exts[k]);
        e = host_remove(b->host, path, &i->note);
        free(path);
    }
    return e;
}

static void import_done(void *arg)
{
    struct import *i = arg;
    struct hash root = {{0}};
    if (!i->owner) {
        unlink(i->temp); /* nobody is there to adopt it */
        import_free(i);
        return;
    }
    if (i->e == ERR_OK)
        i->e = import_adopt(i, &root);
    if (i->e != ERR_OK && host_remove(i->host, i->temp, NULL) != ERR_OK)
        log_event(LOG_ODD, "blobs", "left behind", "path=%s", i->temp);
    if (i->done)
        i->done(i->arg, i->e, &root, &i->note);
    import_free(i);
}

void blobs_import(struct blobs *b, enum blob_kind kind, const char *path, blobs_done_fn done, void *arg)
{
    struct import *i = mem_new(sizeof *i);
    struct buf temp = {0};
    uint64_t chance;
    host_random(b->host, &chance, sizeof chance);
    buf_add_format(&temp, "%s/%016llx.import", b->dir[kind], (unsigned long long)chance);
    i->owner = b;
    i->host = b->host;
    i->kind = kind;
    i->from = mem_string(path);
    i->temp = mem_string(buf_text(&temp));
    i->done = done;
    i->arg = arg;
    i->next = b->imports;
    b->imports = i;
    buf_clear(&temp);
    host_submit(b->host, import_work, import_done, i);
}

/* -- asking -- */

static void fill_info(const struct item *it, struct blobs_info *out)
{
    *out = (struct blobs_info){.root = it->root, .kind = it->kind, .whole = it->whole, .pulling = it->pulling};
    out->size = it->size;
    out->leaves = merkle_leaves(it->size);
    out->leaves_have = it->whole ? out->leaves : it->fetch ? blob_fetch_here(it->fetch) : it->kept;
    out->sources = it->pulling && it->fetch ? blob_fetch_sources(it->fetch) : 0;
    out->waits = out->sources && !it->placed;
    out->asked = it->asked;
    out->asked_ago_ms = it->pulling && it->asked_ms ? host_now_ms(it->owner->host) - it->asked_ms : 0;
}

bool blobs_find(const struct blobs *b, const struct hash *root, struct blobs_info *out)
{
    const struct item *it = blobs_item(b, root);
    if (it)
        fill_info(it, out);
    return it != NULL;
}

void blobs_list(const struct blobs *b, blobs_info_fn fn, void *arg)
{
    for (const struct item *it = b->items; it; it = it->next) {
        struct blobs_info info;
        fill_info(it, &info);
        fn(arg, &info);
    }
}

const char *blobs_path(const struct blobs *b, const struct hash *root)
{
    const struct item *it = blobs_item(b, root);
    return it && it->whole ? it->path : NULL;
}

enum err blobs_fd(const struct blobs *b, const struct hash *root, int *fd, struct note *note)
{
    char hex[65];
    const char *path = blobs_path(b, root);
    hex_put(hex, root->b, sizeof root->b);
    *fd = -1;
    if (!path)
        return note_set(note, ERR_NOT_FOUND, "%s is not whole on this machine: kith model pull it", hex);
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd >= 0 ? ERR_OK : note_set(note, ERR_IO, "cannot open %s: %s", path, strerror(errno));
}

enum err blobs_remove(struct blobs *b, const struct hash *root, struct note *note)
{
    static const char *const exts[] = {"blob", "part", "have", "leaves"};
    struct item *it = blobs_item(b, root);
    enum err e = ERR_OK;
    if (!it)
        return note_set(note, ERR_NOT_FOUND, "there is no such blob on this machine");
    for (size_t i = 0; i < sizeof exts / sizeof *exts && e == ERR_OK; i++) {
        char *path = blobs_item_path(it, exts[i]);
        e = host_remove(b->host, path, note);
        free(path);
    }
    if (e != ERR_OK)
        return e;
    blobs_item_tell(it, ERR_CANCELLED, NULL);
    blobs_item_remove(it);
    return ERR_OK;
}

/* -- at start -- */

struct scan {
    struct blobs *b;
    enum blob_kind kind;
};

/* Whatever was believed of it: its leaves are to be hashed again. */
enum err blobs_item_demote(struct item *it, struct note *note)
{
    char *part = blobs_item_path(it, "part"), *have = blobs_item_path(it, "have"),
         *list = blobs_item_path(it, "leaves");
    blobs_part_close(it);
    merkle_tree_free(it->tree);
    it->tree = NULL;
    it->whole = false;
    enum err e = host_rename(it->owner->host, list, have, note);
    if (e == ERR_OK)
        e = host_rename(it->owner->host, it->path, part, note);
    if (e == ERR_OK)
        e = blob_unseal(part, note);
    free(part);
    free(have);
    free(list);
    return e;
}

static enum err load_whole(struct item *it, struct note *note)
{
    struct blob_head listed, now;
    struct hash *leaves = NULL;
    char *list = blobs_item_path(it, "leaves");
    enum err e = blob_leaves_read(it->owner->host, list, &listed, &leaves, note);
    free(list);
    if (e == ERR_OK)
        e = blob_stamp(it->path, &now, note);
    if (e != ERR_OK)
        return e;
    struct merkle_tree *tree = merkle_tree_new(leaves, merkle_leaves(listed.size), listed.size);
    struct hash root = merkle_tree_root(tree);
    free(leaves);
    if (!hash_equal(&root, &it->root) || memcmp(&listed, &now, sizeof now) != 0) {
        merkle_tree_free(tree);
        return note_set(note, ERR_CORRUPT, "%s was changed, or its list of leaves was", it->path);
    }
    it->tree = tree;
    it->size = now.size;
    it->whole = true;
    return ERR_OK;
}

static void found_name(void *arg, const char *name)
{
    struct scan *s = arg;
    struct hash root;
    struct note note = {{0}};
    char hex[65] = {0};
    size_t n = strlen(name);
    const char *ext = strrchr(name, '.');
    if (ext && strcmp(ext, ".import") == 0) { /* of a run that was cut off */
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", s->b->dir[s->kind], name);
        if (host_remove(s->b->host, path, &note) != ERR_OK)
            log_event(LOG_ODD, "blobs", "left behind", "why=%s", note.text);
        return;
    }
    if (n <= 64 || n > 70 || (strcmp(name + 64, ".blob") != 0 && strcmp(name + 64, ".part") != 0))
        return;
    memcpy(hex, name, 64);
    if (!hex_get(hex, root.b, sizeof root.b) || blobs_item(s->b, &root))
        return;
    struct item *it = blobs_item_new(s->b, s->kind, &root);
    if (!it)
        return;
    if (strcmp(name + 64, ".blob") == 0) {
        enum err e = load_whole(it, &note);
        if (e == ERR_OK)
            return;
        log_event(LOG_ODD, "blobs", "checked again", "root=%.16s why=%s", hex, note.text);
        if (blobs_item_demote(it, &note) != ERR_OK)
            log_event(LOG_ODD, "blobs", "not checked", "root=%.16s why=%s", hex, note.text);
    }
    blobs_part_check(it);
}

enum err blobs_open(struct host *host, struct peers *peers, const char *home, struct blobs **out, struct note *note)
{
    struct blobs *b = mem_new(sizeof *b);
    enum err e = ERR_OK;
    b->host = host;
    b->peers = peers;
    for (unsigned k = 0; k < BLOB_KIND_COUNT && e == ERR_OK; k++) {
        struct buf path = {0};
        struct scan scan = {b, (enum blob_kind)k};
        buf_add_format(&path, "%s/%s", home, dir_names[k]);
        b->dir[k] = mem_string(buf_text(&path));
        buf_clear(&path);
        e = host_make_dir(host, b->dir[k], note);
        if (e == ERR_OK)
            e = host_list(host, b->dir[k], found_name, &scan, note);
    }
    *out = NULL;
    if (e != ERR_OK) {
        blobs_close(b);
        return e;
    }
    blobs_pull_start(b);
    blobs_check_start(b);
    *out = b;
    return ERR_OK;
}

void blobs_close(struct blobs *b)
{
    if (!b)
        return;
    blobs_check_stop(b);
    blobs_verify_stop(b);
    for (struct import *i = b->imports; i; i = i->next)
        i->owner = NULL;
    for (struct telling *t = b->tellings; t; t = t->next)
        t->owner = NULL;
    while (b->items)
        blobs_item_remove(b->items);
    blobs_pull_stop(b);
    for (unsigned k = 0; k < BLOB_KIND_COUNT; k++)
        free(b->dir[k]);
    free(b);
}

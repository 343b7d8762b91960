/* Directory, lock, key, genesis file. */
#include "node/home.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define GENESIS_BYTES_MAX (16u << 20)

/* Whoever may write into it puts keys, settings and a socket there. A group is left out: many users have one of their
 * own. */
static enum err check_ours(const char *home, struct note *note)
{
    struct stat st;
    if (stat(home, &st) != 0)
        return note_set(note, ERR_IO, "cannot look at %s: %s", home, strerror(errno));
    if (st.st_uid != getuid() && st.st_uid != 0)
        return note_set(note, ERR_AUTH, "%s is another user's", home);
    if (st.st_mode & S_IWOTH)
        return note_set(note, ERR_AUTH, "others may write into %s: chmod o-w it, once what is there is yours", home);
    return ERR_OK;
}

enum err home_open(const struct config *c, int *lock_fd, struct note *note)
{
    *lock_fd = -1;
    struct note why = {{0}};
    enum err e = file_make_dir(c->home, &why);
    if (e == ERR_OK)
        e = check_ours(c->home, &why);
    if (e != ERR_OK)
        return note_set(note, e, "%s (choose another directory with --home)", why.text);
    char *path = config_path(c, "kithd.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        e = note_set(note, ERR_IO, "cannot open %s: %s (choose another directory with --home)", path, strerror(errno));
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        e = note_set(note, ERR_BUSY, "another kithd runs in %s: stop it, or choose another --home", c->home);
    if (e != ERR_OK && fd >= 0)
        close(fd);
    else
        *lock_fd = fd;
    free(path);
    return e;
}

void home_close(int lock_fd)
{
    if (lock_fd >= 0)
        close(lock_fd);
}

/* Two lines of 64 digits: the key, and what is public of it, so that a changed digit is found. One that a person wrote
 * may have the first alone. */
static enum err parse_key(const char *path, struct buf *text, struct seckey *secret, struct note *note)
{
    struct pubkey said, is;
    if (text->n && text->p[text->n - 1] == '\n')
        text->n--;
    char *second = memchr(buf_text(text), '\n', text->n);
    if (second)
        *second++ = 0;
    if (!hex_get((const char *)text->p, secret->b, sizeof secret->b) || !key_is_valid(secret) ||
        (second && !hex_get(second, said.b, sizeof said.b)))
        return note_set(note, ERR_FORMAT, "%s holds no key (64 hexadecimal digits): restore it or remove it", path);
    is = key_public(secret);
    if (second && !pubkey_equal(&said, &is))
        return note_set(note, ERR_CORRUPT, "%s is damaged, its two lines do not belong together: restore it", path);
    return ERR_OK;
}

static enum err read_key(const char *path, struct seckey *secret, struct note *note)
{
    struct stat st;
    struct buf text = {0};
    if (stat(path, &st) != 0)
        return note_set(note, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (st.st_mode & 077)
        return note_set(note, ERR_AUTH, "others may read %s: chmod 600 it (and think of making a new key)", path);
    enum err e = file_read(path, 4096, &text, note);
    if (e == ERR_OK)
        e = parse_key(path, &text, secret, note);
    secret_wipe(text.p, text.n);
    buf_clear(&text);
    return e;
}

static enum err make_key(const char *path, struct seckey *secret, struct note *note)
{
    char text[2 * (2 * sizeof secret->b + 1) + 1];
    key_new(secret);
    struct pubkey public = key_public(secret);
    hex_put(text, secret->b, sizeof secret->b);
    text[2 * sizeof secret->b] = '\n';
    hex_put(text + 2 * sizeof secret->b + 1, public.b, sizeof public.b);
    text[sizeof text - 2] = '\n';
    enum err e = file_write(path, 0600, bytes_of(text, sizeof text - 1), note);
    secret_wipe(text, sizeof text);
    return e;
}

enum err home_key(const struct config *c, struct seckey *secret, struct pubkey *id, struct note *note)
{
    char *path = config_path(c, "node.key");
    enum err e = read_key(path, secret, note);
    if (e == ERR_NOT_FOUND)
        e = make_key(path, secret, note);
    if (e == ERR_OK)
        key_derive(secret, id);
    free(path);
    return e;
}

static enum err keep_genesis(const struct config *c, const char *path, struct note *note)
{
    struct buf given = {0}, kept = {0};
    enum err e = file_read(c->genesis, GENESIS_BYTES_MAX, &given, note);
    if (e == ERR_OK)
        e = file_read(path, GENESIS_BYTES_MAX, &kept, note);
    if (e == ERR_NOT_FOUND && given.n)
        e = file_write(path, 0600, bytes_of_buf(&given), note);
    else if (e == ERR_OK && !bytes_equal(bytes_of_buf(&given), bytes_of_buf(&kept)))
        e = note_set(note, ERR_CHAIN, "%s differs from %.120s, which this node began with: choose another --home",
                     c->genesis, path);
    buf_clear(&given);
    buf_clear(&kept);
    return e;
}

enum err home_genesis(const struct config *c, char **path, struct note *note)
{
    *path = config_path(c, "genesis.json");
    enum err e = ERR_OK;
    if (c->genesis)
        e = keep_genesis(c, *path, note);
    else if (access(*path, R_OK) != 0)
        e = note_set(note, ERR_NOT_FOUND,
                     "%s is not there: name the chain to join with --genesis FILE, or run kithd dev", *path);
    if (e != ERR_OK) {
        free(*path);
        *path = NULL;
    }
    return e;
}

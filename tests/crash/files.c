/* Files that are replaced as a whole: the wallet's keystore, and through the same call every small file of node and
 * wallet. What was told to be written is there after any crash, or what was written behind it; never a mixture, never
 * nothing. */
#include "base/file.h"
#include "base/mem.h"
#include "tests/crash/faults.h"
#include "wallet/keystore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ACCOUNTS 6

static void paths_of(const struct faults *f, char dir[700], char path[720])
{
    snprintf(dir, 700, "%s/wallet", f->home);
    snprintf(path, 720, "%s/keys", dir);
}

/* A wallet that gets one account after the other. Each mark: so many are written, and somebody was told. */
static void record_wallet(const struct faults *f, struct disk_trace *t)
{
    static const struct keystore_cost cheap = {1, 8};
    char dir[700], path[720], name[16];
    struct note note;
    struct keystore *ks = mem_new(sizeof *ks);
    struct keystore_secret *secret = mem_new(sizeof *secret);
    secret->entropy_n = 32;
    memset(secret->entropy, 7, sizeof secret->entropy);
    paths_of(f, dir, path);
    image_write(&(struct image){0}, f->dir);
    disk_record(f->dir, t, NULL, 0);
    CHECK(file_make_dir(dir, &note) == ERR_OK);
    CHECK(keystore_init(ks, secret, "kithdev", "main", "password", cheap, &note) == ERR_OK);
    for (uint32_t n = 1; n <= ACCOUNTS; n++) {
        CHECK(keystore_write(path, ks, n == 1, &note) == ERR_OK);
        disk_mark(n, (struct bytes){0});
        snprintf(name, sizeof name, "account%u", n);
        CHECK(keystore_add(ks, secret, name, &note) == ERR_OK);
    }
    disk_stop();
    free(ks);
    free(secret);
}

static void look(struct faults *f, const struct image *image, uint32_t told, uint32_t point, enum image_cut cut)
{
    char dir[700], path[720];
    struct note note = {{0}};
    struct keystore *ks = mem_new(sizeof *ks);
    paths_of(f, dir, path);
    image_write(image, f->dir);
    enum err e = keystore_read(path, ks, &note);
    bool ok = e == ERR_OK ? ks->accounts_n >= told && ks->accounts_n <= told + 1 : e == ERR_NOT_FOUND && told == 0;
    if (!ok && f->failed++ < 5)
        printf("  files: point %u %s: LOST: %u accounts were told, there are %u (%s)\n", point, image_cut_name(cut),
               told, ks->accounts_n, note.text);
    f->tried++;
    free(ks);
}

void faults_files(struct faults *f)
{
    struct disk_trace t = {0};
    uint32_t told = 0;
    record_wallet(f, &t);
    struct disk *d = disk_new();
    for (uint32_t i = 0; i < t.n; i++) {
        disk_step(d, &t.ops[i]);
        if (t.ops[i].kind == DISK_MARK)
            told = t.ops[i].inode;
        for (int cut = 0; cut < IMAGE_CUTS; cut++)
            for (uint64_t seed = 0; seed < 8; seed++) {
                struct image image;
                image_make(&image, d, (enum image_cut)cut, seed * 1000 + i);
                look(f, &image, told, i, (enum image_cut)cut);
                image_clear(&image);
            }
    }
    disk_free(d);
    disk_trace_clear(&t);
}

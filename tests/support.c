/* What tests share. */
#include "tests/support.h"

#include "base/mem.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *test_data_path(const char *file)
{
    static char path[1024];
    const char *root = getenv("KITH_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared/data", file);
    return access(path, R_OK) == 0 ? path : NULL;
}

char *test_dir_new(void)
{
    const char *root = getenv("TMPDIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/kith-test-XXXXXX", root ? root : "/tmp");
    CHECK(mkdtemp(path));
    return mem_string(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void test_dir_remove(char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

void test_hex(struct buf *out, const char *hex)
{
    size_t n = strlen(hex) / 2;
    buf_reserve(out, n);
    CHECK(hex_get(hex, out->p + out->n, n));
    out->n += n;
}

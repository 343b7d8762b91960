/* Packed weights beside a worker: made once, used again, never believed when they or the model's file changed. */
#include "tests/worker_stage.h"

#include "base/file.h"
#include "inference/request.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The one file in the directory, or NULL. */
static const char *find_pack(const char *dir)
{
    static char path[600];
    DIR *d = opendir(dir);
    const struct dirent *one;
    unsigned n = 0;
    while (d && (one = readdir(d)))
        if (*one->d_name != '.') {
            snprintf(path, sizeof path, "%.300s/%.250s", dir, one->d_name);
            n++;
        }
    if (d)
        closedir(d);
    assert_true(n <= 1);
    return n ? path : NULL;
}

static void flip(const char *path, off_t at, int whence)
{
    uint8_t b;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && lseek(fd, at, whence) >= 0 && read(fd, &b, 1) == 1);
    b ^= 4;
    assert_true(lseek(fd, -1, SEEK_CUR) >= 0 && write(fd, &b, 1) == 1);
    close(fd);
}

static enum err run_with_packs(const char *model, struct run *r)
{
    struct stage s;
    *r = (struct run){0};
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, r, 1, 60);
    stage_run(&s);
    stage_close(&s); /* also waits until the file has its name */
    return r->e;
}

static void expect_packed_run(const char *model, const struct run *want)
{
    struct run r;
    assert_int_equal(run_with_packs(model, &r), ERR_OK);
    run_expect_same(want, &r);
    run_clear(&r, 1);
}

/* They are made by the first worker and used by the next ones; whatever happens to the file, no answer changes. */
static void test_packed_weights_are_kept(void **state)
{
    (void)state;
    TEST_NEEDS(found, "weights/stories260K-Q8_0.gguf");
    char model[1024], *dir = test_dir_new();
    struct run want = {0}, r;
    struct buf pack = {0}, later = {0};
    struct note note;
    snprintf(model, sizeof model, "%s", found);
    assert_int_equal(run_with_packs(model, &want), ERR_OK);
    stage_packs = dir;
    expect_packed_run(model, &want);
    if (!find_pack(dir)) {
        test_dir_remove(dir);
        stage_packs = NULL;
        run_clear(&want, 1);
        print_message("skip: the kernels of this machine do not pack\n");
        skip();
    }
    assert_int_equal(file_read(find_pack(dir), 1u << 30, &pack, &note), ERR_OK);
    expect_packed_run(model, &want);

    /* Of another length, a head that is wrong, a table that is: noticed before it is used, and made anew. */
    assert_int_equal(truncate(find_pack(dir), (off_t)pack.n - 1), 0);
    expect_packed_run(model, &want);
    assert_null(find_pack(dir));
    static const off_t places[] = {0, 20, 60, 4096};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        expect_packed_run(model, &want);
        flip(find_pack(dir), places[i], SEEK_SET);
        expect_packed_run(model, &want);
        assert_null(find_pack(dir));
    }

    /* A weight that is wrong: found as the worker works, which ends; the next one packs anew and the job goes on,
     * unless what it had said already was wrong. */
    expect_packed_run(model, &want);
    flip(find_pack(dir), -100, SEEK_END);
    enum err e = run_with_packs(model, &r);
    assert_true(e == ERR_MISMATCH || (e == ERR_OK && hash_equal(&r.digest, &want.digest)));
    run_clear(&r, 1);
    expect_packed_run(model, &want);
    assert_int_equal(file_read(find_pack(dir), 1u << 30, &later, &note), ERR_OK);
    assert_true(bytes_equal(bytes_of_buf(&pack), bytes_of_buf(&later)));
    stage_packs = NULL;
    buf_clear(&pack);
    buf_clear(&later);
    run_clear(&want, 1);
    test_dir_remove(dir);
}

/* The model's file was damaged: what was made of it goes too, and who waits hears so. */
static void test_packs_go_with_the_model(void **state)
{
    (void)state;
    TEST_NEEDS(model, "weights/stories260K-Q8_0.gguf");
    const struct hash root = {{7}}, other = {{8}};
    char *dir = test_dir_new();
    struct stage s;
    struct run done = {0}, open = {0};
    stage_packs = dir;
    assert_int_equal(run_with_packs(model, &done), ERR_OK);
    bool is_kept = find_pack(dir) != NULL; /* not where the kernels do not pack */
    stage_open(&s, model, stage_program(), WORKER_FULL);
    run_start(&s, &open, 1, 400);
    workers_drop_model(s.workers, &other);
    assert_ptr_equal(workers_find(s.workers, &root, WORKER_FULL), s.worker);
    assert_true(!is_kept || find_pack(dir));
    workers_drop_model(s.workers, &root);
    assert_null(workers_find(s.workers, &root, WORKER_FULL));
    assert_null(find_pack(dir));
    stage_run(&s);
    assert_int_equal(open.e, ERR_CANCELLED);
    run_clear(&done, 1);
    run_clear(&open, 1);
    stage_close(&s);
    stage_packs = NULL;
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_weights_are_kept),
        cmocka_unit_test(test_packs_go_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

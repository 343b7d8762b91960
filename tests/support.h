/* What tests share: cmocka with its headers, the public test data, a scratch directory. */
#ifndef KITH_TESTS_SUPPORT_H
#define KITH_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"

/* Path of a file of the public test data (KITH_DATA, else ../shared/data), or NULL when it is not on
 * this machine; valid until the next call. A test that gets NULL says so and skips. */
const char *test_data_path(const char *file);
/* Skips the running test, out loud, when the file is absent. */
#define TEST_NEEDS(path, file)                                                                                         \
    const char *path = test_data_path(file);                                                                           \
    if (!path) {                                                                                                       \
        print_message("skip: %s is not on this machine\n", file);                                                      \
        skip();                                                                                                        \
    }
/* A fresh directory under $TMPDIR; removed with all its content by test_dir_remove. Caller frees. */
char *test_dir_new(void);
void test_dir_remove(char *path);
/* The hexadecimal text as bytes, appended. */
void test_hex(struct buf *out, const char *hex);

#endif

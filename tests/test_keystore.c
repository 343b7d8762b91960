/* The wallet's file: what the password guards, what damage and tampering do, accounts by name. */
#include "wallet/keystore.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/support.h"
#include "wallet/bip32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct keystore_cost cheap = {1, 64};

static struct keystore make(const char *password, struct keystore_secret *secret)
{
    struct keystore ks;
    *secret = (struct keystore_secret){.entropy_n = 32};
    memset(secret->entropy, 0x42, 32);
    assert_int_equal(keystore_init(&ks, secret, "kithdev", "main", password, cheap, NULL), ERR_OK);
    return ks;
}

static void opens_with_its_password_alone(void **state)
{
    (void)state;
    struct keystore_secret secret, open;
    struct keystore ks = make("correct horse", &secret);
    static const char *const wrong[] = {"", "correct hors", "correct horsf", "Correct horse", "correct horse "};
    assert_int_equal(keystore_unlock(&ks, "correct horse", &open, NULL), ERR_OK);
    assert_int_equal(open.entropy_n, 32);
    assert_memory_equal(open.entropy, secret.entropy, 32);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct note note = {{0}};
        assert_int_equal(keystore_unlock(&ks, wrong[i], &open, &note), ERR_AUTH);
        assert_non_null(strstr(note.text, "wrong password"));
    }
    struct note note;
    assert_int_equal(keystore_init(&ks, &secret, "kith", "main", "", cheap, &note), ERR_FORMAT);
}

static void accounts_have_names_and_keys(void **state)
{
    (void)state;
    struct keystore_secret secret;
    struct keystore ks = make("p", &secret);
    struct note note = {{0}};
    struct seckey key;
    assert_int_equal(keystore_add(&ks, &secret, "second", &note), ERR_OK);
    assert_int_equal(keystore_add(&ks, &secret, "second", &note), ERR_EXISTS);
    assert_int_equal(keystore_add(&ks, &secret, "a b", &note), ERR_FORMAT);
    assert_int_equal(keystore_add(&ks, &secret, "", &note), ERR_FORMAT);
    assert_int_equal(keystore_add(&ks, &secret, "../up/and/away", &note), ERR_FORMAT);
    assert_int_equal(ks.accounts_n, 2);
    assert_ptr_equal(keystore_find(&ks, NULL, &note), &ks.accounts[0]);
    const struct keystore_account *a = keystore_find(&ks, "second", &note);
    assert_non_null(a);
    assert_int_equal(a->number, 1);
    assert_null(keystore_find(&ks, "third", &note));
    assert_non_null(strstr(note.text, "main, second"));
    assert_int_equal(keystore_key(a, &secret, &key, &note), ERR_OK);
    struct pubkey public = key_public(&key);
    assert_true(pubkey_equal(&public, &a->key));
    /* The same words give the same accounts, whatever the password. */
    struct keystore_secret again = {.entropy_n = 32};
    struct keystore other;
    memcpy(again.entropy, secret.entropy, 32);
    assert_int_equal(keystore_init(&other, &again, "kith", "x", "other", cheap, NULL), ERR_OK);
    assert_true(pubkey_equal(&other.accounts[0].key, &ks.accounts[0].key));
    /* A key that is not of these words is refused, not used. */
    struct keystore_account forged = *a;
    forged.number = 7;
    assert_int_equal(keystore_key(&forged, &secret, &key, &note), ERR_CORRUPT);
}

static void holds_as_many_accounts_as_it_says(void **state)
{
    (void)state;
    struct keystore_secret secret;
    struct keystore ks = make("p", &secret), back;
    struct note note = {{0}};
    struct buf file = {0};
    while (ks.accounts_n < WALLET_ACCOUNTS_MAX) { /* keys need not be real here */
        char name[64];
        struct keystore_account *a = &ks.accounts[ks.accounts_n];
        *a = ks.accounts[0];
        a->number = ks.accounts_n++;
        snprintf(name, sizeof name, "a-name-of-thirty-two-letters-%03u", a->number);
        assert_int_equal(strlen(name), WALLET_NAME_MAX);
        assert_true(text64_set(&a->name, name));
    }
    assert_int_equal(keystore_add(&ks, &secret, "one-more", &note), ERR_LIMIT);
    keystore_put(&file, &ks);
    assert_true(file.n < WALLET_FILE_MAX);
    assert_int_equal(keystore_get(bytes_of_buf(&file), &back, &note), ERR_OK);
    assert_int_equal(back.accounts_n, WALLET_ACCOUNTS_MAX);
    buf_clear(&file);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct keystore_secret secret;
    struct keystore ks = make("p", &secret), back;
    struct buf file = {0};
    keystore_put(&file, &ks);
    assert_int_equal(keystore_get(bytes_of_buf(&file), &back, NULL), ERR_OK);
    for (size_t i = 0; i < file.n * 8; i++) {
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(keystore_get(bytes_of_buf(&file), &back, NULL), ERR_OK);
        file.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < file.n; n++)
        assert_int_not_equal(keystore_get(bytes_of(file.p, n), &back, NULL), ERR_OK);
    buf_clear(&file);
}

/* Whoever can write the file can fix its checksum, but not what the password authenticates. */
static void a_changed_account_is_noticed_at_unlocking(void **state)
{
    (void)state;
    struct keystore_secret secret, open;
    struct keystore ks = make("p", &secret);
    ks.accounts[0].key.b[3] ^= 1;
    assert_int_equal(keystore_unlock(&ks, "p", &open, NULL), ERR_AUTH);
    ks.accounts[0].key.b[3] ^= 1;
    assert_true(text64_set(&ks.accounts[0].name, "mine"));
    assert_int_equal(keystore_unlock(&ks, "p", &open, NULL), ERR_AUTH);
}

static void the_file_is_private_and_never_overwritten(void **state)
{
    (void)state;
    struct keystore_secret secret;
    struct keystore ks = make("p", &secret), back;
    char *dir = test_dir_new();
    char path[1100];
    struct note note = {{0}};
    struct stat st;
    snprintf(path, sizeof path, "%s/wallet.keys", dir);
    assert_int_equal(keystore_read(path, &back, &note), ERR_NOT_FOUND);
    assert_non_null(strstr(note.text, "kith wallet new"));
    assert_int_equal(keystore_write(path, &ks, true, &note), ERR_OK);
    assert_int_equal(keystore_write(path, &ks, true, &note), ERR_EXISTS);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(keystore_add(&ks, &secret, "next", &note), ERR_OK);
    assert_int_equal(keystore_write(path, &ks, false, &note), ERR_OK);
    assert_int_equal(keystore_read(path, &back, &note), ERR_OK);
    assert_int_equal(back.accounts_n, 2);
    assert_int_equal(file_write(path, 0600, bytes_of("kithkeys and nonsense that is long enough to be one", 50), NULL),
                     ERR_OK);
    assert_int_equal(keystore_read(path, &back, &note), ERR_CORRUPT);
    assert_non_null(strstr(note.text, path));
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_with_its_password_alone),
        cmocka_unit_test(accounts_have_names_and_keys),
        cmocka_unit_test(holds_as_many_accounts_as_it_says),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(a_changed_account_is_noticed_at_unlocking),
        cmocka_unit_test(the_file_is_private_and_never_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

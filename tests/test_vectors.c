/* Public vectors of the primitives, run whole against what Kith calls. Those of formats are with their modules: bech32m
 * in test_address, bip32 in test_bip32, bip39 in test_mnemonic, bolt8 in test_noise, ecvrf (tai) in test_vrf.
 *
 * Not run, since nothing of Kith does it: ed25519 (libsodium's group is used for the random function alone, and
 * test_vrf has the vectors of that), x25519 (keys agree on secp256k1), ecdsa (signatures are BIP340), ecvrf (ell2).
 * Those of HTTP are of another parser's strictness than libmicrohttpd's. */
#include "base/file.h"
#include "base/json.h"
#include "base/seal.h"
#include "tests/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *vectors(const char *path)
{
    struct buf text = {0};
    struct note note;
    assert_int_equal(file_read(path, 16u << 20, &text, &note), ERR_OK);
    json_t *all = json_loadb((const char *)text.p, text.n, 0, NULL); /* larger than json_parse takes */
    assert_non_null(all);
    buf_clear(&text);
    return all;
}

static struct buf field(const json_t *test, const char *name)
{
    struct buf b = {0};
    const char *hex = json_text(test, name);
    assert_non_null(hex);
    buf_reserve(&b, 1);
    test_hex(&b, hex);
    return b;
}

/* Calls fn for each test of a Wycheproof file; how many it said it ran, and all are looked at. */
typedef bool (*test_fn)(const json_t *group, const json_t *test, bool valid);

static unsigned run(const char *path, test_fn fn)
{
    json_t *all = vectors(path), *group, *test;
    size_t i, k;
    unsigned ran = 0, seen = 0;
    json_array_foreach(json_object_get(all, "testGroups"), i, group)
    {
        json_array_foreach(json_object_get(group, "tests"), k, test)
        {
            seen++;
            ran += fn(group, test, strcmp(json_text(test, "result"), "invalid") != 0);
        }
    }
    assert_int_equal(seen, json_integer_value(json_object_get(all, "numberOfTests")));
    json_decref(all);
    return ran;
}

/* -- sealing -- */

static bool aead(const json_t *test, bool valid, bool is_extended)
{
    struct buf key = field(test, "key"), iv = field(test, "iv"), ad = field(test, "aad"), msg = field(test, "msg");
    struct buf ct = field(test, "ct"), tag = field(test, "tag");
    bool ours = key.n == 32 && iv.n == (is_extended ? SEAL_NONCE_SIZE : 12) && tag.n == SEAL_TAG_SIZE;
    if (ours) {
        uint8_t *out = calloc(1, msg.n + SEAL_TAG_SIZE), *back = calloc(1, msg.n + 1);
        buf_add(&ct, tag.p, tag.n);
        if (is_extended)
            seal_put(out, key.p, iv.p, ad.p, ad.n, msg.p, msg.n);
        else
            seal_transport_put(out, key.p, iv.p, ad.p, ad.n, msg.p, msg.n);
        bool ok = is_extended ? seal_get(back, key.p, iv.p, ad.p, ad.n, ct.p, ct.n)
                              : seal_transport_get(back, key.p, iv.p, ad.p, ad.n, ct.p, ct.n);
        assert_int_equal(ok, valid);
        assert_int_equal(memcmp(out, ct.p, ct.n) == 0, valid);
        assert_true(!valid || memcmp(back, msg.p, msg.n) == 0);
        free(out);
        free(back);
    } else {
        assert_false(valid); /* sizes that our calls cannot express */
    }
    struct buf *all[] = {&key, &iv, &ad, &msg, &ct, &tag};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_clear(all[i]);
    return ours;
}

static bool transport(const json_t *group, const json_t *test, bool valid)
{
    (void)group;
    return aead(test, valid, false);
}

static bool extended(const json_t *group, const json_t *test, bool valid)
{
    (void)group;
    return aead(test, valid, true);
}

static void chacha20_poly1305(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/wycheproof/chacha20_poly1305_test.json");
    assert_in_range(run(path, transport), 300, 325);
}

static void xchacha20_poly1305(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/wycheproof/xchacha20_poly1305_test.json");
    assert_in_range(run(path, extended), 300, 315);
}

/* -- hashes -- */

static bool hmac(const json_t *group, const json_t *test, bool valid)
{
    struct buf key = field(test, "key"), msg = field(test, "msg"), tag = field(test, "tag");
    uint8_t out[32];
    size_t n = (size_t)json_integer_value(json_object_get(group, "tagSize")) / 8;
    assert_true(n <= sizeof out && tag.n == n);
    hash_hmac_sha256(out, key.p, key.n, msg.p, msg.n);
    assert_int_equal(memcmp(out, tag.p, n) == 0, valid);
    buf_clear(&key);
    buf_clear(&msg);
    buf_clear(&tag);
    return true;
}

static void hmac_sha256(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/wycheproof/hmac_sha256_test.json");
    assert_int_equal(run(path, hmac), 174);
}

/* Ours has a salt of 32 bytes (a shorter one is the same as with zeros behind it), no info, and two blocks out. */
static bool hkdf(const json_t *group, const json_t *test, bool valid)
{
    (void)group;
    struct buf ikm = field(test, "ikm"), salt = field(test, "salt"), info = field(test, "info"),
               okm = field(test, "okm");
    bool ours = valid && salt.n <= 32 && info.n == 0 && okm.n <= 64;
    if (ours) {
        uint8_t padded[32] = {0}, out[64];
        if (salt.n)
            memcpy(padded, salt.p, salt.n);
        hash_hkdf2(out, out + 32, padded, ikm.p, ikm.n);
        assert_memory_equal(out, okm.p, okm.n);
    }
    buf_clear(&ikm);
    buf_clear(&salt);
    buf_clear(&info);
    buf_clear(&okm);
    return ours;
}

static void hkdf_sha256(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/wycheproof/hkdf_sha256_test.json");
    assert_in_range(run(path, hkdf), 10, 86);
}

/* -- the curve -- */

#define SPKI_UNCOMPRESSED "3056301006072a8648ce3d020106052b8104000a034200"
#define SPKI_COMPRESSED   "3036301006072a8648ce3d020106052b8104000a032200"

/* The point of a key in the only two encodings that say no more than the curve's name; whatever else the file wraps
 * keys in, Kith reads nothing like it. False also where a compressed form would forget that y was wrong. */
static bool point_get(const char *hex, bool valid, struct point *p)
{
    size_t head = strlen(SPKI_COMPRESSED);
    if (strncmp(hex, SPKI_COMPRESSED, head) == 0 && strlen(hex) == head + 66)
        return hex_get(hex + head, p->b, sizeof p->b);
    uint8_t whole[65];
    if (!valid || strncmp(hex, SPKI_UNCOMPRESSED, head) != 0 || strlen(hex) != head + 130 ||
        !hex_get(hex + head, whole, sizeof whole) || whole[0] != 4)
        return false;
    p->b[0] = (uint8_t)(2 + (whole[64] & 1));
    memcpy(p->b + 1, whole + 1, 32);
    return true;
}

/* The file has the shared x; ours is SHA-256 of the point, whose y is one of two. */
static bool is_shared(const uint8_t shared[32], const uint8_t x[32])
{
    uint8_t point[33];
    memcpy(point + 1, x, 32);
    for (point[0] = 2; point[0] <= 3; point[0]++) {
        struct hash h = hash_sha256(point, sizeof point);
        if (memcmp(h.b, shared, 32) == 0)
            return true;
    }
    return false;
}

static bool ecdh(const json_t *group, const json_t *test, bool valid)
{
    (void)group;
    struct point p;
    if (!point_get(json_text(test, "public"), valid, &p))
        return false;
    struct buf private = field(test, "private"), x = field(test, "shared");
    struct seckey secret = {{0}};
    uint8_t shared[32];
    size_t n = private.n > 32 ? 32 : private.n;
    memcpy(secret.b + 32 - n, private.p + private.n - n, n);
    bool ok = key_ecdh(&secret, &p, shared);
    assert_int_equal(ok, valid);
    if (ok && !is_shared(shared, x.p))
        fail_msg("test %d", (int)json_integer_value(json_object_get(test, "tcId")));
    buf_clear(&private);
    buf_clear(&x);
    return true;
}

static void ecdh_secp256k1(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/wycheproof/ecdh_secp256k1_test.json");
    assert_in_range(run(path, ecdh), 450, 752);
}

/* index, secret key, public key, aux_rand, message, signature, verification result, comment */
static void bip340_line(char *line, unsigned *signed_n, unsigned *verified_n)
{
    char *f[8] = {0};
    for (int i = 0; i < 8; i++)
        f[i] = strsep(&line, ",");
    assert_non_null(f[6]);
    struct buf message = {0};
    struct pubkey public;
    struct sig sig, made;
    bool good = strcmp(f[6], "TRUE") == 0;
    buf_reserve(&message, 1);
    test_hex(&message, f[4]);
    assert_true(hex_get(f[2], public.b, sizeof public.b) && hex_get(f[5], sig.b, sizeof sig.b));
    assert_int_equal(key_verify_message(&public, message.p, message.n, &sig), good);
    ++*verified_n;
    if (*f[1] && message.n == HASH_SIZE) { /* we sign hashes only */
        struct seckey secret;
        struct hash h;
        uint8_t aux[32];
        memcpy(h.b, message.p, sizeof h.b);
        assert_true(hex_get(f[1], secret.b, sizeof secret.b) && hex_get(f[3], aux, sizeof aux));
        key_sign_hash(&secret, &h, aux, &made);
        assert_memory_equal(made.b, sig.b, sizeof sig.b);
        ++*signed_n;
    }
    buf_clear(&message);
}

static void bip340(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/bip340.csv");
    struct buf text = {0};
    unsigned signed_n = 0, verified_n = 0;
    assert_int_equal(file_read(path, 1 << 20, &text, NULL), ERR_OK);
    (void)buf_text(&text);
    char *rest = (char *)text.p;
    for (char *line = strsep(&rest, "\r\n"); line; line = strsep(&rest, "\r\n"))
        if (*line >= '0' && *line <= '9')
            bip340_line(line, &signed_n, &verified_n);
    assert_int_equal(verified_n, 19);
    assert_int_equal(signed_n, 4);
    buf_clear(&text);
}

/* -- JSON as the API and the files read it -- */

/* The first and the sixteenth vector of the authors' reference implementation: key 00..0f, message 00..0e. */
static void siphash(void **state)
{
    uint8_t bytes[16];
    (void)state;
    for (uint8_t i = 0; i < 16; i++)
        bytes[i] = i;
    assert_true(hash_place(bytes, bytes, 0) == UINT64_C(0x726FDB47DD0E0E31));
    assert_true(hash_place(bytes, bytes, 15) == UINT64_C(0xA129CA6149BE45E5));
}

static void json(void **state)
{
    (void)state;
    TEST_NEEDS(found, "vectors/json");
    char dir_path[1024];
    unsigned taken = 0, good = 0, refused = 0, bad = 0;
    snprintf(dir_path, sizeof dir_path, "%s", found);
    DIR *dir = opendir(dir_path);
    assert_non_null(dir);
    for (struct dirent *one; (one = readdir(dir));) {
        struct buf path = {0}, text = {0};
        char kind = one->d_name[0];
        buf_add_format(&path, "%s/%s", dir_path, one->d_name);
        if (strchr("yni", kind) && one->d_name[1] == '_' &&
            file_read(buf_text(&path), 1 << 20, &text, NULL) == ERR_OK) {
            json_t *value = json_parse(bytes_of(text.p ? text.p : (const uint8_t *)"", text.n), NULL);
            good += kind == 'y';
            bad += kind == 'n';
            taken += kind == 'y' && value;
            refused += kind == 'n' && !value;
            if ((kind == 'y' && !value) || (kind == 'n' && value))
                print_message("%s: %s\n", value ? "taken" : "refused", one->d_name);
            json_decref(value); /* an `i` may be either, and must end */
        }
        buf_clear(&path);
        buf_clear(&text);
    }
    closedir(dir);
    assert_int_equal(good, 95);
    assert_int_equal(bad, 188);
    assert_int_equal(refused, bad);
    assert_in_range(taken, 92, 95); /* duplicate keys and an escaped NUL in a key are refused on purpose */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chacha20_poly1305), cmocka_unit_test(xchacha20_poly1305),
        cmocka_unit_test(hmac_sha256),       cmocka_unit_test(hkdf_sha256),
        cmocka_unit_test(ecdh_secp256k1),    cmocka_unit_test(bip340),
        cmocka_unit_test(siphash),           cmocka_unit_test(json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

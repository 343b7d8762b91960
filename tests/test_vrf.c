/* The verifiable random function: the RFC's examples, here and from the public vectors, and proofs that must fail. */
#include "base/vrf.h"

#include "base/file.h"
#include "base/json.h"
#include "tests/support.h"

#include <string.h>

/* RFC 9381, appendix B.3, examples 16 to 18: secret, public, input, proof, output. */
static const char *const examples[][5] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97"
     "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
     "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff"
     "66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465"
     "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
     "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb"
     "5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0"
     "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
     "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45"
     "2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f"},
};

static void check_example(const char *sk, const char *pk, const char *alpha, const char *pi, const char *beta)
{
    struct vrf_secret secret;
    struct vrf_proof want, proof;
    uint8_t public_want[32], out_want[VRF_OUTPUT_SIZE], out[VRF_OUTPUT_SIZE];
    struct buf input = {0};
    test_hex(&input, alpha);
    assert_true(hex_get(sk, secret.b, sizeof secret.b));
    assert_true(hex_get(pk, public_want, sizeof public_want));
    assert_true(hex_get(pi, want.b, sizeof want.b));
    assert_true(hex_get(beta, out_want, sizeof out_want));
    struct vrf_public public = vrf_public_of(&secret);
    assert_memory_equal(public.b, public_want, sizeof public_want);
    vrf_prove(&secret, input.p, input.n, &proof);
    assert_memory_equal(proof.b, want.b, sizeof want.b);
    assert_true(vrf_verify(&public, input.p, input.n, &proof, out));
    assert_memory_equal(out, out_want, sizeof out);
    buf_clear(&input);
}

static void the_examples_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        check_example(examples[i][0], examples[i][1], examples[i][2], examples[i][3], examples[i][4]);
}

static void agrees_with_the_vectors(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vectors/ecvrf-edwards25519-sha512-tai.json");
    struct buf file = {0};
    size_t i, count = 0;
    assert_int_equal(file_read(path, 1u << 20, &file, NULL), ERR_OK);
    json_t *all = json_parse(bytes_of_buf(&file), NULL), *v;
    json_array_foreach(json_object_get(all, "vectors"), i, v)
    {
        check_example(json_text(v, "sk"), json_text(v, "pk"), json_text(v, "alpha"), json_text(v, "pi"),
                      json_text(v, "beta"));
        count++;
    }
    assert_int_equal(count, 3);
    json_decref(all);
    buf_clear(&file);
}

static struct vrf_secret secret_from(uint8_t b)
{
    struct seckey key;
    memset(key.b, b, sizeof key.b);
    return vrf_secret_of(&key);
}

static void a_changed_proof_is_refused(void **state)
{
    (void)state;
    struct vrf_secret secret = secret_from(3), other = secret_from(4);
    struct vrf_public public = vrf_public_of(&secret), stranger = vrf_public_of(&other);
    struct vrf_proof good, bad;
    uint8_t out[VRF_OUTPUT_SIZE], first[VRF_OUTPUT_SIZE];
    vrf_prove(&secret, "input", 5, &good);
    assert_true(vrf_verify(&public, "input", 5, &good, first));
    assert_false(vrf_verify(&public, "inputs", 6, &good, out));
    assert_false(vrf_verify(&stranger, "input", 5, &good, out));
    for (size_t i = 0; i < 8 * sizeof good.b; i++) {
        bad = good;
        bad.b[i / 8] = (uint8_t)(bad.b[i / 8] ^ 1u << i % 8);
        assert_false(vrf_verify(&public, "input", 5, &bad, out));
    }
    /* The same response plus the order of the group would be a second encoding. */
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                      0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    unsigned carry = 0;
    bad = good;
    for (int i = 0; i < 32; i++) {
        carry += bad.b[48 + i] + (unsigned)order[i];
        bad.b[48 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(vrf_verify(&public, "input", 5, &bad, out));
    memset(&bad, 0, sizeof bad);
    assert_true(vrf_proof_is_zero(&bad));
    assert_false(vrf_proof_is_zero(&good));
    assert_false(vrf_verify(&public, "input", 5, &bad, out));
}

static void keys_of_small_order_are_refused(void **state)
{
    (void)state;
    struct vrf_secret secret = secret_from(3);
    struct vrf_public public = vrf_public_of(&secret), bad = {{1}}; /* the neutral element */
    struct vrf_proof proof;
    uint8_t out[VRF_OUTPUT_SIZE];
    assert_true(vrf_public_is_valid(&public));
    assert_false(vrf_public_is_valid(&bad));
    memset(&bad, 0, sizeof bad); /* order 4 */
    assert_false(vrf_public_is_valid(&bad));
    vrf_prove(&secret, "input", 5, &proof);
    assert_false(vrf_verify(&bad, "input", 5, &proof, out));
    memset(&bad, 0xff, sizeof bad); /* not canonical */
    assert_false(vrf_public_is_valid(&bad));
}

static void inputs_of_all_lengths(void **state)
{
    (void)state;
    struct vrf_secret secret = secret_from(9);
    struct vrf_public public = vrf_public_of(&secret);
    uint8_t input[256], out[VRF_OUTPUT_SIZE], last[VRF_OUTPUT_SIZE] = {0};
    for (size_t n = 0; n < sizeof input; n += 5) { /* each takes another number of tries to find its point */
        struct vrf_proof proof;
        memset(input, (int)n, n);
        vrf_prove(&secret, input, n, &proof);
        assert_true(vrf_verify(&public, input, n, &proof, out));
        assert_memory_not_equal(out, last, sizeof out);
        memcpy(last, out, sizeof out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc),    cmocka_unit_test(agrees_with_the_vectors),
        cmocka_unit_test(a_changed_proof_is_refused), cmocka_unit_test(keys_of_small_order_are_refused),
        cmocka_unit_test(inputs_of_all_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

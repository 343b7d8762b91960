/* BLAKE2b-256 of several short messages at once (RFC 7693): four at a time in the lanes of AVX2's registers, where the
 * processor has them. One message is one compression: a chain of a thousand dependent steps, of which a processor could
 * do several at once; four independent ones fill it. */
#include "base/hash.h"

#include <string.h>

#define BLOCK 128u

static void one_by_one(enum hash_tag tag, const struct hash_job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hasher h;
        hash_start(&h, tag);
        hash_add(&h, jobs[i].a, HASH_SIZE);
        hash_add(&h, jobs[i].b, jobs[i].b_n);
        *jobs[i].out = hash_end(&h);
    }
}

#if defined(__x86_64__)

#define LANES 4u

typedef uint64_t lanes __attribute__((vector_size(32)));
typedef uint8_t bytes32 __attribute__((vector_size(32)));

static const uint64_t iv[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                               0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

static const uint8_t sigma[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

/* Rotation to the right by whole bytes is one shuffle. */
#define TURN(k, i) (uint8_t)(((i)&0xf8) | (((i) + (k)) & 7))
#define TURN8(k, i)                                                                                                    \
    TURN(k, i), TURN(k, i + 1), TURN(k, i + 2), TURN(k, i + 3), TURN(k, i + 4), TURN(k, i + 5), TURN(k, i + 6),        \
        TURN(k, i + 7)
#define TURNS(k)                                                                                                       \
    {                                                                                                                  \
        TURN8(k, 0), TURN8(k, 8), TURN8(k, 16), TURN8(k, 24)                                                           \
    }
static const bytes32 turn32 = TURNS(4), turn24 = TURNS(3), turn16 = TURNS(2);

#ifdef __clang__ /* has no such shuffle, and makes one of this; the fuzzing build uses it */
enum { bits_turn32 = 32, bits_turn24 = 24, bits_turn16 = 16 };
#define ROTATE(x, how) (((x) >> bits_##how) | ((x) << (64 - bits_##how)))
#else
#define ROTATE(x, how) ((lanes)__builtin_shuffle((bytes32)(x), how))
#endif

#define MIX(a, b, c, d, x, y)                                                                                          \
    do {                                                                                                               \
        a = a + b + (x);                                                                                               \
        d = ROTATE(d ^ a, turn32);                                                                                     \
        c = c + d;                                                                                                     \
        b = ROTATE(b ^ c, turn24);                                                                                     \
        a = a + b + (y);                                                                                               \
        d = ROTATE(d ^ a, turn16);                                                                                     \
        c = c + d;                                                                                                     \
        b ^= c;                                                                                                        \
        b = (b >> 63) | (b + b);                                                                                       \
    } while (0)

/* One block, the last of each message; h: the state before, the same for all. */
__attribute__((target("avx2"))) static void compress(const uint64_t h[8], const lanes m[16], lanes length, lanes out[4])
{
    lanes v[16];
    for (unsigned i = 0; i < 8; i++) {
        v[i] = (lanes){h[i], h[i], h[i], h[i]};
        v[i + 8] = (lanes){iv[i], iv[i], iv[i], iv[i]};
    }
    v[12] ^= length;
    v[14] = ~v[14];
    for (unsigned r = 0; r < 12; r++) {
        const uint8_t *s = sigma[r];
        MIX(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
        MIX(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
        MIX(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
        MIX(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
        MIX(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
        MIX(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
        MIX(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
        MIX(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
    }
    for (unsigned i = 0; i < 4; i++)
        out[i] = (lanes){h[i], h[i], h[i], h[i]} ^ v[i] ^ v[i + 8];
}

/* n <= LANES; the others repeat the last. All inputs are read before an output is written. */
__attribute__((target("avx2"))) static void group(const uint64_t h[8], const struct hash_job *jobs, size_t n)
{
    uint64_t words[LANES][BLOCK / 8] = {{0}}, sizes[LANES];
    lanes m[16], out[4];
    for (unsigned k = 0; k < LANES; k++) {
        const struct hash_job *j = &jobs[k < n ? k : n - 1];
        memcpy(words[k], j->a, HASH_SIZE);
        memcpy((uint8_t *)words[k] + HASH_SIZE, j->b, j->b_n);
        sizes[k] = HASH_SIZE + j->b_n;
    }
    for (unsigned i = 0; i < 16; i++)
        m[i] = (lanes){words[0][i], words[1][i], words[2][i], words[3][i]};
    compress(h, m, (lanes){sizes[0], sizes[1], sizes[2], sizes[3]}, out);
    for (unsigned k = 0; k < n; k++)
        for (unsigned i = 0; i < 4; i++) {
            uint64_t word = out[i][k];
            memcpy(jobs[k].out->b + 8 * i, &word, sizeof word);
        }
}

static bool has_lanes(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

static void in_lanes(enum hash_tag tag, const struct hash_job *jobs, size_t n)
{
    uint8_t personal[16] = {0};
    uint64_t h[8];
    hash_tag_text(tag, personal);
    memcpy(h, iv, sizeof h);
    h[0] ^= 0x01010000 ^ HASH_SIZE; /* parameter block: depth 1, fanout 1, no key, length of the result */
    h[6] ^= load_le64(personal);
    h[7] ^= load_le64(personal + 8);
    for (size_t i = 0; i < n; i += LANES)
        group(h, jobs + i, n - i < LANES ? n - i : LANES);
}

#else

static bool has_lanes(void)
{
    return false;
}

static void in_lanes(enum hash_tag tag, const struct hash_job *jobs, size_t n)
{
    one_by_one(tag, jobs, n);
}

#endif

void hash_many(enum hash_tag tag, const struct hash_job *jobs, size_t n)
{
    if (n > 1 && has_lanes())
        in_lanes(tag, jobs, n);
    else
        one_by_one(tag, jobs, n);
}

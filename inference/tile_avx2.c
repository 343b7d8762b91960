/* Eight rows of weights against many columns.
 *
 * A run (up to 8 blocks) of 8 rows is turned so that a register holds four neighbouring weights of each row; then four
 * activations, broadcast, meet all 8 rows at once, and what comes out is 8 rows' sums side by side, with nothing to be
 * added across lanes. Turning costs 3 shuffles per 32 weights, once for all columns.
 *
 *   Q8_0: |w| x (x with w's sign): pairs are at most 32,512 and go to int32 each
 *   Q4_0: nibbles 0..15 as they are: 8 pairs are at most 8 x 3,810 = 30,480 and stay int16 until the block's end;
 *         8 times the block's sum of x is taken off, since weights are nibble - 8 */
#if defined(__x86_64__)

#include "inference/tile_avx2.h"

#include "base/mem.h"

#include <immintrin.h>
#include <stdlib.h>

#define ROWS   8
#define GROUPS (ARITH_BLOCK / 4) /* registers of a turned block */
#define BLOCKS (ARITH_RUN / ARITH_BLOCK)

struct turned {
    __m256i w[BLOCKS][GROUPS];         /* [row][4 weights] each; Q4_0: nibbles */
    __m256i magnitude[BLOCKS][GROUPS]; /* Q8_0 only */
    __m256 scale[BLOCKS];              /* [row] */
};

/* 8 registers of 8 dwords: dword g of register r goes to dword r of register g. */
static inline void turn(const __m256i in[8], __m256i out[8])
{
    __m256i a[8], b[8];
    for (size_t i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(in[i], in[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(in[i], in[i + 1]);
    }
    for (size_t i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (size_t i = 0; i < 4; i++) {
        out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

static inline __m256i load_block(bool is_q8, const uint8_t *block)
{
    if (is_q8)
        return _mm256_loadu_si256((const __m256i *)(const void *)(block + 2));
    __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)(block + 2));
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(packed, 4), packed), _mm256_set1_epi8(15));
}

static inline void turn_run(bool is_q8, const uint8_t *const row[ROWS], size_t from, size_t blocks, struct turned *t)
{
    size_t bytes = is_q8 ? QUANT_Q8_0_BYTES : QUANT_Q4_0_BYTES;
    for (size_t b = 0; b < blocks; b++) {
        __m256i w[ROWS];
        uint16_t half[ROWS];
        for (size_t r = 0; r < ROWS; r++) {
            const uint8_t *block = row[r] + (from + b) * bytes;
            memcpy(&half[r], block, sizeof half[r]);
            w[r] = load_block(is_q8, block);
        }
        t->scale[b] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)half));
        turn(w, t->w[b]);
        for (size_t g = 0; is_q8 && g < GROUPS; g++)
            t->magnitude[b][g] = _mm256_abs_epi8(t->w[b][g]);
    }
}

/* Four activations, in every dword. */
static inline __m256i spread(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

static inline __m256i sums_q8_0(const struct turned *t, size_t b, const int8_t *q)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i even = _mm256_setzero_si256(), odd = even;
    for (size_t g = 0; g < GROUPS; g += 2) {
        __m256i x = _mm256_sign_epi8(spread(q + 4 * g), t->w[b][g]);
        __m256i y = _mm256_sign_epi8(spread(q + 4 * g + 4), t->w[b][g + 1]);
        even = _mm256_add_epi32(even, _mm256_madd_epi16(_mm256_maddubs_epi16(t->magnitude[b][g], x), ones));
        odd = _mm256_add_epi32(odd, _mm256_madd_epi16(_mm256_maddubs_epi16(t->magnitude[b][g + 1], y), ones));
    }
    return _mm256_add_epi32(even, odd);
}

static inline __m256i sums_q4_0(const struct turned *t, size_t b, const int8_t *q, int32_t eightfold)
{
    __m256i even = _mm256_setzero_si256(), odd = even;
    for (size_t g = 0; g < GROUPS; g += 2) {
        even = _mm256_add_epi16(even, _mm256_maddubs_epi16(t->w[b][g], spread(q + 4 * g)));
        odd = _mm256_add_epi16(odd, _mm256_maddubs_epi16(t->w[b][g + 1], spread(q + 4 * g + 4)));
    }
    __m256i sum = _mm256_madd_epi16(_mm256_add_epi16(even, odd), _mm256_set1_epi16(1));
    return _mm256_sub_epi32(sum, _mm256_set1_epi32(eightfold));
}

/* The run's terms for one column, left to right. */
static inline __m256 run_column(bool is_q8, const struct turned *t, size_t blocks, const int8_t *q, const float *s,
                                const int32_t *eightfold)
{
    __m256 run = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++, q += ARITH_BLOCK) {
        __m256i sums = is_q8 ? sums_q8_0(t, b, q) : sums_q4_0(t, b, q, eightfold[b]);
        __m256 both = _mm256_mul_ps(t->scale[b], _mm256_set1_ps(s[b]));
        run = _mm256_add_ps(run, _mm256_mul_ps(both, _mm256_cvtepi32_ps(sums)));
    }
    return run;
}

/* 8 rows, all columns; total is [cols, 8]. */
static inline __attribute__((always_inline)) void
tile(bool is_q8, const uint8_t *const row[ROWS], const struct ops_input *x, const int32_t *eightfold, float *total)
{
    struct turned t;
    size_t blocks = x->n / ARITH_BLOCK;
    memset(total, 0, x->cols * ROWS * sizeof *total);
    for (size_t from = 0; from < blocks; from += BLOCKS) {
        size_t count = blocks - from < BLOCKS ? blocks - from : BLOCKS;
        turn_run(is_q8, row, from, count, &t);
        for (size_t c = 0; c < x->cols; c++) {
            __m256 run = run_column(is_q8, &t, count, x->q + c * x->n + from * ARITH_BLOCK, x->s + c * blocks + from,
                                    eightfold + c * blocks + from);
            _mm256_storeu_ps(total + c * ROWS, _mm256_add_ps(_mm256_loadu_ps(total + c * ROWS), run));
        }
    }
}

/* 8 times the sum of each block of activations, [cols, blocks]. */
static int32_t *sum_activations(const struct ops_input *x)
{
    size_t n = x->cols * (x->n / ARITH_BLOCK);
    int32_t *out = mem_array(n, sizeof *out);
    const int8_t *q = x->q;
    for (size_t i = 0; i < n; i++, q += ARITH_BLOCK) {
        int32_t sum = 0;
        for (size_t j = 0; j < ARITH_BLOCK; j++)
            sum += q[j];
        out[i] = 8 * sum;
    }
    return out;
}

void tile_avx2_multiply(const struct ops_weight *w, size_t first, size_t rows, const struct ops_input *x, float *out,
                        size_t stride)
{
    int32_t *eightfold = sum_activations(x);
    float *total = mem_array(x->cols * ROWS, sizeof *total);
    for (size_t done = 0; done < rows; done += ROWS) {
        size_t count = rows - done < ROWS ? rows - done : ROWS;
        const uint8_t *row[ROWS];
        for (size_t r = 0; r < ROWS; r++) /* rows behind the last repeat it and are not stored */
            row[r] = w->data + (first + done + (r < count ? r : count - 1)) * w->row_bytes;
        if (w->type == GGUF_TENSOR_Q8_0)
            tile(true, row, x, eightfold, total);
        else
            tile(false, row, x, eightfold, total);
        for (size_t c = 0; c < x->cols; c++)
            memcpy(out + c * stride + first + done, total + c * ROWS, count * sizeof *out);
    }
    free(total);
    free(eightfold);
}

#endif

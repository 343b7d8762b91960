/* Weight formats: facts in a table, and a reader each. Where bits stand in a block is from the formats' published
 * description (GGUF's specification and the quantisations that it names). */
#include "inference/kernels/quant_grid.h"

#include <string.h>

/* Of E2M1 twice the floats of 4 bits: a sign, two bits of exponent, one of mantissa. Of grids sizes, then the same
 * below zero; of 1 bit what is in the grid eight times, plus one, then minus one. */
const int8_t quant_tables[][16] = {
    [QUANT_IQ4] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    [QUANT_E2M1] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
    [QUANT_GRID_1] = {-7, 1, 9, 0, 0, 0, 0, 0, -9, -1, 7, 0, 0, 0, 0, 0},
    [QUANT_GRID_2] = {8, 25, 43, 0, 0, 0, 0, 0, -8, -25, -43, 0, 0, 0, 0, 0},
    [QUANT_GRID_3] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15},
    [QUANT_GRID_3_WIDE] = {2, 6, 10, 14, 18, 22, 26, 31, -2, -6, -10, -14, -18, -22, -26, -31},
};

static const struct quant_format formats[] = {
    {GGUF_TENSOR_F32, QUANT_FLOATS, 1, 4, 32, 1, 0, 0, 0, false, QUANT_CODES, false, 0},
    {GGUF_TENSOR_F16, QUANT_FLOATS, 1, 2, 16, 1, 0, 0, 0, false, QUANT_CODES, false, 0},
    {GGUF_TENSOR_BF16, QUANT_FLOATS, 1, 2, 16, 1, 0, 0, 0, false, QUANT_CODES, false, 0},
#define E(name, ...) QUANT_FORMAT(name, __VA_ARGS__),
    QUANT_BLOCKED_LIST(E)
#undef E
};

const struct quant_format *quant_format(enum gguf_tensor_type type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].type == type)
            return &formats[i];
    return NULL;
}

static const struct quant_format *known(enum gguf_tensor_type type)
{
    const struct quant_format *f = quant_format(type);
    CHECK(f != NULL);
    return f;
}

bool quant_is_supported(enum gguf_tensor_type type)
{
    return quant_format(type) != NULL;
}

bool quant_is_blocked(enum gguf_tensor_type type)
{
    const struct quant_format *f = quant_format(type);
    return f && f->input != QUANT_FLOATS;
}

size_t quant_row_bytes(enum gguf_tensor_type type, size_t n)
{
    const struct quant_format *f = known(type);
    return n / f->block * f->bytes;
}

/* -- blocks of 32 -- */

/* 16 bytes: the low nibbles are codes 0..15, the high ones 16..31. */
static void read_nibbles(const uint8_t *p, uint8_t code[ARITH_BLOCK])
{
    for (size_t i = 0; i < 16; i++) {
        code[i] = p[i] & 15;
        code[i + 16] = p[i] >> 4;
    }
}

/* Bit i is the fifth of code i. */
static void add_fifth_bits(uint32_t bits, uint8_t code[ARITH_BLOCK])
{
    for (size_t i = 0; i < ARITH_BLOCK; i++)
        code[i] = (uint8_t)(code[i] | (bits >> i & 1u) << 4);
}

static void read_narrow(const struct quant_format *f, const uint8_t *p, struct quant_block *out)
{
    const uint8_t *end = p + f->bytes;
    out->d = quant_scale(f, quant_scale_bits(f, p));
    p += quant_scale_bytes(f);
    if (f->has_min) {
        out->m = arith_half(load_le16(p));
        p += 2;
    }
    if (f->bits == 8) {
        for (size_t i = 0; i < ARITH_BLOCK; i++)
            out->code[i] = p[i] ^ 0x80u; /* signed to less 128 */
        return;
    }
    read_nibbles(end - 16, out->code);
    if (f->bits == 5)
        add_fifth_bits(load_le32(p), out->code);
}

/* -- blocks of 256; in halves of 128 or quarters of 64 -- */

/* 8 scales and 8 minimums of 6 bits in 12 bytes. */
static void read_scales_and_mins(const uint8_t p[12], int8_t scale[8], uint8_t min[8])
{
    for (size_t j = 0; j < 4; j++) {
        scale[j] = (int8_t)(p[j] & 63);
        min[j] = p[j + 4] & 63;
        scale[j + 4] = (int8_t)((p[j + 8] & 15) | (p[j] >> 6) << 4);
        min[j + 4] = (uint8_t)(p[j + 8] >> 4 | (p[j + 4] >> 6) << 4);
    }
}

static void read_q4_k(const struct quant_format *f, const uint8_t *p, struct quant_block *out)
{
    const uint8_t *fifth = p + 16, *q = f->bits == 5 ? p + 48 : p + 16;
    out->d = arith_half(load_le16(p));
    out->m = -arith_half(load_le16(p + 2));
    read_scales_and_mins(p + 4, out->scale, out->min);
    for (size_t k = 0; k < 4; k++, q += 32)
        for (size_t i = 0; i < 32; i++) {
            out->code[64 * k + i] = q[i] & 15;
            out->code[64 * k + 32 + i] = q[i] >> 4;
        }
    for (size_t i = 0; f->bits == 5 && i < ARITH_RUN; i++)
        out->code[i] = (uint8_t)(out->code[i] | (fifth[i % 32] >> (i / 32) & 1) << 4);
}

/* Codes of 2 bits: of each half, 32 bytes hold four times 32 of them. */
static void read_pairs(const uint8_t *p, uint8_t code[ARITH_RUN])
{
    for (size_t i = 0; i < ARITH_RUN; i++)
        code[i] = p[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

static void read_q2_k(const uint8_t *p, struct quant_block *out)
{
    for (size_t j = 0; j < 16; j++) {
        out->scale[j] = (int8_t)(p[j] & 15);
        out->min[j] = p[j] >> 4;
    }
    read_pairs(p + 16, out->code);
    out->d = arith_half(load_le16(p + 80));
    out->m = -arith_half(load_le16(p + 82));
}

static void read_q3_k(const uint8_t *p, struct quant_block *out)
{
    const uint8_t *third = p, *scales = p + 96;
    read_pairs(p + 32, out->code);
    for (size_t i = 0; i < ARITH_RUN; i++)
        out->code[i] = (uint8_t)(out->code[i] | (third[i % 32] >> (i / 32) & 1) << 2);
    for (size_t j = 0; j < 16; j++) {
        int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4, high = scales[8 + j % 4] >> (j / 4 * 2) & 3;
        out->scale[j] = (int8_t)((low | high << 4) - 32);
    }
    out->d = arith_half(load_le16(p + 108));
}

static void read_q6_k(const uint8_t *p, struct quant_block *out)
{
    for (size_t k = 0; k < 8; k++) { /* of 32; four share the bytes with their upper bits, two those with their lower */
        const uint8_t *low = p + k / 4 * 64 + k % 2 * 32, *high = p + 128 + k / 4 * 32;
        const size_t low_at = k / 2 % 2 * 4, high_at = k % 4 * 2;
        uint8_t *code = out->code + 32 * k;
        for (size_t i = 0; i < 32; i++)
            code[i] = (uint8_t)((low[i] >> low_at & 15) | (high[i] >> high_at & 3) << 4);
    }
    memcpy(out->scale, p + 192, 16);
    out->d = arith_half(load_le16(p + 208));
}

static void read_iq4_xs(const uint8_t *p, struct quant_block *out)
{
    uint16_t high = load_le16(p + 2);
    out->d = arith_half(load_le16(p));
    for (size_t j = 0; j < 8; j++) {
        int scale = (p[4 + j / 2] >> (j % 2 * 4) & 15) | (high >> (2 * j) & 3) << 4;
        out->scale[j] = (int8_t)(scale - 32);
        read_nibbles(p + 8 + 16 * j, out->code + ARITH_BLOCK * j);
    }
}

void quant_read_block(const struct quant_format *f, const uint8_t *p, struct quant_block *out)
{
    out->m = 0;
    memset(out->scale, 1, sizeof out->scale);
    memset(out->min, f->has_min, sizeof out->min);
    if (quant_is_grid(f)) {
        quant_grid_read(f, p, out);
        return;
    }
    switch (f->type) {
    case GGUF_TENSOR_Q4_K:
    case GGUF_TENSOR_Q5_K:
        read_q4_k(f, p, out);
        return;
    case GGUF_TENSOR_Q2_K:
        read_q2_k(p, out);
        return;
    case GGUF_TENSOR_Q3_K:
        read_q3_k(p, out);
        return;
    case GGUF_TENSOR_Q6_K:
        read_q6_k(p, out);
        return;
    case GGUF_TENSOR_IQ4_XS:
        read_iq4_xs(p, out);
        return;
    default:
        CHECK(f->input == QUANT_NARROW);
        read_narrow(f, p, out);
    }
}

/* -- rows -- */

/* Sixteen weights under one scale; compilers make vectors of it. */
static void scale_codes(const struct quant_format *f, const struct quant_block *b, size_t from, float out[16])
{
    const float d = b->d;
    const int32_t scale = b->scale[from / f->sub], offset = f->offset;
    const uint8_t *code = b->code + from;
    int32_t weight[16];
    if (f->table)
        for (size_t i = 0; i < 16; i++)
            weight[i] = scale * quant_table(f)[code[i]];
    else
        for (size_t i = 0; i < 16; i++)
            weight[i] = scale * (code[i] - offset);
    for (size_t i = 0; i < 16; i++)
        out[i] = d * (float)weight[i];
    if (!f->has_min)
        return;
    const float m = b->m * (float)b->min[from / f->sub];
    for (size_t i = 0; i < 16; i++)
        out[i] = out[i] + m;
}

void quant_block_values(const struct quant_format *f, const struct quant_block *b, float *out)
{
    for (size_t i = 0; i < f->block; i += 16)
        scale_codes(f, b, i, out + i);
}

static void read_blocks(const struct quant_format *f, const uint8_t *row, size_t n, float *out)
{
    struct quant_block b;
    for (size_t at = 0; at < n; at += f->block, row += f->bytes) {
        quant_read_block(f, row, &b);
        quant_block_values(f, &b, out + at);
    }
}

void quant_read_row(enum gguf_tensor_type type, const uint8_t *row, size_t n, float *out)
{
    switch (type) {
    case GGUF_TENSOR_F32:
        for (size_t i = 0; i < n; i++)
            out[i] = arith_of_bits(load_le32(row + 4 * i));
        return;
    case GGUF_TENSOR_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = arith_half(load_le16(row + 2 * i));
        return;
    case GGUF_TENSOR_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = arith_of_bits((uint32_t)load_le16(row + 2 * i) << 16);
        return;
    default:
        read_blocks(known(type), row, n, out);
    }
}

/* n values of 16 bits, `step` bytes apart: none has all bits of `exponent` set. */
static bool halves_are_finite(const uint8_t *p, size_t n, size_t step, unsigned exponent)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= (load_le16(p + i * step) & exponent) == exponent;
    return !bad;
}

size_t quant_scale_at(const struct quant_format *f)
{
    switch (f->type) {
    case GGUF_TENSOR_Q2_K:
    case GGUF_TENSOR_Q3_K:
    case GGUF_TENSOR_Q6_K:
        return f->bytes - (f->has_min ? 4u : 2u);
    case GGUF_TENSOR_IQ1_M:
        return f->bytes - 2u;
    default:
        return 0;
    }
}

uint16_t quant_scale_bits(const struct quant_format *f, const uint8_t *block)
{
    const uint8_t *scale = block + quant_scale_at(f);
    if (f->type == GGUF_TENSOR_IQ1_M)
        return quant_grid_scale(block);
    if (!f->has_exponent)
        return load_le16(scale);
    /* 2^(e - 128), half of what the format says, as weights are doubled; below 2^-126 by bits of the fraction */
    return (uint16_t)(*scale < 2 ? 0x20u << *scale : (*scale - 1u) << 7);
}

/* An exponent of 255 is not a number. */
static bool exponents_are_finite(const uint8_t *p, size_t n, size_t step)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= p[i * step] == 255;
    return !bad;
}

/* Scales that lie in pieces. */
static bool grid_scales_are_finite(const uint8_t *p, size_t n, size_t step)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= (quant_grid_scale(p + i * step) & 0x7C00u) == 0x7C00u;
    return !bad;
}

bool quant_is_finite(enum gguf_tensor_type type, const uint8_t *p, size_t n)
{
    const struct quant_format *f = known(type);
    unsigned bad = 0;
    switch (type) {
    case GGUF_TENSOR_F32:
        for (size_t i = 0; i < n; i++)
            bad |= (load_le32(p + 4 * i) & 0x7F800000u) == 0x7F800000u;
        return !bad;
    case GGUF_TENSOR_F16:
        return halves_are_finite(p, n, 2, 0x7C00u);
    case GGUF_TENSOR_BF16:
        return halves_are_finite(p, n, 2, 0x7F80u);
    case GGUF_TENSOR_IQ1_M:
        return grid_scales_are_finite(p, n / f->block, f->bytes);
    case GGUF_TENSOR_MXFP4:
        return exponents_are_finite(p, n / f->block, f->bytes);
    default:
        return halves_are_finite(p + quant_scale_at(f), n / f->block, f->bytes, 0x7C00u) &&
               (!f->has_min || halves_are_finite(p + quant_scale_at(f) + 2, n / f->block, f->bytes, 0x7C00u));
    }
}

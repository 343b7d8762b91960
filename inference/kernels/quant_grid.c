/* Reading formats by grids; see the header. Codes of signed sizes are a size's place, and 8 more where it is negative;
 * those of IQ1 a weight's place, and 8 more where what is added is negative (quant_tables). */
#include "inference/kernels/quant_grid.h"

/* Eight codes of a list's entry of 2 bits each; bit i of `high` is the fourth of code i. */
static void put_eight(uint16_t entry, unsigned high, uint8_t code[8])
{
    for (unsigned i = 0; i < 8; i++)
        code[i] = (uint8_t)((entry >> (2 * i) & 3) | (high >> i & 1) << 3);
}

/* The same of two entries of four codes of 3 bits. */
static void put_fours(uint16_t first, uint16_t second, unsigned high, uint8_t code[8])
{
    for (unsigned i = 0; i < 4; i++) {
        code[i] = (uint8_t)((first >> (3 * i) & 7) | (high >> i & 1) << 3);
        code[i + 4] = (uint8_t)((second >> (3 * i) & 7) | (high >> (i + 4) & 1) << 3);
    }
}

/* Seven signs; of the eight of a group an even number are negative. */
static unsigned signs_of(unsigned seven)
{
    unsigned odd = seven;
    odd ^= odd >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return seven | (odd & 1) << 7;
}

static int8_t scale_of(unsigned bits)
{
    return (int8_t)(2 * bits + 1);
}

/* Four bits a sub, the lower ones first. */
static void read_scales(const uint8_t *p, size_t subs, int8_t *scale)
{
    for (size_t j = 0; j < subs; j++)
        scale[j] = scale_of(p[j / 2] >> (j % 2 * 4) & 15);
}

/* Of 32: four places of 8 bits, then 28 signs and a scale in 32 bits. */
static void read_iq2_xxs(const uint8_t *p, struct quant_block *out)
{
    for (size_t j = 0; j < 8; j++, p += 8) {
        const uint32_t rest = load_le32(p + 4);
        out->scale[j] = scale_of(rest >> 28);
        for (size_t k = 0; k < 4; k++)
            put_eight(quant_grid_iq2_xxs[p[k]], signs_of(rest >> (7 * k) & 127), out->code + 32 * j + 8 * k);
    }
}

/* Of eight: a place of 9 bits and 7 signs. */
static void read_iq2_xs(const uint8_t *p, struct quant_block *out)
{
    for (size_t k = 0; k < 32; k++) {
        const unsigned word = load_le16(p + 2 * k);
        put_eight(quant_grid_iq2_xs[word & 511], signs_of(word >> 9), out->code + 8 * k);
    }
    read_scales(p + 64, 16, out->scale);
}

/* Of eight: a place of 8 bits and two more, eight signs. */
static void read_iq2_s(const uint8_t *p, struct quant_block *out)
{
    const uint8_t *signs = p + 32, *high = p + 64;
    for (size_t k = 0; k < 32; k++) {
        const unsigned place = p[k] | ((unsigned)high[k / 4] >> (k % 4 * 2) & 3u) << 8;
        put_eight(quant_grid_iq2_s[place], signs[k], out->code + 8 * k);
    }
    read_scales(p + 72, 16, out->scale);
}

/* Of 32: eight places of 8 bits; 28 signs and a scale, behind all places. */
static void read_iq3_xxs(const uint8_t *p, struct quant_block *out)
{
    for (size_t j = 0; j < 8; j++) {
        const uint32_t rest = load_le32(p + 64 + 4 * j);
        out->scale[j] = scale_of(rest >> 28);
        for (size_t k = 0; k < 4; k++) {
            const uint8_t *place = p + 8 * j + 2 * k;
            put_fours(quant_grid_iq3_xxs[place[0]], quant_grid_iq3_xxs[place[1]], signs_of(rest >> (7 * k) & 127),
                      out->code + 32 * j + 8 * k);
        }
    }
}

/* Of eight: two places of 8 bits and one more each, eight signs. */
static void read_iq3_s(const uint8_t *p, struct quant_block *out)
{
    const uint8_t *high = p + 64, *signs = p + 72;
    for (size_t k = 0; k < 32; k++) {
        const unsigned bits = (unsigned)high[k / 4] >> (k % 4 * 2);
        put_fours(quant_grid_iq3_s[p[2 * k] | (bits & 1) << 8], quant_grid_iq3_s[p[2 * k + 1] | (bits >> 1 & 1) << 8],
                  signs[k], out->code + 8 * k);
    }
    read_scales(p + 104, 8, out->scale);
}

/* Of 32: four places of 8 bits and three more each, a scale of 3 bits, and whether an eighth is taken away, not added.
 */
static void read_iq1_s(const uint8_t *p, struct quant_block *out)
{
    for (size_t j = 0; j < 8; j++) {
        const unsigned word = load_le16(p + 32 + 2 * j);
        out->scale[j] = scale_of(word >> 12 & 7);
        for (size_t k = 0; k < 4; k++)
            put_eight(quant_grid_iq1[p[4 * j + k] | (word >> (3 * k) & 7) << 8], word >> 15 ? 0xFF : 0,
                      out->code + 32 * j + 8 * k);
    }
}

/* Of eight: a place of 8 bits and three more, and whether an eighth is taken away. Of 16 a scale of 3 bits. */
static void read_iq1_m(const uint8_t *p, struct quant_block *out)
{
    const uint8_t *high = p + 32, *scales = p + 48;
    for (size_t k = 0; k < 32; k++) {
        const unsigned bits = (unsigned)high[k / 2] >> (k % 2 * 4);
        put_eight(quant_grid_iq1[p[k] | (bits & 7) << 8], bits & 8 ? 0xFF : 0, out->code + 8 * k);
    }
    for (size_t j = 0; j < 16; j++)
        out->scale[j] = scale_of((unsigned)load_le16(scales + j / 4 * 2) >> (j % 4 * 3) & 7);
}

uint16_t quant_grid_scale(const uint8_t *block)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 4; i++)
        bits |= (unsigned)(load_le16(block + 48 + 2 * i) >> 12) << (4 * i);
    return (uint16_t)bits;
}

void quant_grid_read(const struct quant_format *f, const uint8_t *p, struct quant_block *out)
{
    out->d = quant_scale(f, quant_scale_bits(f, p));
    switch (f->type) {
    case GGUF_TENSOR_IQ1_S:
        read_iq1_s(p + 2, out);
        return;
    case GGUF_TENSOR_IQ1_M:
        read_iq1_m(p, out);
        return;
    case GGUF_TENSOR_IQ2_XXS:
        read_iq2_xxs(p + 2, out);
        return;
    case GGUF_TENSOR_IQ2_XS:
        read_iq2_xs(p + 2, out);
        return;
    case GGUF_TENSOR_IQ2_S:
        read_iq2_s(p + 2, out);
        return;
    case GGUF_TENSOR_IQ3_XXS:
        read_iq3_xxs(p + 2, out);
        return;
    default:
        CHECK(f->type == GGUF_TENSOR_IQ3_S);
        read_iq3_s(p + 2, out);
    }
}

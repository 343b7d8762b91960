/* Formats by grids: weights read against those that the formats' own description (gguf-py of ggml, quants.py) reads
 * from the same bytes, by a hash over their bits and some of them in the clear; signs, scales that lie in pieces, and
 * what is no number. That products and packed weights mean the same is test_ops'. */
#include "tests/support.h"

#include "inference/kernels/quant.h"

#include <math.h>
#include <string.h>

#define BLOCKS 64

/* The same bytes in whatever language: the upper eight bits of a linear generator. Exponents of scales are small. */
static void draw_blocks(const struct quant_format *f, uint8_t *out)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < (size_t)BLOCKS * f->bytes; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        uint8_t *high = out + i * f->bytes + quant_scale_at(f) + 1;
        *high = (uint8_t)((*high & 0x83) | 0x30);
    }
}

/* FNV-1a. */
static uint64_t hash_of(const float *v, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < 32; k += 8)
            h = (h ^ (arith_bits(v[i]) >> k & 255)) * 0x100000001b3u;
    return h;
}

static void weights_are_those_of_the_description(void **state)
{
    (void)state;
    static const struct {
        enum gguf_tensor_type type;
        uint64_t hash;
        float some[4]; /* weights 8 to 11 */
    } cases[] = {
        {GGUF_TENSOR_IQ1_S,
         0x7cbafce741063c46u,
         {1.6486358642578125f, -2.1196746826171875f, -0.2355194091796875f, 1.6486358642578125f}},
        {GGUF_TENSOR_IQ1_M,
         0x706a8640663b6054u,
         {14.6348876953125f, 1.6260986328125f, 14.6348876953125f, 14.6348876953125f}},
        {GGUF_TENSOR_IQ2_XXS,
         0x57f52166f7859a1au,
         {3.1402587890625f, 3.1402587890625f, 3.1402587890625f, -3.1402587890625f}},
        {GGUF_TENSOR_IQ2_XS,
         0x71104816fa189b8au,
         {2.8890380859375f, -2.8890380859375f, -2.8890380859375f, -9.028244018554688f}},
        {GGUF_TENSOR_IQ2_S,
         0xf772621993d6690du,
         {2.3865966796875f, -2.3865966796875f, -7.4581146240234375f, 2.3865966796875f}},
        {GGUF_TENSOR_IQ3_XXS,
         0x6d7aa010ad94a8d0u,
         {4.3963623046875f, -4.3963623046875f, -8.1646728515625f, 8.1646728515625f}},
        {GGUF_TENSOR_IQ3_S,
         0x541da27bc2bfb22cu,
         {-28.2623291015625f, -1.8841552734375f, -9.4207763671875f, -9.4207763671875f}},
    };
    static uint8_t data[BLOCKS * 128];
    static float out[BLOCKS * ARITH_RUN];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct quant_format *f = quant_format(cases[i].type);
        assert_true(f && quant_is_grid(f) && f->bytes <= 128);
        draw_blocks(f, data);
        assert_true(quant_is_finite(f->type, data, BLOCKS * ARITH_RUN));
        quant_read_row(f->type, data, BLOCKS * ARITH_RUN, out);
        assert_memory_equal(out + 8, cases[i].some, sizeof cases[i].some);
        assert_true(hash_of(out, BLOCKS * ARITH_RUN) == cases[i].hash);
    }
}

/* Every weight is one of the table's, under every scale, and table and scales are what is said of them. */
static void codes_stay_in_their_table(void **state)
{
    (void)state;
    static uint8_t data[BLOCKS * 128];
    struct quant_block b;
#define E(name, ...) GGUF_TENSOR_##name,
    static const enum gguf_tensor_type types[] = {QUANT_GRID_LIST(E)};
#undef E
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct quant_format *f = quant_format(types[t]);
        uint32_t seen = 0;
        draw_blocks(f, data);
        for (size_t i = 0; i < BLOCKS; i++) {
            quant_read_block(f, data + i * f->bytes, &b);
            for (size_t k = 0; k < ARITH_RUN; k++) {
                assert_in_range(b.code[k], 0, 15);
                seen |= 1u << b.code[k];
            }
            for (size_t j = 0; j < ARITH_RUN / f->sub; j++)
                assert_true(b.scale[j] >= 1 && b.scale[j] <= 31 && b.scale[j] % 2 == 1);
        }
        for (unsigned c = 0; c < 16; c++) {
            assert_true(!(seen >> c & 1) ==
                        (quant_table(f)[c] == 0)); /* all are met, and none but those that mean something */
            assert_in_range(quant_table(f)[c] + f->offset, 0, 2 * f->offset);
        }
    }
}

static void scales_that_are_no_numbers_are_found(void **state)
{
    (void)state;
    static uint8_t data[BLOCKS * 128];
#define E(name, ...) GGUF_TENSOR_##name,
    static const enum gguf_tensor_type types[] = {QUANT_GRID_LIST(E)};
#undef E
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct quant_format *f = quant_format(types[t]);
        uint8_t *last = data + (BLOCKS - 1) * f->bytes;
        draw_blocks(f, data);
        if (f->type ==
            GGUF_TENSOR_IQ1_M) { /* 0x7C00: its upper digits in the words behind, each in their highest four bits */
            last[55] = (uint8_t)(0x70 | (last[55] & 15));
            last[53] = (uint8_t)(0xC0 | (last[53] & 15));
        } else {
            last[1] = 0x7C;
        }
        assert_false(quant_is_finite(f->type, data, BLOCKS * ARITH_RUN));
        assert_true(quant_is_finite(f->type, data, (BLOCKS - 1) * ARITH_RUN));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_the_description),
        cmocka_unit_test(codes_stay_in_their_table),
        cmocka_unit_test(scales_that_are_no_numbers_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

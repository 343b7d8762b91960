/* Repacking; see the header for the layout. */
#include "inference/cuda/repack.h"

#define LANES REPACK_ROWS
#define WORDS 64u /* of four codes in a run */

static uint32_t float_bytes(const struct quant_format *f)
{
    return f->type == GGUF_TENSOR_F32 ? 4 : 2;
}

/* 32 rows of n elements. */
static uint64_t tile_bytes(const struct quant_format *f, uint32_t n)
{
    if (f->input == QUANT_FLOATS)
        return repack_float_at(float_bytes(f), n, REPACK_ROWS, 0);
    return (uint64_t)quant_runs(n) * repack_run(f);
}

uint32_t repack_type(uint32_t type)
{
#define E(name, ...) GGUF_TENSOR_##name
    const struct quant_format *f = quant_format((enum gguf_tensor_type)type);
    return f && repack_is_grid(f) ? (uint32_t)REPACK_GRID(E) : type;
#undef E
}

static uint64_t tiles(uint32_t rows)
{
    return (rows + REPACK_ROWS - 1) / REPACK_ROWS;
}

uint64_t repack_bytes(uint32_t type, uint32_t n, uint32_t rows)
{
    const struct quant_format *f = quant_format((enum gguf_tensor_type)type);
    CHECK(f != NULL);
    return (tiles(rows) * tile_bytes(f, n) + 255) / 256 * 256;
}

/* -- one row of a run -- */

static uint32_t quad_of(const uint8_t *code)
{
    return (uint32_t)code[0] | (uint32_t)code[1] << 8 | (uint32_t)code[2] << 16 | (uint32_t)code[3] << 24;
}

/* Block b of a run: 32 codes into the row's words, which were zeros. */
static void put_codes(unsigned bits, const uint8_t *code, size_t b, uint32_t word[WORDS])
{
    uint32_t *low = word + 4 * b, *pair = word + (bits >= 4 ? 32 : 0) + 2 * b, *one = word + (bits == 5 ? 32 : 16) + b;
    for (unsigned g = 0; g < 8; g++) {
        uint32_t q = quad_of(code + 4 * g);
        if (bits == 8) {
            word[8 * b + g] = q ^ 0x80808080u; /* less 128 */
            continue;
        }
        if (bits >= 4)
            low[g % 4] |= (q & 0x0F0F0F0Fu) << (g / 4 * 4);
        if (bits == 6 || bits <= 3)
            pair[g / 4] |= (q >> (bits == 6 ? 4 : 0) & 0x03030303u) << (g % 4 * 2);
        if (bits == 5 || bits == 3)
            *one |= (q >> (bits - 1) & 0x01010101u) << g;
    }
}

/* Where piece p of a row stands. */
static uint8_t *piece_at(uint8_t *run, size_t piece, size_t lane)
{
    return run + (piece * LANES + lane) * 16;
}

static void put_words(const uint32_t *word, size_t pieces, size_t lane, uint8_t *run)
{
    for (size_t w = 0; w < 4 * pieces; w++)
        store_le32(piece_at(run, w / 4, lane) + w % 4 * 4, word[w]);
}

/* Codes of a table as a sign and the place of a size; unused ones, which mean 0, have no sign. */
static void put_signs(const struct quant_format *f, uint8_t code[ARITH_RUN])
{
    const int8_t *weight = quant_table(f);
    uint8_t as[16];
    for (unsigned c = 0; c < 16; c++)
        for (unsigned i = 8; i-- > 0;)
            if (weight[i] == weight[c] || weight[i] == -weight[c])
                as[c] = (uint8_t)(weight[c] < 0 ? i | 8 : i);
    for (size_t i = 0; i < ARITH_RUN; i++)
        code[i] = as[code[i]];
}

static void put_grid_head(const struct quant_format *f, const struct quant_block *b, uint8_t *head)
{
    store_le32(head, arith_bits(b->d));
    for (size_t j = 0; j < 16; j++) { /* of 16; of formats with scales for 32 two have the same */
        const unsigned s = (unsigned)b->scale[j * 16 / f->sub] >> 1;
        head[4 + j % 8] |= (uint8_t)(s << j / 8 * 4);
    }
    store_le32(head + 12, f->table - QUANT_GRID_1);
}

/* The head and the tail of a wide block. */
static void put_wide_head(const struct quant_format *f, const uint8_t *block, size_t lane, uint8_t *run)
{
    size_t tail = repack_tail(f), at = f->scale_bits == 8 ? f->bytes - 18u : f->scale_bits == 4 ? 0 : f->bytes - 14u;
    uint8_t *head = piece_at(run, repack_codes(f), lane),
            *behind = piece_at(run, repack_codes(f) + repack_heads(f), 0) + lane * tail;
    if (f->table) {
        memcpy(behind, block, tail);
    } else if (tail) {
        memcpy(head, block + at, 16);
        memcpy(behind, block + quant_scale_at(f), tail);
    } else {
        memcpy(head, f->has_min ? block : block + at, f->has_min ? 16 : 14);
    }
}

static void put_wide(const struct quant_format *f, const uint8_t *block, size_t lane, uint8_t *run)
{
    struct quant_block b;
    uint32_t word[WORDS] = {0};
    quant_read_block(f, block, &b);
    if (repack_is_grid(f))
        put_signs(f, b.code);
    for (size_t i = 0; i < ARITH_RUN / ARITH_BLOCK; i++)
        put_codes(f->bits, b.code + ARITH_BLOCK * i, i, word);
    put_words(word, repack_codes(f), lane, run);
    if (repack_is_grid(f))
        put_grid_head(f, &b, piece_at(run, repack_codes(f), lane));
    else
        put_wide_head(f, block, lane, run);
}

static void put_narrow(const struct quant_format *f, const uint8_t *block, size_t blocks, size_t lane, uint8_t *run)
{
    struct quant_block b;
    uint32_t word[WORDS] = {0};
    uint8_t *head = piece_at(run, repack_codes(f), lane);
    for (size_t i = 0; i < blocks; i++, block += f->bytes) {
        quant_read_block(f, block, &b);
        put_codes(f->bits, b.code, i, word);
        store_le16(head + 2 * i, quant_scale_bits(f, block));
        if (f->has_min)
            memcpy(head + LANES * 16u + 2 * i, block + 2, 2);
    }
    put_words(word, repack_codes(f), lane, run);
}

/* -- tiles -- */

static void put_row(const struct quant_format *f, const uint8_t *row, uint32_t n, size_t lane, uint8_t *out)
{
    for (size_t from = 0; from < n; from += ARITH_RUN, out += repack_run(f)) {
        size_t left = n - from < ARITH_RUN ? n - from : ARITH_RUN;
        if (f->input == QUANT_WIDE)
            put_wide(f, row, lane, out);
        else
            put_narrow(f, row, left / ARITH_BLOCK, lane, out);
        row += quant_row_bytes(f->type, ARITH_RUN);
    }
}

static void put_floats(const struct quant_format *f, const uint8_t *row, uint32_t n, uint32_t r, uint8_t *out)
{
    uint32_t bytes = float_bytes(f);
    for (uint32_t i = 0; i < n; i += 2) /* neighbours stay neighbours */
        memcpy(out + repack_float_at(bytes, n, r, i), row + (size_t)i * bytes, i + 1 < n ? 2 * bytes : bytes);
}

uint64_t repack_at(uint32_t type, uint32_t n, uint32_t first)
{
    const struct quant_format *f = quant_format((enum gguf_tensor_type)type);
    CHECK(f != NULL && first % REPACK_ROWS == 0);
    return first / REPACK_ROWS * tile_bytes(f, n);
}

uint64_t repack_rows(uint32_t type, uint32_t n, uint32_t rows, const uint8_t *file, size_t row_bytes, uint8_t *out)
{
    const struct quant_format *f = quant_format((enum gguf_tensor_type)type);
    CHECK(f != NULL);
    const uint64_t tile = tile_bytes(f, n), bytes = tiles(rows) * tile;
    memset(out, 0, bytes);
    for (uint32_t r = 0; r < rows; r++, file += row_bytes) {
        uint8_t *at = out + r / REPACK_ROWS * tile;
        if (f->input == QUANT_FLOATS)
            put_floats(f, file, n, r % REPACK_ROWS, at);
        else
            put_row(f, file, n, r % REPACK_ROWS, at);
    }
    return bytes;
}

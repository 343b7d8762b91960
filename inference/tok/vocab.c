/* The vocabulary: texts in one buffer, an open-addressing index over them. */
#include "inference/tok/vocab.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void vocab_clear(struct vocab *v)
{
    buf_clear(&v->texts);
    free(v->starts);
    free(v->scores);
    free(v->types);
    free(v->slots);
    *v = (struct vocab){0};
}

void vocab_reserve(struct vocab *v, uint32_t count)
{
    CHECK(v->count == 0 && !v->starts && count <= VOCAB_MAX);
    v->starts = mem_array((size_t)count + 1, sizeof *v->starts);
    v->scores = mem_array(count, sizeof *v->scores);
    v->types = mem_array(count, sizeof *v->types);
    v->slots_mask = 1;
    while (v->slots_mask < 2 * count)
        v->slots_mask *= 2;
    v->slots = mem_array(v->slots_mask, sizeof *v->slots);
    v->slots_mask--;
}

enum err vocab_add(struct vocab *v, struct bytes text, float score, uint32_t type, struct note *note)
{
    CHECK(v->count <= v->slots_mask / 2);
    if (text.n > TOKEN_PIECE_MAX)
        return note_set(note, ERR_LIMIT, "token %u of the vocabulary has %zu bytes: at most %d are read", v->count,
                        text.n, TOKEN_PIECE_MAX);
    if (type < VOCAB_NORMAL || type > VOCAB_BYTE)
        return note_set(note, ERR_FORMAT, "token %u of the vocabulary is of type %u: types are 1 to 6", v->count, type);
    if (!isfinite(score))
        return note_set(note, ERR_NUMERIC, "token %u of the vocabulary has a score that is no finite number", v->count);
    buf_add(&v->texts, text.p, text.n);
    v->scores[v->count] = score;
    v->types[v->count] = (uint8_t)type;
    if (text.n > v->text_max)
        v->text_max = (uint32_t)text.n;
    v->starts[++v->count] = (uint32_t)v->texts.n;
    return ERR_OK;
}

uint64_t vocab_hash(uint64_t seed, const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = seed ^ n * UINT64_C(0x9e3779b97f4a7c15);
    for (; n >= 8; b += 8, n -= 8) {
        h = (h ^ load_le64(b)) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)b[i] << (8 * i);
    h = (h ^ last) * UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 29;
    h *= UINT64_C(0xff51afd7ed558ccd);
    return h ^ h >> 32;
}

/* The slot that holds the text, or the empty one where it belongs. */
static uint32_t slot_of(const struct vocab *v, struct bytes text)
{
    uint32_t slot = (uint32_t)vocab_hash(v->seed, text.p, text.n) & v->slots_mask;
    while (v->slots[slot] && !bytes_equal(vocab_text(v, v->slots[slot] - 1), text))
        slot = (slot + 1) & v->slots_mask;
    return slot;
}

enum err vocab_index(struct vocab *v, struct note *note)
{
    struct hasher hasher;
    hash_start(&hasher, HASH_TOKENS);
    hash_add(&hasher, v->starts, ((size_t)v->count + 1) * sizeof *v->starts);
    hash_add(&hasher, v->texts.p, v->texts.n);
    struct hash seed = hash_end(&hasher);
    v->seed = load_le64(seed.b);
    for (uint32_t id = 0; id < v->count; id++) {
        struct bytes text = vocab_text(v, id);
        if (text.n == 0)
            continue;
        uint32_t slot = slot_of(v, text);
        if (v->slots[slot])
            return note_set(note, ERR_DUPLICATE, "tokens %u and %u of the vocabulary are both '%.*s'",
                            v->slots[slot] - 1, id, (int)(text.n < 64 ? text.n : 64), (const char *)text.p);
        v->slots[slot] = id + 1;
    }
    return ERR_OK;
}

struct bytes vocab_text(const struct vocab *v, uint32_t id)
{
    CHECK(id < v->count);
    return bytes_of(v->texts.p + v->starts[id], v->starts[id + 1] - v->starts[id]);
}

int32_t vocab_find(const struct vocab *v, struct bytes text)
{
    if (text.n == 0 || text.n > v->text_max)
        return -1;
    return (int32_t)v->slots[slot_of(v, text)] - 1;
}

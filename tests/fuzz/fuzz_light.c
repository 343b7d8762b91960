/* What a light client takes from servers and finds in its own file: decoding is canonical, nothing is believed. The
 * file's checksum is mended, so that what lies behind it is reached. */
#include "base/mem.h"
#include "chain/light.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file begins with the chain and ends with the checksum, over all with zeros in its own place. What it says twice
 * (a header's time and validators) is written once more from the header. */
static void try_file(struct light *l, const struct hash *chain, struct bytes raw)
{
    struct buf file = {0}, again = {0};
    struct note note;
    if (raw.n < 2 * HASH_SIZE)
        return;
    buf_add(&file, raw.p, raw.n);
    memcpy(file.p, chain->b, HASH_SIZE);
    memset(file.p + file.n - HASH_SIZE, 0, HASH_SIZE);
    struct hash check = hash_once(HASH_FILE, file.p, file.n);
    memcpy(file.p + file.n - HASH_SIZE, check.b, HASH_SIZE);
    if (light_load(l, bytes_of_buf(&file), &note) == ERR_OK) {
        light_store(l, &again);
        CHECK(light_load(l, bytes_of_buf(&again), &note) == ERR_OK);
        buf_reset(&file);
        light_store(l, &file);
        CHECK(bytes_equal(bytes_of_buf(&again), bytes_of_buf(&file)));
    }
    buf_clear(&file);
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hash id = {{1}};
    struct bytes raw = bytes_of(data, size);
    struct valset *set = mem_new(sizeof *set);
    struct buf again = {0};
    struct light_block b;
    struct light_conflict conflict;
    struct note note;
    struct hash chain = {{2}};
    if (light_block_decode(raw, &b, set, &note) == ERR_OK) {
        chain = b.header.chain;
        light_block_put(&again, &b);
        CHECK(bytes_equal(bytes_of_buf(&again), raw));
        buf_reset(&again);
        light_put_validators(&again, set);
        CHECK(bytes_equal(bytes_of_buf(&again), b.validators));
    }
    struct light *l = light_new(&chain, 1000);
    light_trust_checkpoint(l, 1, &id);
    CHECK(light_seek(l, 9, &note) == ERR_OK);
    CHECK(light_take(l, raw, 1000, &note) != ERR_OK);
    try_file(l, &chain, raw);
    CHECK(light_check_record(l, STATE_ACCOUNT, bytes_of("", 0), raw, raw, &note) != ERR_OK);
    struct cursor c = cursor_of(raw);
    light_conflict_get(&c, &conflict);
    light_free(l);
    buf_clear(&again);
    free(set);
    return 0;
}

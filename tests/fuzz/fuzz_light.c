/* What a light client takes from servers and finds in its own file: decoding is canonical, nothing is believed. */
#include "base/mem.h"
#include "chain/light.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    if (light_load(l, raw, &note) == ERR_OK) {
        buf_reset(&again);
        light_store(l, &again);
        CHECK(bytes_equal(bytes_of_buf(&again), raw));
    }
    CHECK(light_check_record(l, STATE_ACCOUNT, bytes_of("", 0), raw, raw, &note) != ERR_OK);
    struct cursor c = cursor_of(raw);
    light_conflict_get(&c, &conflict);
    light_free(l);
    buf_clear(&again);
    free(set);
    return 0;
}

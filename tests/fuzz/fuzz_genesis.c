/* The genesis file: what is read prints, and reads again the same. */
#include "chain/genesis.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct genesis g, again;
    struct buf room = {0}, room2 = {0}, text = {0};
    struct note note;
    if (genesis_parse(bytes_of(data, size), &g, &room, &note) == ERR_OK) {
        genesis_print(&g, &text);
        CHECK(genesis_parse(bytes_of_buf(&text), &again, &room2, &note) == ERR_OK);
        CHECK(genesis_equal(&g, &again));
    }
    buf_clear(&room);
    buf_clear(&room2);
    buf_clear(&text);
    return 0;
}

/* Transactions: whatever decodes is canonical; its body too; printing and checking survive it. */
#include "chain/tx.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tx t;
    struct note note;
    struct buf again = {0}, json = {0};
    if (tx_decode(bytes_of(data, size), &t, &note) != ERR_OK)
        return 0;
    tx_put(&again, &t);
    CHECK(bytes_equal(bytes_of_buf(&again), bytes_of(data, size)));
    CHECK(tx_work(&t) >= 1);
    tx_print(&json, &t);
    CHECK(json.n > 2);
    CHECK(tx_check(&t, &t.chain, &note) != ERR_CHAIN);
    buf_clear(&again);
    buf_clear(&json);
    return 0;
}

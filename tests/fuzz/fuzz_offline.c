/* A file with a transaction to sign that reads is written and read the same, and can be put into words. */
#include "wallet/offline.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct offline o, again;
    struct buf file = {0}, words = {0};
    struct note note;
    if (offline_get(bytes_of(data, size), &o, &note) == ERR_OK) {
        offline_put(&file, &o);
        offline_describe(&words, &o);
        if (offline_get(bytes_of_buf(&file), &again, &note) != ERR_OK ||
            !bytes_equal(bytes_of_buf(&o.partial), bytes_of_buf(&again.partial)))
            abort();
        offline_clear(&again);
        offline_clear(&o);
    }
    buf_clear(&file);
    buf_clear(&words);
    return 0;
}

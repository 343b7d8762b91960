/* A wallet file that decodes encodes to the same bytes. The checksum is mended first, so that the record behind it is
 * reached. */
#include "wallet/keystore.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keystore ks;
    struct buf file = {0}, again = {0};
    struct note note;
    buf_add(&file, data, size);
    if (file.n >= HASH_SIZE) {
        struct hash sum = hash_once(HASH_KEYSTORE, file.p, file.n - HASH_SIZE);
        memcpy(file.p + file.n - HASH_SIZE, sum.b, HASH_SIZE);
    }
    if (keystore_get(bytes_of_buf(&file), &ks, &note) == ERR_OK) {
        keystore_put(&again, &ks);
        if (!bytes_equal(bytes_of_buf(&file), bytes_of_buf(&again)))
            abort();
    }
    buf_clear(&file);
    buf_clear(&again);
    return 0;
}

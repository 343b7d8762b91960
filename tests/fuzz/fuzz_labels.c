/* A file of labels that reads is written, read again, and written the same. */
#include "wallet/labels.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct labels l;
    struct buf once = {0}, twice = {0};
    struct note note;
    if (labels_get(bytes_of(data, size), &l, &note) == ERR_OK) {
        labels_put(&once, &l);
        labels_clear(&l);
        if (labels_get(bytes_of_buf(&once), &l, &note) != ERR_OK)
            abort();
        labels_put(&twice, &l);
        if (!bytes_equal(bytes_of_buf(&once), bytes_of_buf(&twice)))
            abort();
        labels_clear(&l);
    }
    buf_clear(&once);
    buf_clear(&twice);
    return 0;
}

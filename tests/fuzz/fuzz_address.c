/* An address that decodes encodes to itself (in lower case), and nothing else reads as it. */
#include "wallet/address.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    struct pubkey key;
    struct note note;
    buf_add(&text, data, size);
    if (address_get(buf_text(&text), NULL, &key, &note) == ERR_OK) {
        char again[ADDRESS_TEXT_ROOM];
        const char *given = buf_text(&text);
        bool dev = tolower((unsigned char)given[4]) == 'd';
        address_put(dev ? ADDRESS_PREFIX_DEV : ADDRESS_PREFIX_MAIN, &key, again);
        for (size_t i = 0; i <= strlen(again); i++)
            if (tolower((unsigned char)given[i]) != again[i])
                abort();
    }
    buf_clear(&text);
    return 0;
}

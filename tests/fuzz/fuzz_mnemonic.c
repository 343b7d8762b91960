/* Words that decode are the words of their entropy. */
#include "wallet/mnemonic.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    uint8_t entropy[MNEMONIC_ENTROPY_MAX], back[MNEMONIC_ENTROPY_MAX];
    char words[MNEMONIC_TEXT_ROOM];
    size_t n, m;
    struct note note;
    buf_add(&text, data, size);
    if (mnemonic_get(buf_text(&text), entropy, &n, &note) == ERR_OK) {
        mnemonic_put(entropy, n, words);
        if (mnemonic_get(words, back, &m, &note) != ERR_OK || m != n || memcmp(entropy, back, n) != 0)
            abort();
    }
    buf_clear(&text);
    return 0;
}

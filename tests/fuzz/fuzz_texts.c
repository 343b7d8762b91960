/* Texts that people and clients write: amounts, paths of keys, hexadecimal, JSON. The first byte chooses; what is read
 * prints to something that reads the same. */
#include "base/amount.h"
#include "base/json.h"
#include "wallet/bip32.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_amount(const char *text)
{
    struct amount a, b;
    char again[AMOUNT_TEXT_ROOM];
    if (amount_parse(text, &a, NULL) != ERR_OK)
        return;
    amount_print(a, again);
    CHECK(amount_parse(again, &b, NULL) == ERR_OK && a.mote == b.mote);
}

static void try_path(const char *text)
{
    uint32_t steps[BIP32_DEPTH_MAX];
    unsigned n = 0;
    if (bip32_path_get(text, steps, &n, NULL) == ERR_OK)
        CHECK(n <= BIP32_DEPTH_MAX);
}

static void try_hex(const char *text)
{
    uint8_t bytes[32];
    char again[65];
    if (!hex_get(text, bytes, sizeof bytes))
        return;
    hex_put(again, bytes, sizeof bytes);
    CHECK(strcasecmp(again, text) == 0);
}

static void try_json(struct bytes raw)
{
    struct note note = {{0}};
    struct buf out = {0};
    json_t *a = json_parse(raw, &note);
    CHECK(a || note.text[0]);
    if (a) {
        json_print(&out, a);
        json_t *b = json_parse(bytes_of_buf(&out), NULL);
        CHECK(b && json_equal(a, b));
        json_decref(b);
        json_decref(a);
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512] = {0};
    if (size == 0)
        return 0;
    memcpy(text, data + 1, size - 1 < sizeof text - 1 ? size - 1 : sizeof text - 1);
    switch (data[0] % 4) {
    case 0:
        try_amount(text);
        break;
    case 1:
        try_path(text);
        break;
    case 2:
        try_hex(text);
        break;
    default:
        try_json(bytes_of(data + 1, size - 1));
    }
    return 0;
}

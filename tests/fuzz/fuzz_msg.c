/* Bodies of messages: the first byte chooses the record. What decodes must encode to the same bytes. */
#include "p2p/msg.h"
#include "p2p/way.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define R(record)                                                                                                      \
    static void try_##record(struct bytes in)                                                                          \
    {                                                                                                                  \
        struct record a, b;                                                                                            \
        struct buf out = {0};                                                                                          \
        if (!MSG_GET(record, in, &a))                                                                                  \
            return;                                                                                                    \
        record##_put(&out, &a);                                                                                        \
        CHECK(bytes_equal(in, bytes_of_buf(&out)));                                                                    \
        CHECK(MSG_GET(record, bytes_of_buf(&out), &b) && record##_equal(&a, &b));                                      \
        buf_clear(&out);                                                                                               \
    }
MSG_RECORDS(R)
#undef R

static void try_address(struct bytes in)
{
    char text[512] = {0}, again[ENDPOINT_TEXT_ROOM];
    struct endpoint a, b;
    memcpy(text, in.p, in.n < sizeof text - 1 ? in.n : sizeof text - 1);
    if (endpoint_parse(text, &a, NULL) != ERR_OK)
        return;
    endpoint_print(&a, again);
    CHECK(endpoint_parse(again, &b, NULL) == ERR_OK && strcmp(a.host, b.host) == 0 && a.port == b.port);
}

/* What parses prints as it was: through relays always, directly once it was printed. */
static void try_way(struct bytes in)
{
    char text[512] = {0}, once[ENDPOINT_TEXT_ROOM], again[ENDPOINT_TEXT_ROOM];
    struct way a, b;
    memcpy(text, in.p, in.n < sizeof text - 1 ? in.n : sizeof text - 1);
    if (way_parse(text, &a, NULL) != ERR_OK)
        return;
    CHECK(way_print(&a, once) == a.relays && (a.relays == 0 || strcmp(once, text) == 0));
    CHECK(way_parse(once, &b, NULL) == ERR_OK && b.relays == a.relays);
    CHECK(way_print(&b, again) == b.relays && strcmp(again, once) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes) = {
#define R(record) try_##record,
        MSG_RECORDS(R)
#undef R
            try_address,
        try_way,
    };
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}

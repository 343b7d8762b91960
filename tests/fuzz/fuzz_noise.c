/* Handshake bytes from a stranger, to either side; then frames. Nothing but our own acts may get through. */
#include "p2p/noise.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seckey self = {{1, 2, 3}}, ephemeral = {{4, 5, 6}}, other = {{7, 8, 9}};
    struct point remote = key_point(&other);
    struct noise n;
    struct buf out = {0};
    if (size == 0)
        return 0;
    if (data[0] & 1)
        CHECK(noise_init_initiator(&n, &self, &remote, &ephemeral, &out));
    else
        noise_init_responder(&n, &self, &ephemeral);
    struct bytes in = bytes_of(data + 1, size - 1);
    while (noise_wants(&n)) {
        struct bytes act = in;
        if (act.n > noise_wants(&n))
            act.n = noise_wants(&n);
        size_t before = out.n;
        enum noise_fail fail = noise_step(&n, act, &out);
        CHECK((fail == NOISE_OK) == (n.state != NOISE_FAILED));
        CHECK(fail == NOISE_OK || out.n == before); /* no answer to a failure */
        in.p += act.n;
        in.n -= act.n;
    }
    uint16_t length;
    if (in.n >= NOISE_HEADER_SIZE)
        CHECK(!noise_get_length(&n, in.p, &length));
    noise_clear(&n);
    buf_clear(&out);
    return 0;
}

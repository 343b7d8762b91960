/* An answer fed in two pieces, cut anywhere, reads as it does in one; events come out of its body whole. */
#include "cli/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { BODY_MAX = 4096 };
    struct http_reader one, two;
    struct note note;
    struct http_event event;
    size_t cut = size ? data[0] % size : 0;
    http_reader_init(&one, BODY_MAX);
    http_reader_init(&two, BODY_MAX);
    enum err e = http_reader_step(&one, data, size, &note);
    enum err f = http_reader_step(&two, data, cut, &note);
    if (f == ERR_OK)
        f = http_reader_step(&two, data + cut, size - cut, &note);
    if (e != f || one.body.n > BODY_MAX)
        abort();
    if (e == ERR_OK && (one.state != two.state || one.status != two.status ||
                        !bytes_equal(bytes_of_buf(&one.body), bytes_of_buf(&two.body))))
        abort();
    while (http_event_take(&one.body, &event)) {
        if (event.data.n == 0)
            abort();
        buf_clear(&event.data);
    }
    http_reader_clear(&one);
    http_reader_clear(&two);
    return 0;
}

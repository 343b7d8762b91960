/* What `kith verify` reads: the JSON of a run, from whoever gives it. What is read is written as JSON that reads the
 * same. */
#include "cli/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool equal(const struct buf *a, const struct buf *b)
{
    return bytes_equal(bytes_of_buf(a), bytes_of_buf(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct note note = {{0}};
    struct transcript t = {0}, again = {0};
    json_t *object = json_parse(bytes_of(data, size), &note), *written = NULL;
    if (object && transcript_read(object, &t, &note) == ERR_OK) {
        written = transcript_object(&t);
        CHECK(written && transcript_read(written, &again, &note) == ERR_OK);
        CHECK(equal(&t.tokens, &again.tokens) && equal(&t.prompt, &again.prompt) && equal(&t.stops, &again.stops));
        CHECK(hash_equal(&t.digest, &again.digest) && hash_equal(&t.model, &again.model));
        struct hash h = request_hash(&t.request), g = request_hash(&again.request);
        CHECK(hash_equal(&h, &g));
    }
    transcript_clear(&t);
    transcript_clear(&again);
    json_decref(object);
    json_decref(written);
    return 0;
}

/* A template from a stranger: whatever it is, rendering ends, within its limits, and twice the same. */
#include "inference/template/template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char input[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\" Be kind. \"},{\"role\":\"user\",\"content\":\"H\\u00e9 "
    "there\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"123456789\",\"type\":\"function\",\"function\":"
    "{\"name\":\"f\",\"arguments\":{\"a\":1,\"b\":[true,null,1.5]}}}]},{\"role\":\"tool\",\"content\":\"4\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}}}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *all = json_parse(bytes_of_text(input), NULL);
    struct template_input in = {
        .source = bytes_of(data, size),
        .messages = json_object_get(all, "messages"),
        .tools = json_object_get(all, "tools"),
        .bos = bytes_of_text("<s>"),
        .eos = bytes_of_text("</s>"),
        .add_generation_prompt = true,
        .clock_s = 1795478400,
    };
    struct buf one = {0}, two = {0};
    struct note note = {{0}};
    CHECK(all);
    enum err err = template_render(&in, &one, &note);
    CHECK(template_render(&in, &two, NULL) == err);
    CHECK(bytes_equal(bytes_of_buf(&one), bytes_of_buf(&two)));
    CHECK(err == ERR_OK || (one.n == 0 && note.text[0]));
    buf_clear(&one);
    buf_clear(&two);
    json_decref(all);
    return 0;
}

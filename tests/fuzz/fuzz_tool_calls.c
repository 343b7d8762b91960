/* Answers are a stranger's text: calls found in them are of tools that exist, their arguments are JSON objects, and a
 * stream of any part of the answer sends nothing that turns out to be a call. */
#include "node/tool_calls.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char two_tools[] = "[{\"type\":\"function\",\"function\":{\"name\":\"get\"}},"
                                "{\"type\":\"function\",\"function\":{\"name\":\"get_it\"}}]";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *tools = json_parse(bytes_of_text(two_tools), NULL), *one;
    struct hash job = {{7}};
    struct buf out = {0};
    size_t content_n, i;
    if (size > 4096)
        size = 4096;
    json_t *calls = tool_calls_find(tools, bytes_of(data, size), &content_n);
    CHECK(content_n <= size && (calls || content_n == size));
    json_array_foreach(calls, i, one)
    {
        const char *name = json_text(one, "name"), *arguments = json_text(one, "arguments");
        CHECK(strcmp(name, "get") == 0 || strcmp(name, "get_it") == 0);
        json_t *object = json_parse(bytes_of_text(arguments), NULL);
        CHECK(json_is_object(object));
        json_decref(object);
    }
    for (size_t n = 0, before = 0; n <= size; n++) {
        size_t sure = tool_calls_sure(tools, bytes_of(data, n));
        CHECK(sure >= before && sure <= n && sure <= content_n);
        before = sure;
    }
    if (calls) {
        tool_calls_print(&out, calls, &job, true);
        json_t *again = json_parse(bytes_of_buf(&out), NULL);
        CHECK(json_array_size(again) == json_array_size(calls));
        json_decref(again);
    }
    buf_clear(&out);
    json_decref(calls);
    json_decref(tools);
    return 0;
}

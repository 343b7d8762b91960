/* Chat templates: every feature against what the reference implementation of Jinja prints for it
 * (tests/template_cases.json, made with jinja2 3.1.6 in the environment that published templates are
 * written for), published templates, the clock, limits, and hostile templates. */
#include "base/file.h"
#include "base/file_map.h"
#include "base/limits.h"
#include "inference/gguf.h"
#include "inference/template/template.h"
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_S 1795478400 /* 2026-11-24 00:00:00 */

static enum err render(const char *source, const json_t *input, struct buf *out, struct note *note)
{
    const json_t *tools = json_object_get(input, "tools");
    struct template_input in = {
        .source = bytes_of_text(source),
        .messages = json_object_get(input, "messages"),
        .tools = json_is_null(tools) ? NULL : tools,
        .variables = json_object_get(input, "variables"),
        .bos = bytes_of_text("<s>"),
        .eos = bytes_of_text("</s>"),
        .add_generation_prompt = json_is_true(json_object_get(input, "agp")),
        .clock_s = CLOCK_S,
    };
    return template_render(&in, out, note);
}

static json_t *parse(const char *text)
{
    struct note note = {{0}};
    json_t *value = json_parse(bytes_of_text(text), &note);
    if (!value)
        fail_msg("%s", note.text);
    return value;
}

/* 0 if the case gives what it should. */
static int run_case(size_t number, const json_t *one, const json_t *all)
{
    const char *named = json_text(one, "template");
    const char *source = named ? json_text(json_object_get(all, "templates"), named) : json_text(one, "source");
    const json_t *input = json_object_get(json_object_get(all, "inputs"), json_text(one, "input"));
    const json_t *text = json_object_get(one, "text");
    struct buf out = {0};
    struct note note = {{0}};
    assert_non_null(source);
    assert_non_null(input);
    enum err err = render(source, input, &out, &note);
    int bad = 0;
    if (!text)
        bad = err == ERR_OK || out.n != 0 || strncmp(note.text, "chat template, line ", 20) != 0;
    else
        bad = err != ERR_OK ||
              !bytes_equal(bytes_of_buf(&out), bytes_of(json_string_value(text), json_string_length(text)));
    if (bad)
        print_message("case %zu (%s, %s):\n%s\nexpected: %s\ngot:      %s%s\n", number, named ? named : "source",
                      json_text(one, "input"), source, text ? json_string_value(text) : "(failure)", buf_text(&out),
                      note.text);
    buf_clear(&out);
    return bad;
}

static void prints_what_the_reference_prints(void **state)
{
    (void)state;
    struct buf file = {0};
    struct note note = {{0}};
    if (file_read("tests/template_cases.json", 1u << 20, &file, &note) != ERR_OK)
        fail_msg("%s", note.text);
    json_t *all = parse(buf_text(&file));
    const json_t *cases = json_object_get(all, "cases");
    int bad = 0;
    for (size_t i = 0; i < json_array_size(cases); i++)
        bad += run_case(i, json_array_get(cases, i), all);
    assert_true(json_array_size(cases) > 300);
    json_decref(all);
    buf_clear(&file);
    assert_int_equal(bad, 0);
}

static void published_template(void **state)
{
    (void)state;
    TEST_NEEDS(path, "vocabs/ggml-vocab-phi-3.gguf");
    struct bytes file, source;
    struct gguf *g;
    struct note note = {{0}};
    struct buf out = {0}, text = {0};
    assert_int_equal(file_map(path, &file, &note), ERR_OK);
    assert_int_equal(gguf_open_head(file, &g, &note), ERR_OK);
    assert_true(gguf_find_text(g, "tokenizer.chat_template", &source));
    buf_add(&text, source.p, source.n);
    json_t *input = parse("{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":"
                          "\"Ho\"},{\"role\":\"user\",\"content\":\"Hm\"}],\"agp\":true}");
    assert_int_equal(render(buf_text(&text), input, &out, &note), ERR_OK);
    assert_string_equal(buf_text(&out),
                        "<s><|user|>\nHi<|end|>\n<|assistant|>\nHo<|end|>\n<|user|>\nHm<|end|>\n<|assistant|>\n");
    json_decref(input);
    buf_clear(&out);
    buf_clear(&text);
    gguf_free(g);
    file_unmap(file);
}

/* The same input gives the same text; only the clock that was put in shows. */
static void clock_is_an_input(void **state)
{
    (void)state;
    static const struct {
        int64_t clock_s;
        const char *text;
    } times[] = {
        {0, "1970-01-01 Thu 00:00:00 001"},          {-1, "1969-12-31 Wed 23:59:59 365"},
        {951782400, "2000-02-29 Tue 00:00:00 060"},  {4107542399, "2100-02-28 Sun 23:59:59 059"},
        {4107542400, "2100-03-01 Mon 00:00:00 060"}, {1735689599, "2024-12-31 Tue 23:59:59 366"},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct buf out = {0};
        struct template_input in = {.source = bytes_of_text("{{ strftime_now('%Y-%m-%d %a %H:%M:%S %j') }}"),
                                    .clock_s = times[i].clock_s};
        assert_int_equal(template_render(&in, &out, NULL), ERR_OK);
        assert_string_equal(buf_text(&out), times[i].text);
        buf_clear(&out);
    }
    struct buf out = {0};
    struct template_input in = {.source = bytes_of_text("{{ strftime_now('%Y') }}"), .clock_s = INT64_MAX};
    assert_int_equal(template_render(&in, &out, NULL), ERR_RANGE);
    assert_int_equal(out.n, 0);
}

/* Each ends by itself, with the error and a part of the line that says why. */
static void hostile_templates_end(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum err err;
        const char *note;
    } cases[] = {
        {"{% for a in range(100000000) %}{% endfor %}", ERR_LIMIT, "bytes of memory"},
        {"{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}", ERR_LIMIT, "steps"},
        {"{% set r = range(3000) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}", ERR_LIMIT, "steps"},
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ERR_LIMIT, "nested deeper"},
        {"{% set x = 'a' * 1000000000000 %}", ERR_LIMIT, "bytes of text"},
        {"{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor "
         "%}",
         ERR_LIMIT, "bytes of"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
         ERR_LIMIT, "steps"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(150) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
         "{{ ns.x == ns.x }}",
         ERR_LIMIT, "steps"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
         ERR_LIMIT, "nested deeper"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson "
         "}}",
         ERR_LIMIT, "nested deeper"},
        {"{% set x = 'a' * 1000000 %}{% for i in range(1000) %}{{ x }}{% endfor %}", ERR_LIMIT, "bytes of text"},
        {"{% set x = 'a' * 10000000 %}{% for i in range(1000) %}{% if 'b' in x %}{% endif %}{% endfor %}", ERR_LIMIT,
         "steps"},
        {"{{ 'a' * 1000000 | replace('', 'bbbbbbbbbbbbbbbbbbbb') }}", ERR_FORMAT, "no meaning"},
        {"{{ ('a' * 1000000) | replace('', 'bbbbbbbbbbbbbbbbbbbb') }}", ERR_LIMIT, "bytes of text"},
        {"{{ [1] | tojson(indent=1000000000) }}", ERR_LIMIT, "indent"},
        {"{{ 9223372036854775807 }}", ERR_LIMIT, "too large"},
        {"{{ 999999999999999999 * 999999999999999999 }}", ERR_RANGE, "63 bits"},
        {"{{ 2 ** 100 }}", ERR_UNSUPPORTED, "power"},
        {"{{ -9223372036854775 % 0 }}", ERR_FORMAT, "division by zero"},
        {"{{ f(1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17) }}", ERR_LIMIT, "arguments"},
        {"{% include 'x' %}", ERR_UNSUPPORTED, "include"},
        {"{{ ''.__class__.__mro__ }}", ERR_FORMAT, "'__class__' is undefined"},
        {"a\n\nb {{ raise_exception('no tools') }}", ERR_REFUSED, "line 3: no tools"},
        {"{% break %}", ERR_FORMAT, "outside a loop"},
        {"\xff", ERR_FORMAT, "UTF-8"},
        {"{{ strftime_now('%Q') }}", ERR_UNSUPPORTED, "%Q"},
        {"{# never closed", ERR_FORMAT, "comment without its end"},
        {"{% raw %} never closed", ERR_FORMAT, "endraw"},
        {"{% set l = [1] %}{% do l.append(l) %}", ERR_UNSUPPORTED, "list cannot be an item"},
        {"{% set l = [1] %}{% set m = [{'a': l}] %}{% do l.append(m) %}", ERR_UNSUPPORTED, "list cannot be an item"},
        {"{% set l = [1] %}{% set ns = namespace(l=l) %}{% do l.append(ns) %}", ERR_UNSUPPORTED, "namespace cannot"},
        {"{% set l = [1] %}{% do l.append(l.append) %}", ERR_UNSUPPORTED, "function cannot"},
        {"{% set l = [1] %}{% for x in l %}{% do l.append(x) %}{% endfor %}", ERR_LIMIT, "steps"},
        {"{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
         "{% do [].append(ns.x) %}",
         ERR_LIMIT, "steps"},
        {"{% set l = range(60000)|list %}{% for x in range(60000) %}{% do l.pop(0) %}{% endfor %}", ERR_LIMIT, "steps"},
        {"{{ loop }}{% for x in [1] %}{{ loop }}{% endfor %}", ERR_FORMAT, "cannot be printed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        struct note note = {{0}};
        struct template_input in = {.source = bytes_of_text(cases[i].source)};
        enum err err = template_render(&in, &out, &note);
        if (err != cases[i].err || !strstr(note.text, cases[i].note))
            fail_msg("%s: %s: %s", cases[i].source, err_name(err), note.text);
        assert_int_equal(out.n, 0);
        buf_clear(&out);
    }
}

/* `open` n times, `middle`, `close` n times. */
static void expect_too_deep(const char *open, const char *middle, const char *close, size_t n)
{
    struct buf source = {0};
    struct note note = {{0}};
    for (size_t i = 0; i < n; i++)
        buf_add_text(&source, open);
    buf_add_text(&source, middle);
    for (size_t i = 0; i < n; i++)
        buf_add_text(&source, close);
    struct buf out = {0};
    struct template_input in = {.source = bytes_of_buf(&source)};
    assert_int_equal(template_render(&in, &out, &note), ERR_LIMIT);
    buf_clear(&source);
    buf_clear(&out);
}

static void deep_templates_end(void **state)
{
    (void)state;
    expect_too_deep("{% if 1 %}", "x", "{% endif %}", 5000);
    expect_too_deep("{% for x in y %}", "x", "{% endfor %}", 5000);
    expect_too_deep("{% set x %}", "x", "{% endset %}", 5000);
    expect_too_deep("{% macro f() %}", "x", "{% endmacro %}", 5000);
    static const char *const chains[][5] = {
        {"{{ 1", " + 1", "", "", " }}"},        {"{{ 1", "|abs", "", "", " }}"},
        {"{{ x", ".y", "", "", " }}"},          {"{{ ", "- ", "1", "", " }}"},
        {"{{ ", "not ", "1", "", " }}"},        {"{{ ", "[", "1", "]", " }}"},
        {"{{ 1", " if 1", "", "", " }}"},       {"{{ ", "(", "1", ")", " }}"},
        {"{{ ", "{1:", "1", "}", " }}"},        {"{{ 1", " if 1 else 1", "", "", " }}"},
        {"{{ 1", " < 1", "", "", " }}"},        {"{{ 1", " and 1", "", "", " }}"},
        {"{{ x", "()", "", "", " }}"},          {"{{ x", "[0]", "", "", " }}"},
        {"{{ 1", " is defined", "", "", " }}"}, {"{{ ", "f(", "1", ")", " }}"},
        {"{{ ", "x[", "1", "]", " }}"},         {"{{ 'a'", " ~ 'b'", "", "", " }}"}};
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        struct buf source = {0}, out = {0};
        buf_add_text(&source, chains[i][0]);
        for (size_t k = 0; k < 10000; k++)
            buf_add_text(&source, chains[i][1]);
        buf_add_text(&source, chains[i][2]);
        for (size_t k = 0; k < 10000; k++)
            buf_add_text(&source, chains[i][3]);
        buf_add_text(&source, chains[i][4]);
        struct template_input in = {.source = bytes_of_buf(&source)};
        enum err err = template_render(&in, &out, NULL);
        if (err != ERR_LIMIT)
            fail_msg("%s%s...: %s", chains[i][0], chains[i][1], err_name(err));
        buf_clear(&source);
        buf_clear(&out);
    }
}

static void checks_without_running(void **state)
{
    (void)state;
    struct note note = {{0}};
    assert_int_equal(template_check(bytes_of_text("{{ nope() }}"), &note), ERR_OK);
    assert_int_equal(template_check(bytes_of_text("{{ nope( }}"), &note), ERR_FORMAT);
    assert_int_equal(template_check(bytes_of_text(""), &note), ERR_OK);
    struct buf big = {0};
    while (big.n <= TEMPLATE_BYTES_MAX)
        buf_add_text(&big, "xxxxxxxxxxxxxxxx");
    assert_int_equal(template_check(bytes_of_buf(&big), &note), ERR_LIMIT);
    buf_clear(&big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_what_the_reference_prints),
        cmocka_unit_test(published_template),
        cmocka_unit_test(clock_is_an_input),
        cmocka_unit_test(hostile_templates_end),
        cmocka_unit_test(deep_templates_end),
        cmocka_unit_test(checks_without_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

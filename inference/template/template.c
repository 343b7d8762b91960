/* Chat templates: sets the interpreter up with its input, and keeps its limits. */
#include "inference/template/template.h"

#include "inference/template/jinja.h"

/* The variables that published templates expect. */
static void define_input(struct jinja *j, const struct template_input *in, struct jinja_frame *frame)
{
    if (!frame)
        return;
    jinja_functions(j, frame);
    jinja_frame_put(j, frame, "messages", jinja_from_json(j, in->messages));
    if (in->tools)
        jinja_frame_put(j, frame, "tools", jinja_from_json(j, in->tools));
    else
        jinja_frame_put(j, frame, "tools", jinja_none());
    jinja_frame_put(j, frame, "documents", jinja_none());
    jinja_frame_put(j, frame, "add_generation_prompt", jinja_flag(in->add_generation_prompt));
    jinja_frame_put(j, frame, "bos_token", jinja_text(in->bos));
    jinja_frame_put(j, frame, "eos_token", jinja_text(in->eos));
    struct jinja_value more = jinja_from_json(j, in->variables);
    for (size_t i = 0; more.kind == JINJA_DICT && i < more.dict->n; i++)
        jinja_dict_put(j, frame->names, more.dict->items[i].key, more.dict->items[i].value);
}

enum err template_render(const struct template_input *input, struct buf *out, struct note *note)
{
    struct buf text = {0};
    struct jinja j = {.note = note, .out = &text, .clock_s = input->clock_s};
    struct jinja_tokens tokens;
    jinja_lex(&j, input->source, &tokens);
    const struct jinja_node *body = jinja_parse(&j, &tokens);
    struct jinja_frame *frame = jinja_frame_new(&j, NULL);
    define_input(&j, input, frame);
    /* What the template defines must not be looked up among the input's many names first. */
    jinja_run(&j, body, jinja_frame_new(&j, frame));
    if (j.err == ERR_OK)
        buf_add(out, text.p, text.n);
    buf_clear(&text);
    jinja_clear(&j);
    return j.err;
}

enum err template_check(struct bytes source, struct note *note)
{
    struct jinja j = {.note = note};
    struct jinja_tokens tokens;
    jinja_lex(&j, source, &tokens);
    (void)jinja_parse(&j, &tokens);
    jinja_clear(&j);
    return j.err;
}

/* Calls of tools in answers, each form as the models that were trained on it write it (enum call_form). Pure. */
#ifndef KITH_NODE_API_TOOL_FORMS_H
#define KITH_NODE_API_TOOL_FORMS_H

#include "base/answer_form.h"
#include "node/api/tool_text.h"

/* The calls of one reading: of which tools, and what was found so far, as tool_calls_find has it. */
struct tool_finds {
    const json_t *tools;
    json_t *calls;
};

/* Takes all calls off a text that begins with the form's mark. True where nothing is left; else it is no call. */
bool tool_form_take(enum call_form form, struct tool_finds *f, struct rest *r);
/* The same of a text that no mark tells: JSON, a list of it, a list of calls in Python's words, names with JSON. */
bool tool_form_take_bare(struct tool_finds *f, struct rest *r);

/* A tool's name as the list has it, or NULL; and the name of a tool of the list. */
const char *tool_known_name(const json_t *tools, struct bytes name);
const char *tool_name_of(const json_t *tool);
/* Adds a call with arguments that are an object, the text of one, or none at all (NULL). */
bool tool_add_call(struct tool_finds *f, struct bytes name, const json_t *arguments);

#endif

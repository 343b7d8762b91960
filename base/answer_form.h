/* How the answers of a model are written: which marks stand around a thought (base/thought.h) and in front of calls of
 * tools. A vocabulary and a template show it (inference/template/answer_form.h); who tells an answer to people reads it
 * by that.
 *
 * Some marks are control tokens, which leave no text: stop texts, digests and transcripts know nothing of them. They
 * travel beside the text, each with the number of the token that it is, and are put back where an answer is split. */
#ifndef KITH_BASE_ANSWER_FORM_H
#define KITH_BASE_ANSWER_FORM_H

#include "base/thought.h"

/* By what stands in front of a call, or of several: call_form_mark. */
enum call_form {
    CALL_TAGGED,    /* <tool_call>: JSON, parameters in tags, or keys and values in tags */
    CALL_BRACKET,   /* [TOOL_CALLS]: a list of JSON, or a name and JSON */
    CALL_FUNCTION,  /* <function=NAME>: parameters in tags, or JSON */
    CALL_ELEMENT,   /* <function name="NAME">: the same */
    CALL_SEED,      /* <seed:tool_call>: the same within */
    CALL_INVOKE,    /* <minimax:tool_call>: <invoke name=..> with parameters in tags */
    CALL_DSML,      /* <｜DSML｜function_calls>: the same, each tag with that prefix */
    CALL_DSML_TOOL, /* <｜DSML｜tool_calls>: the same */
    CALL_DEEPSEEK,  /* <｜tool▁calls▁begin｜>: names and JSON between marks */
    CALL_KIMI,      /* <|tool_calls_section_begin|>: ids that have the name, and JSON, between marks */
    CALL_PYTHON,    /* <|tool_call_start|>: a list of calls as Python writes them */
    CALL_GRANITE,   /* <|tool_call|>: JSON */
    CALL_ACTION,    /* <|START_ACTION|>: a list of JSON */
    CALL_TOOLCALL,  /* <TOOLCALL>: a list of JSON */
    CALL_SECTION,   /* <tool_calls>: JSON, or <tool_call> within */
    CALL_PREFIX,    /* <|tools_prefix|>: a list of {NAME: arguments} */
    CALL_GIGA,      /* <|function_call|>: JSON */
    CALL_GEMMA,     /* <|tool_call>: call:NAME{..} with marks for quotes */
    CALL_ALL,       /* >>>: a name, a line's end and JSON, as what is said has `all` */
    CALL_FORMS
};
const char *call_form_mark(enum call_form form);

struct answer_form {
    struct thought_form thought;
    uint32_t calls; /* bit i: enum call_form i */
};
/* What was read before there were more: of a model that shows nothing. */
#define ANSWER_FORM_PLAIN (1u << CALL_TAGGED | 1u << CALL_BRACKET)

/* Whether a control token that is spelled so is a mark of a thought or of a call. */
bool answer_form_is_mark(struct bytes text);

/* -- marks beside a text: u32 number of the token, u8 length, text, each; by rising numbers -- */
#define ANSWER_MARK_MAX 64
/* Texts that are no mark are left out. */
void answer_marks_add(struct buf *marks, uint32_t token, struct bytes text);
/* Where each token of a text ends, u32 little-endian each, and the marks among them: appends the text with the marks in
 * it, and (`ends` not NULL) where each token ends then. What lies behind the end of the text is left out. */
void answer_marks_join(struct bytes text, struct bytes reaches, struct bytes marks, struct buf *out, struct buf *ends);

#endif

/* A chat as OpenAI's clients send it, through a template that was written for another form of it.
 *
 * Templates are written for messages whose `content` is a text and whose calls' `arguments` are an object, with no
 * role but system, user, assistant and tool; clients send lists of text parts, arguments as a text of JSON, null for no
 * content, `reasoning_content` where some have `thinking`, `reasoning` or a part of the content, and `developer`. An
 * answer in parts (base/harmony.h) may come back as it was written: its `content` is what was said then, its `thinking`
 * what was thought. Some templates know one form only. So a chat is rendered in the form that most are written for, and
 * where the template fails on that, in the next: a function of template and chat alone. */
#ifndef KITH_INFERENCE_CHAT_H
#define KITH_INFERENCE_CHAT_H

#include "inference/template/template.h"

enum chat_form {
    CHAT_OBJECTS, /* text parts joined by newlines; arguments as objects; developer as system */
    CHAT_FILLED,  /* the same, and an empty text where there is no content; tools have parameters and a description */
    CHAT_TEXTS,   /* the same, but arguments as texts */
    CHAT_AS_SENT,
    CHAT_SPELLED, /* filled, and all parameters have a description, no tools are an empty list, and the variables
                     `functions` and `datetime` say what tools there are and how late it is */
    CHAT_FORMS
};

/* A new list of messages in that form (json_decref). What is no message stays as it is. */
json_t *chat_convert(const json_t *messages, enum chat_form form);
/* template_render with the first form that the template does not fail on, and with CHAT_FILLED also where it would
 * print that a message has no content. What the template itself refuses (raise_exception) is final, but where it speaks
 * of the system and takes what that says in front of the user's words; limits are final. On failure the note is of the
 * first form. */
enum err chat_render(const struct template_input *input, struct buf *out, struct note *note) MUST_USE;
/* Ends a prompt so that what follows is said and nothing else, as an answer that keeps to a schema is: in channels
 * (tok_has_channels) with the head of the final one, or with that of a call of `function` where there is one; a thought
 * that the template left open is closed, empty. True: `function` is called, and what follows are its arguments. */
bool chat_begin(struct buf *prompt, bool has_channels, const char *function);

#endif

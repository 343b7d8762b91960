/* Answers of OpenAI's API while they come: the way of a request (api_openai.c), and the forms in which it is told:
 * chats and completions (api_openai_chat.c), responses (api_openai_response.c). */
#ifndef KITH_NODE_API_OPENAI_ANSWER_H
#define KITH_NODE_API_OPENAI_ANSWER_H

#include "node/api/answer_parts.h"
#include "node/api/api_openai.h"

struct answer;

struct choice {
    struct answer *answer;
    unsigned index;
    struct hash job;
    struct job_watch *watch;
    bool is_over, started;     /* started: the client knows of it */
    size_t sent;               /* bytes of the text that the client has */
    struct buf marked;         /* the text with its marks, where there are any */
    struct answer_parts parts; /* of a chat or a response; a form sees what is said as the text */
    size_t thought_sent;
    bool thought_over; /* of a response: the client knows all that was thought in front of what is said */
    struct openai_place logprobs;
    const struct openai_told *told; /* of a completion: the prompt in front of it, or NULL */
    json_t *calls;                  /* of the whole answer, once it is over */
    struct buf json;                /* of a whole answer's choice that is over */
};

/* What one request is answered with. */
struct answer {
    const struct openai_form *form;
    struct node *node;
    struct http_request *request;
    bool stream, include_usage, started; /* started: the client has a status */
    bool one_call;                       /* the client takes no second */
    enum openai_thoughts thoughts;
    char *model;
    json_t *tools; /* that the answer may call, or NULL */
    struct choice *choice;
    unsigned n, over_n;
    struct openai_told *told; /* [told_n] prompts that are told again */
    unsigned told_n, logprobs_each;
    struct {
        uint64_t prompt, written, cached, thought; /* tokens of the choices that are over */
    } usage;
    struct buf kith; /* of a whole answer's first choice */
    struct buf echo; /* of a response: see struct openai_ask */
    uint64_t events; /* of a response that were sent */
};

struct openai_form {
    unsigned kind;      /* OPENAI_CHAT and its kin */
    const char *prompt; /* the field that it is in */
    enum err (*read)(json_t *body, struct openai_ask *a, struct note *note);
    /* A stream: what the client misses of a choice, of whose text it may have `ready` bytes; what stands behind all
     * of them; that a job broke. False when the client is too slow and the stream must end. */
    bool (*send)(struct choice *c, const struct job_view *v, size_t ready);
    bool (*send_end)(struct answer *a, const struct job_view *v);
    bool (*send_error)(struct answer *a, const struct job_view *v);
    /* A whole answer: a choice that is over, and, when all are, what the client gets. */
    void (*put_choice)(struct choice *c, const struct job_view *v);
    void (*put_whole)(struct buf *b, const struct answer *a, uint64_t made_ms);
};
extern const struct openai_form openai_form_chat, openai_form_completion, openai_form_response;

/* -- for the forms -- */
/* As OpenAI calls it. */
const char *openai_finish_reason(const struct choice *c, const struct job_view *v);
/* ,"kith":{..} */
void openai_put_kith(struct buf *b, const struct job_view *v);
/* Bytes of the text that are for people as far as can be known; finds the calls of an answer that is over. */
size_t openai_text_ready(struct choice *c, const struct job_view *v);
/* How many of its tokens are part of the answer: the last one waits for what follows it, since one that only ends the
 * answer is not. */
uint32_t openai_tokens_told(const struct job_view *v);

/* api_openai_echo.c: a completion of which more is asked than jobs answer: reads the prompts, then answers or goes on
 * with openai_go_take. All three are taken. */
void openai_echo_take(struct answer *a, struct openai_ask *ask, json_t *body);

/* -- api_openai.c, for those who begin answers elsewhere -- */
/* Its jobs are made, and it is answered as they come. `ask` and `body` are taken, too. */
void openai_go_take(struct answer *a, struct openai_ask *ask, json_t *body);
/* Before it has jobs. */
void openai_answer_free(struct answer *a);
/* The client has a status, of a stream. */
void openai_start_stream(struct answer *a);

/* api_openai_response.c: the events that a client misses of a response, of whose text it may have `ready` bytes. */
void openai_put_response_events(struct buf *b, struct choice *c, const struct job_view *v, size_t ready);

#endif

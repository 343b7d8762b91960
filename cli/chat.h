/* A conversation on the terminal, or one question with -m; whoever answers, a daemon or a worker of our own,
 * is behind one function. */
#ifndef KITH_CLI_CHAT_H
#define KITH_CLI_CHAT_H

#include "base/json.h"
#include "cli/cli.h"

struct chat_answer {
    struct buf thought, said; /* what chat_put was given */
    bool is_shown, thinks;    /* something is, and the last of it was a thought */
    json_t *facts;            /* tokens_in, tokens_out, stop...: members for --json and the closing line; an object */
};

/* Answers the messages (OpenAI's form: role and content), calling chat_put as text comes. A cli_exit; on failure it
 * has said why. CLI_DONE with less text than asked for is right when the person broke off. */
typedef int (*chat_ask_fn)(void *arg, const json_t *messages, struct chat_answer *out);

/* Keeps what more was thought and said, and shows it at once to people: thoughts on a terminal only, and dimmed, since
 * what goes to a file or another program is the answer. */
void chat_put(const struct cli *cli, struct chat_answer *out, struct bytes thought, struct bytes said);
void chat_answer_clear(struct chat_answer *out);
/* Reads `message` (of -m) and `system` of the command's options and asks until the person ends it. */
int chat_run(const struct cli *cli, const struct args *args, chat_ask_fn ask, void *arg);
/* The end of one answer: newline and closing line for people, all of it as JSON otherwise. Clears *out. */
void chat_finish(const struct cli *cli, struct chat_answer *out, bool as_json);
/* How much the model is to think, as --effort and --no-think say; NULL: as it likes. */
const char *chat_effort(const struct args *args);

#endif

/* Inside the light client: light.c connects, follows and compares, light_show.c asks and shows. Nobody else includes
 * it. */
#ifndef KITH_CLI_LIGHT_IN_H
#define KITH_CLI_LIGHT_IN_H

#include "base/json.h"
#include "chain/light.h"
#include "cli/cli.h"

#define PEERS_ASKED 16

struct session {
    const struct cli *cli;
    struct genesis genesis;
    struct buf room;
    struct hash chain;
    struct light *base, *light; /* what was trusted at the start, and what is now */
    struct cli peers[PEERS_ASKED];
    unsigned peers_n, primary;
};

struct record {
    bool found;
    struct buf value;
};

/* light.c. A path of the peer's API; *reply is an object, and the caller's, where it is ERR_OK. */
enum err light_ask(const struct cli *peer, json_t **reply, struct note *note, const char *format, ...)
    PRINTF_LIKE(4, 5) MUST_USE;
/* The bytes of a member of hexadecimal digits, appended. */
bool light_get_bytes(const json_t *object, const char *name, struct buf *out) MUST_USE;
/* What the state has under class and key, proven by this peer. */
enum err light_ask_record(struct session *s, const struct cli *peer, const char *class_name, enum state_class cls,
                          struct bytes key, struct record *out, struct note *note) MUST_USE;
typedef enum err (*question_fn)(struct session *s, const struct cli *peer, void *arg, struct note *note);
/* Asks peer after peer until one proves it, then compares with the others: an exit status. */
int light_question(struct session *s, question_fn fn, void *arg);

/* light_show.c: the commands. */
int light_run_info(struct session *s, const struct args *args);
int light_run_balance(struct session *s, const struct args *args);
int light_run_model(struct session *s, const struct args *args);
int light_run_receipt(struct session *s, const struct args *args);
int light_run_proof(struct session *s, const struct args *args);

#endif

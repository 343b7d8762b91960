/* Talking to kithd: JSON over HTTP/1.1, through the Unix socket in its home (which knows its callers by
 * their user id) or through --url. Blocking; one connection a request. docs/api.md says what is spoken.
 */
#ifndef KITH_CLI_CLIENT_H
#define KITH_CLI_CLIENT_H

#include "base/json.h"
#include "cli/cli.h"

#define CLIENT_TIMEOUT_MS 30000

/* ERR_NOT_FOUND when no daemon answers, ERR_CLOSED when the connection broke, ERR_TIMEOUT, ERR_PROTOCOL. Otherwise
 * ERR_OK with the HTTP status and the body's JSON (NULL if it had none), also for a refusal. `body` may be NULL. */
enum err client_try(const struct cli *cli, const char *method, const char *path, const json_t *body,
                    uint64_t timeout_ms, int *status, json_t **reply, struct note *note) MUST_USE;
/* True if a daemon answers. */
bool client_is_reachable(const struct cli *cli);

/* The same for commands: 0 and *reply (the caller's), or a cli_exit after having said why. `body` is taken. */
int client_post_take(const struct cli *cli, const char *path, json_t *body, json_t **reply);
int client_get(const struct cli *cli, json_t **reply, const char *path_format, ...) PRINTF_LIKE(3, 4);
/* The same for an answer of bytes, appended to `out`. */
int client_get_bytes(const struct cli *cli, struct buf *out, const char *path_format, ...) PRINTF_LIKE(3, 4);
/* As client_get, waiting longer than usual for an endpoint that answers late. */
int client_get_patiently(const struct cli *cli, uint64_t timeout_ms, json_t **reply, const char *path);
/* What a failed client_try means for the process. */
int client_fail(const struct cli *cli, enum err e, const struct note *note);
/* Says the error of a refusal with its status, and returns the exit. */
int client_refusal(const struct cli *cli, int status, const json_t *reply);

/* A stream of server-sent events. */
struct client_stream;
/* As client_try; *out is NULL and *reply set when the status is not 200. `last_id`: of an earlier one, to go on behind
 * it; or NULL. */
enum err client_stream_open(const struct cli *cli, const char *path, const char *last_id, struct client_stream **out,
                            int *status, json_t **reply, struct note *note) MUST_USE;
/* Waits for the next event: its name and its data as JSON (the caller's). ERR_TIMEOUT when nothing came for that
 * long, not even a sign of life, ERR_CANCELLED on an interrupt that is watched for, ERR_CLOSED at the end or when the
 * connection broke. */
enum err client_stream_next(struct client_stream *s, uint64_t timeout_ms, char name[32], json_t **data,
                            struct note *note) MUST_USE;
/* How far it came; "" where it says no ids. Borrowed. */
const char *client_stream_id(const struct client_stream *s);
void client_stream_close(struct client_stream *s);

/* Between these, Ctrl-C ends the wait for an answer with ERR_CANCELLED instead of the process. */
void client_watch_interrupt(void);
void client_unwatch_interrupt(void);

#endif

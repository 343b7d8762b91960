/* What takes long and answers 202: imports, pulls, replays. In memory; a task that is over is kept for
 * TASKS_MAX others. Whoever waits holds an HTTP request here until there is news. */
#ifndef KITH_NODE_TASKS_H
#define KITH_NODE_TASKS_H

#include "base/hash.h"
#include "node/http/http.h"

struct tasks;
struct task;

struct tasks *tasks_new(struct host *host);
void tasks_free(struct tasks *t);

/* `kind` is a literal. The task is running until it is finished or failed, which exactly one of happens. */
struct task *task_new(struct tasks *t, const char *kind);
/* Whose it is; the node's own user's, whose hash is zero, unless given. */
void task_give(struct task *t, struct hash owner);
struct hash task_owner(const struct task *t);
uint64_t task_number(const struct task *t);
void task_progress(struct task *t, uint64_t done, uint64_t total);
/* For people: what it waits for; "" for nothing. */
void task_say(struct task *t, const char *what);
/* How it is cancelled, by whoever asks; `fn` sees to it that it fails. NULL: it cannot be any more. */
void task_on_cancel(struct task *t, void (*fn)(void *arg), void *arg);
/* ERR_STATE: it is over, or nothing that can be cancelled. */
enum err task_cancel(struct task *t) MUST_USE;
/* `result`: one JSON object. */
void task_finish(struct task *t, struct bytes result);
void task_fail(struct task *t, enum err e, const struct note *note);
/* One who hears of every task: when it is accepted, and is over. Within the call that changes it. NULL: nobody. */
typedef void (*task_fn)(void *arg, const struct task *t);
void tasks_on_change(struct tasks *t, task_fn fn, void *arg);
/* The members of an object, without its braces: which task, its kind and state, and its error. */
void task_put_state(const struct task *t, struct buf *b);
/* False if there is no such task (any more). */
struct task *task_find(struct tasks *t, uint64_t number);
/* Answers now or within wait_ms, when the state changes, and at least once a second of progress. */
void task_answer(struct task *t, struct http_request *r, uint64_t wait_ms);
/* 202 {"task":"N"} */
void task_accepted(struct task *t, struct http_request *r);

#endif

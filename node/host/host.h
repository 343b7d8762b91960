/* The outside world, as the daemon sees it: time, chance, the machine, timers, threads, file descriptors and
 * files. Two implementations: host_uv.c for the real thing, a simulator's for tests. Whatever a module
 * takes from here a run can repeat, and whatever it writes through here a test can tear.
 *
 * All calls are made on the loop's thread, and all callbacks come on it, except `work` of a
 * submitted job. No callback comes before the call that asked for it has returned.
 */
#ifndef KITH_NODE_HOST_H
#define KITH_NODE_HOST_H

#include "base/bytes.h"
#include "node/host/machine.h"
#include "node/host/timer.h"

struct host;
struct host_file; /* an open file */

typedef void (*host_fn)(void *arg);
typedef void (*host_poll_fn)(void *arg, int fd, unsigned events);
typedef void (*host_name_fn)(void *arg, const char *name);

#define HOST_READABLE 1u
#define HOST_WRITABLE 2u
#define HOST_HANGUP   4u /* the other side sends no more, or is gone */

/* Ways to open a file. */
enum host_open {
    HOST_READ,  /* must exist */
    HOST_WRITE, /* read and write at any offset; made (0600) if absent */
    HOST_APPEND /* host_file_append; made (0600) if absent */
};

struct host_ops {
    uint64_t (*now_ms)(struct host *);
    uint64_t (*wall_ms)(struct host *);
    void (*random)(struct host *, void *p, size_t n);
    void (*machine)(struct host *, struct machine *out);
    void (*timer_set)(struct host *, struct timer *t, uint64_t delay_ms, timer_fn fn, void *arg);
    void (*timer_cancel)(struct host *, struct timer *t);
    void (*post)(struct host *, host_fn fn, void *arg);
    void (*submit)(struct host *, host_fn work, host_fn done, void *arg);
    enum err (*poll_set)(struct host *, int fd, unsigned events, host_poll_fn fn, void *arg);
    void (*poll_cancel)(struct host *, int fd);

    enum err (*read)(struct host *, const char *path, size_t max, struct buf *out, struct note *);
    enum err (*write)(struct host *, const char *path, unsigned mode, struct bytes content, struct note *);
    enum err (*rename)(struct host *, const char *from, const char *to, struct note *);
    enum err (*remove)(struct host *, const char *path, struct note *);
    enum err (*make_dir)(struct host *, const char *path, struct note *);
    enum err (*list)(struct host *, const char *dir, host_name_fn fn, void *arg, struct note *);
    enum err (*open)(struct host *, const char *path, enum host_open how, struct host_file **out, struct note *);
    void (*close)(struct host_file *);
    enum err (*get)(struct host_file *, uint64_t at, void *p, size_t n);
    enum err (*put)(struct host_file *, uint64_t at, const void *p, size_t n);
    enum err (*append)(struct host_file *, const void *p, size_t n);
    enum err (*sync)(struct host_file *);
    enum err (*cut)(struct host_file *, uint64_t size);
    uint64_t (*size)(struct host_file *);
};

/* An implementation has this as its first member. */
struct host {
    const struct host_ops *ops;
};
/* The same for its files. */
struct host_file {
    const struct host_ops *ops;
};

/* Monotonic milliseconds (timeouts) and milliseconds since 1970 (block times, logs). */
uint64_t host_now_ms(struct host *h);
uint64_t host_wall_ms(struct host *h);
void host_random(struct host *h, void *p, size_t n);
/* What the rules for lending ask of the machine. Takes milliseconds; alone of all calls it may be made by the `work` of
 * a submitted job. */
void host_machine(struct host *h, struct machine *out);

/* The timer is a member of whoever uses it (node/host/timer.h) and zeroed before its first use. Setting one that
 * is set moves it. It fires once; fn may set it again. Cancel it before its memory goes. */
void host_timer_set(struct host *h, struct timer *t, uint64_t delay_ms, timer_fn fn, void *arg);
void host_timer_cancel(struct host *h, struct timer *t);

/* fn in the loop's next turn. */
void host_post(struct host *h, host_fn fn, void *arg);
/* `work` on a thread of the pool, then `done` on the loop. `work` must touch nothing that the loop touches. */
void host_submit(struct host *h, host_fn work, host_fn done, void *arg);

/* Calls fn whenever the descriptor is ready; setting again replaces. The descriptor stays the
 * caller's, who cancels before closing it. */
enum err host_poll_set(struct host *h, int fd, unsigned events, host_poll_fn fn, void *arg) MUST_USE;
void host_poll_cancel(struct host *h, int fd);

/* -- files; every failure names the path and the reason in the note (which may be NULL) -- */

/* Whole files: reading at most `max` bytes; writing replaces at once and is synced, name included. */
enum err host_read(struct host *h, const char *path, size_t max, struct buf *out, struct note *note) MUST_USE;
enum err host_write(struct host *h, const char *path, unsigned mode, struct bytes content, struct note *note) MUST_USE;
/* Both sync the directory. Removing what is not there is fine. */
enum err host_rename(struct host *h, const char *from, const char *to, struct note *note) MUST_USE;
enum err host_remove(struct host *h, const char *path, struct note *note) MUST_USE;
/* With those above it, 0700; an existing one is fine. */
enum err host_make_dir(struct host *h, const char *path, struct note *note) MUST_USE;
/* Every name in it except "." and "..", in byte order. */
enum err host_list(struct host *h, const char *dir, host_name_fn fn, void *arg, struct note *note) MUST_USE;

enum err host_file_open(struct host *h, const char *path, enum host_open how, struct host_file **out,
                        struct note *note) MUST_USE;
/* NULL is fine. */
void host_file_close(struct host_file *f);
/* Exactly n bytes or an error; reading behind the end is ERR_RANGE. ERR_FULL when the disk is. */
enum err host_file_get(struct host_file *f, uint64_t at, void *p, size_t n) MUST_USE;
enum err host_file_put(struct host_file *f, uint64_t at, const void *p, size_t n) MUST_USE;
/* At the end; after an error the tail may be torn, and host_file_cut takes it off. */
enum err host_file_append(struct host_file *f, const void *p, size_t n) MUST_USE;
enum err host_file_sync(struct host_file *f) MUST_USE;
enum err host_file_cut(struct host_file *f, uint64_t size) MUST_USE;
uint64_t host_file_size(struct host_file *f);

/* -- the real one (host_uv.c) -- */
struct uv_loop_s;
struct host *host_uv_open(struct note *note);
/* Runs until host_uv_stop. */
void host_uv_run(struct host *h);
void host_uv_stop(struct host *h);
/* Calls fn on SIGTERM and SIGINT. SIGPIPE is ignored from host_uv_open on. */
enum err host_uv_on_signal(struct host *h, host_fn fn, void *arg, struct note *note) MUST_USE;
/* For those who own libuv handles themselves (p2p/transport.c, node/worker/worker.c). They close them before
 * host_uv_close, which runs the loop until the last close callback. */
struct uv_loop_s *host_uv_loop(struct host *h);
void host_uv_close(struct host *h);
/* Runs the loop until what was submitted before is done, and what that submitted, and so on a few times. */
void host_uv_settle(struct host *h);

#endif

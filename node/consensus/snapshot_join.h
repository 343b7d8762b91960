/* Inside joining by a snapshot: snapshot_join.c chooses one, follows headers to it and drives the phases;
 * snapshot_fetch.c brings its table and its leaves. Nobody else includes it. */
#ifndef KITH_NODE_SNAPSHOT_JOIN_H
#define KITH_NODE_SNAPSHOT_JOIN_H

#include "node/consensus/snapshot_in.h"

#define RETRY_MS    10000 /* behind a failure */
#define STRIKES_MAX 3
#define FAILED_MAX  8
#define HEADERS     3 /* H, H + 1, H + 2 */

enum phase { WATCH, LIST, HEADER, TABLE, CLEAR, LEAVES, OFF };

struct source {
    struct pubkey key;
    struct snapshot_offer offers[SNAPSHOT_KEPT];
    unsigned offers_n;
    uint32_t asked; /* leaves under way */
    uint32_t strikes;
};

struct ask {
    bool is_on;
    struct pubkey from;
    uint64_t due_ms;
    uint32_t leaf;
};

struct joining {
    struct snapshots *s;
    enum phase phase;
    uint64_t at_ms; /* when the phase began, or may begin again */
    uint64_t news_ms;
    struct source sources[PEERS_MAX];
    unsigned sources_n, turn;
    struct snapshot_offer chosen;
    struct snapshot_offer failed[FAILED_MAX]; /* chosen before, and led nowhere */
    unsigned failed_n;
    struct light *light;
    struct header headers[HEADERS];
    unsigned headers_n;
    struct ask one; /* of headers and tables */
    uint64_t asked_height;
    struct snapshot_table table;
    struct valset *next, *after;
    struct ask asks[SNAPSHOT_WINDOW];
    uint32_t leaf;    /* the first that may be missing */
    uint64_t lost_ms; /* since when nobody offers the one that was begun; 0: somebody does */
    struct timer timer;
};

/* snapshot_join.c */
uint64_t joining_now_ms(const struct joining *j);
/* Nothing is under way then, and nobody has a strike. */
void joining_set_phase(struct joining *j, enum phase phase);
/* From the beginning, after a pause; `why` (may be NULL) goes to the log. */
void joining_again(struct joining *j, uint64_t pause_ms, const char *why);
/* The chosen one led nowhere: the others have their turn first. */
void joining_give_up(struct joining *j, const char *why);
/* Borrowed until a source is added or forgotten; NULL if there is none. */
struct source *joining_find_source(struct joining *j, const struct pubkey *key);
/* The next in turn that has the chosen one, fewer than asked_max leaves under way, and few strikes; NULL: nobody. */
struct source *joining_next_source(struct joining *j, uint32_t asked_max);
/* Forgets it and ends the connection, since what it sent is wrong. */
void joining_cut_off(struct joining *j, const struct pubkey *key, enum err e, const struct note *note);
/* False: it did not go out. */
bool joining_send(struct joining *j, const struct pubkey *to, enum msg_type type, struct buf *body_take);
/* What the phase does now; a timer's function, and called behind each answer. */
void joining_step(void *joining);

/* snapshot_fetch.c */
void joining_ask_table(struct joining *j);
/* Gives up the old state, or finds that it was given up before; then LEAVES. */
void joining_begin(struct joining *j);
void joining_leaves_step(struct joining *j);
/* Handlers of messages (node/net/peers.h); the argument is the struct snapshots. */
enum err joining_on_table(void *snapshots, const struct pubkey *from, struct bytes body);
enum err joining_on_leaf(void *snapshots, const struct pubkey *from, struct bytes body);

#endif

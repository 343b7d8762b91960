/* Inside of blobs: blobs.c (the store), blobs_pull.c (fetching and serving), blobs_check.c and blobs_verify.c (reading
 * again). Nobody else includes this.
 *
 * A pull takes leaves only in a place of its own, of which there are few. It has none while nobody has the blob, and
 * gives it up for a while to others who wait:
 *
 *     asking --somebody has it--> in line --a place is free, least number first--> placed
 *        ^------ nobody has it any more ------'----------------------'              | others wait, BLOB_TURN_MS are
 * over nobody for BLOB_NOBODY_MS, and somebody waits: told so, ends      ^-----------' a new number
 *
 *     (nothing) --pull--> PART --all leaves here, root checked--> WHOLE
 *     PART at start: CHECKING (each leaf is hashed again, a few in a turn of the loop), then PART or WHOLE
 *     WHOLE at start whose stamp is another, or later with a leaf that is: becomes PART, CHECKING
 */
#ifndef KITH_NODE_BLOBS_IN_H
#define KITH_NODE_BLOBS_IN_H

#include "node/blobs/blob_disk.h"
#include "node/blobs/blobs.h"
#include "p2p/blob.h"

struct waiter {
    struct waiter *next;
    blobs_done_fn fn;
    void *arg;
};

struct item {
    struct blobs *owner;
    struct item *next;
    struct hash root;
    enum blob_kind kind;
    bool whole, checking, pulling;
    uint64_t size;
    char *path; /* of the .blob, whether or not it is there */

    struct merkle_tree *tree; /* of a whole one */
    struct host_file *file;   /* of a whole one that was read, of a part that is written */
    struct host_file *have;   /* a part's list of leaves */
    struct hash *leaves;      /* a part's, once the size is known; zero: not here */
    struct blob_fetch *fetch; /* a part's */
    uint64_t head;            /* leaves that the pull is for; 0: all */
    bool own;                 /* the pull mends what a disk damaged: it has no end */
    bool placed;              /* the pull may ask for leaves: one of BLOB_PULLS_MAX */
    uint64_t placed_ms;
    uint64_t line;     /* whose is least has the next place */
    uint64_t since_ms; /* the pull began, or was given a leaf */
    uint64_t asked_ms; /* who has it; 0: not yet */
    unsigned asked;    /* so many peers, then */
    unsigned in_vain;  /* how often since */
    uint64_t check_next;
    uint64_t kept;      /* leaves of a part at rest */
    struct timer timer; /* a pull's questions, or the next turn of a check */
    struct waiter *waiters;
};

struct blobs {
    struct host *host;
    struct peers *peers;
    char *dir[BLOB_KIND_COUNT];
    struct item *items;
    unsigned items_n;
    struct import *imports;   /* on threads */
    struct telling *tellings; /* posted */
    struct item *check_at;    /* whose leaf is read again next; NULL: none is there */
    uint64_t check_leaf;
    struct timer check_timer;
    struct verify *verifies;
    uint64_t line; /* the last number that was given */
    struct timer place_timer;
    uint64_t nobody_ms;
    blobs_damage_fn on_damage;
    void *damage_arg;
};

/* blobs.c */
struct item *blobs_item(const struct blobs *b, const struct hash *root);
/* NULL when BLOBS_MAX are there. */
struct item *blobs_item_new(struct blobs *b, enum blob_kind kind, const struct hash *root);
/* "DIR/ROOT.EXT"; the caller frees. */
char *blobs_item_path(const struct item *it, const char *ext);
/* Every leaf is here: checks the root, seals and names it. */
enum err blobs_item_finish(struct item *it, struct note *note) MUST_USE;
/* Tells everybody who waits, in the loop's next turn. */
void blobs_item_tell(struct item *it, enum err e, const struct note *note);
/* Who was to be told that left meanwhile: one of those with this fn and arg is not. */
void blobs_untell(struct blobs *b, const struct hash *root, blobs_done_fn fn, const void *arg);
void blobs_item_wait(struct item *it, blobs_done_fn fn, void *arg);
void blobs_item_remove(struct item *it);
/* A whole one becomes a part whose leaves are hashed again. */
enum err blobs_item_demote(struct item *it, struct note *note) MUST_USE;

/* blobs_pull.c */
void blobs_pull_start(struct blobs *b);
void blobs_pull_stop(struct blobs *b);
/* Opens the files of a part and hashes what is in it again. */
void blobs_part_check(struct item *it);
void blobs_part_close(struct item *it);
/* Of a whole one. */
bool blobs_item_read(void *item, uint64_t at, void *p, size_t n);

/* blobs_check.c */
void blobs_check_start(struct blobs *b);
void blobs_check_stop(struct blobs *b);
/* Of a whole one: false if the leaf is not what it should be, or cannot be read. */
bool blobs_leaf_is_right(struct item *it, uint64_t leaf);
/* Makes it a part, tells its users, and fetches what is wrong. */
void blobs_found_damaged(struct item *it, uint64_t leaf);

/* blobs_verify.c */
void blobs_verify_stop(struct blobs *b);

#endif

/* Inside the head's side of hops: what hops.c (settings, streams, the worker) and hops_check.c share. */
#ifndef KITH_NODE_HOPS_IN_H
#define KITH_NODE_HOPS_IN_H

#include "node/hops/hops.h"

enum span_state { SPAN_REST, SPAN_GATHERING, SPAN_TOGETHER, SPAN_ALONE };

struct span;
struct hops_check; /* hops_check.c */

struct span_hop {
    struct span *span;
    struct hop_place place;
    struct hop_link *link;
};

/* A model of which some layers are elsewhere. */
struct span {
    struct span *next;
    struct hops *hops;
    struct hash model;
    struct span_hop hop[HOPS_MAX]; /* in the order of the layers */
    unsigned n;
    uint64_t bytes; /* of the file that these layers are */
    enum span_state state;
    struct worker *worker; /* NULL in REST */
    uint64_t since_ms;     /* GATHERING */
    struct timer timer;    /* looks at what there is to do */
    int asked;             /* hop whose answer the worker waits for; -1: none */
    struct buf cut;        /* as worker_cut has it */
};

struct hops {
    struct hops_options o;
    char *home;
    struct hops_settings settings;
    struct span *spans;
    struct hops_check *check; /* at most one at a time */
};

/* hops.c */
struct span *hops_find(const struct hops *h, const struct hash *model);

/* hops_check.c: what the hops of a model that is being checked are asked, and say. */
void hops_check_call(struct hops_check *c, const struct span *s, unsigned hop, struct bytes call);
void hops_check_answer(struct hops_check *c, const struct span *s, unsigned hop, const struct hop_statement *statement);
/* The settings of the model changed. */
void hops_check_drop(struct hops *h, const struct hash *model);
/* All ends; nobody is told. */
void hops_check_close(struct hops *h);

#endif

/* A node's store: chain/kv_mem.c, which loses unsynced writes at a power cut, behind faults and the node's death. */
#ifndef KITH_TESTS_SIM_STORE_H
#define KITH_TESTS_SIM_STORE_H

#include "chain/kv.h"

struct sim_node;
struct sim_store;

struct sim_store *store_new(struct sim_node *node);
void store_free(struct sim_store *s);
/* For the node; closing it leaves the content. */
struct kv *store_kv(struct sim_store *s);
/* For checkers: without faults, whatever became of the node. */
struct kv *store_content(struct sim_store *s);
/* The next n writes fail. */
void store_fail(struct sim_store *s, unsigned n);
void store_crash(struct sim_store *s);

#endif

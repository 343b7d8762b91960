/* What a GGUF file says of itself, as a publish record needs it. Reading takes as long as hashing the file,
 * so it is work for a thread. */
#ifndef KITH_NODE_MODEL_FACTS_H
#define KITH_NODE_MODEL_FACTS_H

#include "base/hash.h"

struct model_facts {
    char *path; /* owned; set before reading */
    enum err e; /* of the reading, with its note */
    struct note note;
    struct hash root;
    uint64_t size, parameters;
    uint32_t context;
    char name[65], architecture[65], format[65];
    bool is_adapted;
    struct hash base; /* of an adapted model: what it says it was made of */
    struct hash tensors_root;
    struct buf tensors; /* 32 bytes each, in the order of the file */
};

void model_facts_read(struct model_facts *f);
/* Whether it can be a model at all: a regular file that begins like one. */
enum err model_facts_peek(const char *path, struct note *note) MUST_USE;
/* What its head alone says: what the model is, and how many tokens it attends to, 0 where it does not say. */
struct model_brief {
    char architecture[65], format[65];
    uint32_t context;
};
/* Maps the file and reads its head; empty where that cannot be done. */
void model_brief_read(const char *path, struct model_brief *out);
/* How many layers the model of that file has, and how many bytes of the file are layers [first, end). Maps the file and
 * reads its head. */
enum err model_layers_read(const char *path, uint32_t first, uint32_t end, uint32_t *layers, uint64_t *bytes,
                           struct note *note) MUST_USE;
void model_facts_clear(struct model_facts *f);
/* A read-only descriptor of the file. */
enum err model_facts_open(const struct model_facts *f, int *fd, struct note *note) MUST_USE;
/* One object, as docs/api.md has it for an import. */
void model_facts_json(struct buf *b, const struct model_facts *f);

#endif

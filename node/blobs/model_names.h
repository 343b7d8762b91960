/* What models are called on this machine: 'n' root -> text64 in the market's store. A name is of one model; a model has
 * one name here, beside the one under which it is published. */
#ifndef KITH_NODE_MODEL_NAMES_H
#define KITH_NODE_MODEL_NAMES_H

#include "base/codec.h"
#include "chain/kv.h"

struct model_names;

enum err model_names_open(struct kv *kv, struct model_names **out, struct note *note) MUST_USE;
/* NULL is fine. */
void model_names_close(struct model_names *n);

/* "" if it has none. */
const char *model_names_of(const struct model_names *n, const struct hash *root);
/* False if no model is called so. */
bool model_names_find(const struct model_names *n, const char *name, struct hash *root);
/* ERR_FORMAT: no text64, empty, or what stands for something else: "default", a root. */
enum err model_names_check(const char *name, struct note *note) MUST_USE;
/* On the disk when it returns ERR_OK; whatever was called so is not any more. As model_names_check; ERR_LIMIT:
 * MODEL_NAMES_MAX have names. */
enum err model_names_set(struct model_names *n, const struct hash *root, const char *name, struct note *note) MUST_USE;
enum err model_names_remove(struct model_names *n, const struct hash *root, struct note *note) MUST_USE;

#endif

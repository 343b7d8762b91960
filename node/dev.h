/* kithd dev: one process with its own chain, rich accounts (the node's, and those of the wallet in its home), the
 * default model and the API on loopback. */
#ifndef KITH_NODE_DEV_H
#define KITH_NODE_DEV_H

#include "node/config.h"

/* Makes the home and its genesis if they are not there; with --fresh, begins a new chain first (the key stays). */
enum err dev_prepare(struct config *c, struct note *note) MUST_USE;

#endif

/* What is said of a record in the market's store that does not decode. */
#ifndef KITH_NODE_STORED_H
#define KITH_NODE_STORED_H

#include "base/bytes.h"
#include "base/err.h"

/* ERR_CORRUPT with a note: what it is, where, what that means and what helps. `what`: "job"; `id`: by which it is
 * found, its first bytes are shown. */
enum err stored_broken(struct note *note, const char *what, struct bytes id);

#endif

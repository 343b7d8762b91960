/* The node's directory: made at the first start, locked while a kithd runs in it, with the node's key. */
#ifndef KITH_NODE_HOME_H
#define KITH_NODE_HOME_H

#include "base/key.h"
#include "node/config.h"

/* Makes HOME (0700) if need be and locks it; *lock_fd is to be kept open. ERR_BUSY with a clear line when another
 * kithd runs there. */
enum err home_open(const struct config *c, int *lock_fd, struct note *note) MUST_USE;
void home_close(int lock_fd);
/* HOME/node.key, made (0600) at the first start; refused when others could read it, or when a disk changed it. *secret
 * is as key_derive leaves it. */
enum err home_key(const struct config *c, struct seckey *secret, struct pubkey *id, struct note *note) MUST_USE;
/* HOME/genesis.json: kept there from --genesis at the first start; a different one later is ERR_CHAIN.
 * *path is the caller's to free. */
enum err home_genesis(const struct config *c, char **path, struct note *note) MUST_USE;

#endif

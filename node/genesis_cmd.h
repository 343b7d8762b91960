/* `kithd genesis`: writes the file that a chain begins with. */
#ifndef KITH_NODE_GENESIS_CMD_H
#define KITH_NODE_GENESIS_CMD_H

#include "base/err.h"

/* --out FILE --chain NAME --validator KEY:STAKE... --account KEY:AMOUNT... [--time MS] [--lasting]
 * KEY is an address or 64 hexadecimal digits, amounts are KITH. A private network (windows of seconds, addresses
 * kithdev1...) unless --lasting is given. Prints the chain's id. ERR_USAGE with a note for wrong words. */
enum err genesis_cmd(int words_n, char **words, struct note *note) MUST_USE;

#endif

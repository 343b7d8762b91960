/* Planted jobs on this machine: the file that `plant` names, and what it makes of a job. Lines of the file:
 *
 *     key HEX      a secret that the paying node and the providing node share; 64 digits
 *     payer HEX    a node's key, whose jobs this node answers with a planted digest, as their provider; repeatable
 *
 * What is planted follows from secret and job, so nothing is kept: the payer's node sees of a receipt whether it is
 * planted, and whoever lacks the secret does not. docs/market.md says what it is for. */
#ifndef KITH_NODE_PLANT_H
#define KITH_NODE_PLANT_H

#include "base/limits.h"
#include "chain/market_records.h"

struct planting {
    uint8_t key[32];
    struct pubkey payer[PLANT_PAYERS_MAX];
    unsigned payers;
};

enum err planting_read(const char *path, struct planting *out, struct note *note) MUST_USE;
/* `p` may be NULL: nothing is planted. */
bool planting_for(const struct planting *p, const struct pubkey *payer);
struct hash planting_secret(const struct planting *p, const struct hash *job);
struct hash planting_salt(const struct planting *p, const struct hash *job);
bool planting_made(const struct planting *p, const struct receipt *r);

#endif

/* Signature checks are remembered: the nodes of one process ask for the same ones. The answers are libsecp256k1's, each
 * computed once; only where node processor time is charged (charge.c) does it matter who asked. */
#include "base/hash.h"
#include "base/key.h"
#include "base/mem.h"
#include "tests/sim/sim.h"

#include <string.h>

#define SLOTS 65536

struct known {
    struct hash of; /* key, hash and signature; zero: free */
    bool is_good;
};
static struct known known[SLOTS];

bool __real_key_verify_hash(const struct pubkey *public, const struct hash *hash, const struct sig *sig) MUST_USE;
bool __wrap_key_verify_hash(const struct pubkey *public, const struct hash *hash, const struct sig *sig) MUST_USE;

bool __wrap_key_verify_hash(const struct pubkey *public, const struct hash *hash, const struct sig *sig)
{
    uint8_t all[32 + 32 + 64];
    memcpy(all, public->b, 32);
    memcpy(all + 32, hash->b, 32);
    memcpy(all + 64, sig->b, 64);
    struct hash of = hash_once(HASH_FILE, all, sizeof all);
    struct known *k = &known[load_le32(of.b) % SLOTS];
    if (!hash_equal(&k->of, &of)) {
        k->is_good = __real_key_verify_hash(public, hash, sig);
        k->of = of;
    }
    return k->is_good;
}

/* Messages between nodes about blocks, proposals and snapshots, and the index of a snapshot on disk: the first byte
 * chooses one. What decodes is encoded to the same bytes, and decoding that gives an equal record. */
#include "node/consensus/consensus_in.h"
#include "node/consensus/snapshot_in.h"
#include "node/consensus/sync.h"
#include "tests/fuzz/record.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS(R)                                                                                                     \
    R(status)                                                                                                          \
    R(proposal)                                                                                                        \
    R(proposed)                                                                                                        \
    R(short_proposal)                                                                                                  \
    R(proposal_ask)                                                                                                    \
    R(block_get)                                                                                                       \
    R(block_answer)                                                                                                    \
    R(light_answer)                                                                                                    \
    R(snapshot_offer)                                                                                                  \
    R(snapshot_ask)                                                                                                    \
    R(snapshot_table_answer)                                                                                           \
    R(snapshot_leaf_ask)                                                                                               \
    R(snapshot_leaf_answer)                                                                                            \
    R(snapshot_slot)                                                                                                   \
    R(snapshot_index)                                                                                                  \
    R(proposal_told)                                                                                                   \
    R(proposal_txs)                                                                                                    \
    R(ballot)

RECORDS(FUZZ_RECORD)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bytes) = {
#define R(name) try_##name,
        RECORDS(R)
#undef R
    };
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof *tries)](bytes_of(data + 1, size - 1));
    return 0;
}

/* Blocks and commits: encodings, ids, roots and the checks that need no state. */
#include "chain/block.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(header, HEADER_FIELDS)
RECORD_DEFINE(block, BLOCK_FIELDS)
RECORD_DEFINE(commit, COMMIT_FIELDS)
RECORD_DEFINE(commit_sig, COMMIT_SIG_FIELDS)

struct hash block_id(const struct header *h)
{
    struct buf b = {0};
    header_put(&b, h);
    struct hash id = hash_once(HASH_HEADER, b.p, b.n);
    buf_clear(&b);
    return id;
}

void block_beacon_input(const struct header *h, uint8_t out[BLOCK_BEACON_INPUT_SIZE])
{
    memcpy(out, h->chain.b, HASH_SIZE);
    store_le64(out + HASH_SIZE, h->height);
    memcpy(out + HASH_SIZE + 8, h->beacon.b, HASH_SIZE);
}

struct hash block_beacon_first(const struct hash *chain)
{
    return hash_once(HASH_BEACON, chain->b, sizeof chain->b);
}

struct hash block_beacon_next(const struct header *h)
{
    uint8_t output[VRF_OUTPUT_SIZE];
    struct hasher s;
    hash_start(&s, HASH_BEACON);
    hash_add(&s, h->beacon.b, sizeof h->beacon.b);
    if (!vrf_proof_is_zero(&h->proof) && vrf_output(&h->proof, output))
        hash_add(&s, output, sizeof output);
    return hash_end(&s);
}

static struct hash txs_leaf(struct bytes tx)
{
    struct hasher h;
    hash_start(&h, HASH_TXS);
    hash_add(&h, "\0", 1);
    hash_add(&h, tx.p, tx.n);
    return hash_end(&h);
}

static struct hash txs_node(const struct hash *left, const struct hash *right)
{
    struct hasher h;
    hash_start(&h, HASH_TXS);
    hash_add(&h, "\1", 1);
    hash_add(&h, left->b, sizeof left->b);
    hash_add(&h, right->b, sizeof right->b);
    return hash_end(&h);
}

struct hash block_txs_root(const struct bytes *txs, uint32_t n)
{
    if (n == 0)
        return (struct hash){0};
    struct hash *level = mem_array(n, sizeof *level);
    for (uint32_t i = 0; i < n; i++)
        level[i] = txs_leaf(txs[i]);
    for (; n > 1; n = (n + 1) / 2)
        for (uint32_t i = 0; i < n; i += 2)
            level[i / 2] = i + 1 < n ? txs_node(&level[i], &level[i + 1]) : level[i];
    struct hash root = level[0];
    free(level);
    return root;
}

void block_put_txs(struct buf *out, const struct bytes *txs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        codec_put_blob(out, &txs[i]);
}

enum err block_decode(struct bytes raw, struct block *b, struct bytes *txs, struct note *note)
{
    struct cursor c = cursor_of(raw);
    block_get(&c, b);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "not a block: %zu bytes that do not decode", raw.n);
    if (b->header.version != BLOCK_VERSION)
        return note_set(note, ERR_UNSUPPORTED, "block of version %u: this program knows version %d", b->header.version,
                        BLOCK_VERSION);
    if (b->header.txs_n > BLOCK_TXS_MAX)
        return note_set(note, ERR_LIMIT, "block with %u transactions: at most %u", b->header.txs_n, BLOCK_TXS_MAX);
    c = cursor_of(b->txs);
    size_t size = 0;
    for (uint32_t i = 0; i < b->header.txs_n; i++) {
        codec_get_blob(&c, &txs[i]);
        size += txs[i].n;
    }
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "the block's %u transactions do not fill its list", b->header.txs_n);
    if (size > BLOCK_SIZE_MAX)
        return note_set(note, ERR_LIMIT, "block with %zu bytes of transactions: at most %u", size, BLOCK_SIZE_MAX);
    struct hash root = block_txs_root(txs, b->header.txs_n);
    if (!hash_equal(&root, &b->header.txs))
        return note_set(note, ERR_CORRUPT, "the block's transactions are not those of its header");
    return ERR_OK;
}

static bool hash_is(const struct hash *h, struct hash expected)
{
    return hash_equal(h, &expected);
}

static bool is_maker(const struct header *h, const struct valset *validators)
{
    return h->round <= BFT_ROUND_MAX &&
           valset_find(validators, &h->proposer) == (int)valset_proposer(validators, h->round);
}

enum err block_check(const struct header *h, const struct block_context *x, struct note *note)
{
    if (!hash_equal(&h->chain, &x->chain))
        return note_set(note, ERR_CHAIN, "block of another chain");
    const char *wrong = h->height != x->height                                           ? "height"
                        : h->time_ms <= x->prev_time_ms                                  ? "time"
                        : !hash_equal(&h->prev, &x->prev)                                ? "previous block"
                        : !hash_equal(&h->state, &x->state)                              ? "state root"
                        : !hash_equal(&h->beacon, &x->beacon)                            ? "beacon"
                        : !hash_is(&h->validators, valset_hash(x->validators))           ? "validators"
                        : !hash_is(&h->next_validators, valset_hash(x->next_validators)) ? "next validators"
                        : !hash_is(&h->rotation, valset_rotation_hash(x->validators))    ? "rotation"
                        : !is_maker(h, x->validators)                                    ? "proposer"
                                                                                         : NULL;
    if (wrong)
        return note_set(note, ERR_PROTOCOL, "block %" PRIu64 ": its %s is not what must follow block %" PRIu64,
                        h->height, wrong, x->height - 1);
    return ERR_OK;
}

enum err block_check_proof(const struct header *h, const struct vrf_public *key, struct note *note)
{
    uint8_t input[BLOCK_BEACON_INPUT_SIZE], output[VRF_OUTPUT_SIZE];
    bool is_there = !vrf_proof_is_zero(&h->proof);
    block_beacon_input(h, input);
    if (is_there == (key != NULL) && (!key || vrf_verify(key, input, sizeof input, &h->proof, output)))
        return ERR_OK;
    return note_set(note, ERR_AUTH, "block %" PRIu64 ": its proof for the beacon is %s", h->height,
                    !is_there ? "missing"
                    : key     ? "not that of its maker's key"
                              : "there though its maker has no key that holds");
}

enum err commit_decode(struct bytes raw, struct commit *m)
{
    struct cursor c = cursor_of(raw);
    commit_get(&c, m);
    if (!cursor_end(&c) || m->sigs.n % COMMIT_SIG_SIZE || m->sigs.n > (size_t)COMMIT_SIG_SIZE * VALIDATORS_MAX)
        return ERR_FORMAT;
    return ERR_OK;
}

enum err commit_verify(const struct commit *m, const struct hash *chain, uint64_t height, const struct hash *id,
                       const struct valset *s, struct note *note)
{
    if (m->height != height || m->round > BFT_ROUND_MAX || !hash_equal(&m->value, id))
        return note_set(note, ERR_PROTOCOL, "a commit for another block than %" PRIu64, height);
    struct vote v = {
        .kind = VOTE_PRECOMMIT, .height = height, .round = m->round, .value = *id, .valid_round = VOTE_NO_ROUND};
    struct hash signed_hash = vote_hash(&v, chain);
    uint64_t power = 0;
    int last = -1;
    for (struct cursor c = cursor_of(m->sigs); c.n;) {
        struct commit_sig sig;
        commit_sig_get(&c, &sig);
        if (!cursor_ok(&c))
            return note_set(note, ERR_FORMAT, "the signatures of commit %" PRIu64 " are cut", height);
        if (sig.index >= s->n || (int)sig.index <= last)
            return note_set(note, ERR_PROTOCOL, "commit %" PRIu64 ": validator %u is out of place", height, sig.index);
        if (!key_verify_hash(&s->v[sig.index].key, &signed_hash, &sig.sig))
            return note_set(note, ERR_AUTH, "commit %" PRIu64 ": the signature of validator %u is bad", height,
                            sig.index);
        power += s->v[sig.index].power;
        last = sig.index;
    }
    if (!valset_is_quorum(s, power))
        return note_set(note, ERR_AUTH, "commit %" PRIu64 ": %" PRIu64 " of %" PRIu64 " power is no quorum", height,
                        power, s->total);
    return ERR_OK;
}

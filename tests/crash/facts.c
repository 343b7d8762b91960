/* What is known, and whether a node agrees. */
#include "tests/crash/facts.h"

#include "base/mem.h"
#include "chain/block.h"
#include "p2p/msg.h"
#include "tests/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_PROPOSAL, STEP_PREVOTE, STEP_PRECOMMIT };
static const char *const step_names[] = {"proposal", "prevote", "precommit"};

static bool sign_add(struct facts *f, const struct fact_sign *new, struct note *why)
{
    for (uint32_t i = 0; i < f->signs_n; i++) {
        const struct fact_sign *old = &f->signs[i];
        if (old->height != new->height || old->round != new->round || old->step != new->step)
            continue;
        if (hash_equal(&old->content, &new->content))
            return true;
        (void)note_set(why, ERR_STATE, "DOUBLE SIGN: a second %s of height %" PRIu64 ", round %u",
                       step_names[new->step], new->height, new->round);
        return false;
    }
    if (f->signs_n == f->signs_room) {
        f->signs_room = f->signs_room ? 2 * f->signs_room : 256;
        f->signs = mem_resize(f->signs, f->signs_room, sizeof *f->signs);
    }
    f->signs[f->signs_n++] = *new;
    return true;
}

/* What this message signs with the watched one's key; false if nothing. Votes of others are passed on, too; an index
 * says little, so the key decides. */
static bool sign_of(const struct facts *f, uint8_t type, struct bytes body, struct fact_sign *sign)
{
    struct pubkey self = scene_self();
    if (type == MSG_VOTE) {
        struct vote v;
        CHECK(vote_decode(body, &v));
        *sign = (struct fact_sign){v.height, v.round, v.kind == VOTE_PREVOTE ? STEP_PREVOTE : STEP_PRECOMMIT,
                                   vote_hash(&v, &f->chain)};
        return vote_verify(&v, &f->chain, &self);
    }
    if (type == MSG_PROPOSAL) {
        struct proposal p;
        struct cursor c = cursor_of(body);
        proposal_get(&c, &p);
        CHECK(cursor_ok(&c));
        *sign = (struct fact_sign){p.height, p.round, STEP_PROPOSAL, proposal_hash(&p, &f->chain)};
        return proposal_verify(&p, &f->chain, &self);
    }
    return false;
}

bool facts_allow(const struct facts *f, uint8_t type, struct bytes body)
{
    struct fact_sign sign;
    if (!sign_of(f, type, body, &sign))
        return true;
    for (uint32_t i = 0; i < f->signs_n; i++)
        if (hash_equal(&f->signs[i].content, &sign.content))
            return true;
    return false;
}

static bool add_block(struct facts *f, struct bytes said, struct note *why)
{
    struct fact_block b;
    struct cursor c = cursor_of(said);
    codec_get_u64(&c, &b.height);
    codec_get_hash(&c, &b.id);
    codec_get_hash(&c, &b.root);
    CHECK(cursor_end(&c));
    for (uint32_t i = 0; i < f->blocks_n; i++)
        if (f->blocks[i].height == b.height &&
            !(hash_equal(&f->blocks[i].id, &b.id) && hash_equal(&f->blocks[i].root, &b.root))) {
            (void)note_set(why, ERR_STATE, "LOST: a second block at height %" PRIu64, b.height);
            return false;
        }
    if (f->blocks_n && b.height <= f->blocks[f->blocks_n - 1].height)
        return true;
    if (f->blocks_n == f->blocks_room) {
        f->blocks_room = f->blocks_room ? 2 * f->blocks_room : 64;
        f->blocks = mem_resize(f->blocks, f->blocks_room, sizeof *f->blocks);
    }
    f->blocks[f->blocks_n++] = b;
    return true;
}

bool facts_add(struct facts *f, const struct disk_op *mark, struct note *why)
{
    if (mark->kind != DISK_MARK)
        return true;
    struct fact_sign sign;
    if (mark->inode == MARK_OUT)
        return !sign_of(f, mark->bytes.p[0], bytes_of(mark->bytes.p + 1, mark->bytes.n - 1), &sign) ||
               sign_add(f, &sign, why);
    return mark->inode != MARK_BLOCK || add_block(f, bytes_of_buf(&mark->bytes), why);
}

void facts_clear(struct facts *f)
{
    free(f->signs);
    free(f->blocks);
    *f = (struct facts){0};
}

struct facts facts_copy(const struct facts *f)
{
    struct facts copy = *f;
    copy.signs_room = f->signs_n + 1;
    copy.blocks_room = f->blocks_n + 1;
    copy.signs = mem_array(copy.signs_room, sizeof *copy.signs);
    copy.blocks = mem_array(copy.blocks_room, sizeof *copy.blocks);
    if (f->signs_n)
        memcpy(copy.signs, f->signs, f->signs_n * sizeof *f->signs);
    if (f->blocks_n)
        memcpy(copy.blocks, f->blocks, f->blocks_n * sizeof *f->blocks);
    return copy;
}

static enum err block_header(const struct fact_block *b, const struct scene *s, struct header *header)
{
    struct buf raw = {0};
    enum err e = scene_block(s, 0, b->height, &raw, NULL);
    struct cursor c = cursor_of(bytes_of_buf(&raw));
    header_get(&c, header);
    struct hash id = block_id(header);
    if (e == ERR_OK && !(cursor_ok(&c) && hash_equal(&id, &b->id)))
        e = ERR_MISMATCH;
    buf_clear(&raw);
    return e;
}

enum err facts_block(const struct fact_block *b, const struct scene *s)
{
    struct header header;
    return block_header(b, s, &header);
}

bool facts_check(const struct facts *f, const struct scene *s, struct note *why)
{
    struct ledger_info info = ledger_info(scene_ledger(s, 0));
    uint64_t told = f->blocks_n ? f->blocks[f->blocks_n - 1].height : 0;
    struct header header;
    if (info.height < told) {
        (void)note_set(why, ERR_STATE, "LOST: height %" PRIu64 " after it had said %" PRIu64, info.height, told);
        return false;
    }
    for (uint32_t i = 0; i < f->blocks_n; i++) {
        const struct fact_block *b = &f->blocks[i];
        bool follows = i && f->blocks[i - 1].height + 1 == b->height; /* one that was stored may not have been told */
        if (block_header(b, s, &header) != ERR_OK || (follows && !hash_equal(&header.state, &f->blocks[i - 1].root))) {
            (void)note_set(why, ERR_STATE, "LOST: block %" PRIu64 " is another one or not there", b->height);
            return false;
        }
    }
    if (told && info.height == told && !hash_equal(&info.state_root, &f->blocks[f->blocks_n - 1].root)) {
        (void)note_set(why, ERR_STATE, "LOST: another state at height %" PRIu64, told);
        return false;
    }
    supply_check(scene_kv(s, 0));
    return true;
}

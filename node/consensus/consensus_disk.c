/* The two files that a vote waits for: the log of the height's events, and the signer's. What they promise:
 * consensus.c. */
#include "node/consensus/consensus_in.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

/* -- the log's entries -- */

static void entry_put(struct consensus *c, const struct bft_event *e, struct buf *out)
{
    uint8_t head[4] = {(uint8_t)e->kind, (uint8_t)e->step, (uint8_t)e->verdict, e->timely};
    buf_add(out, head, sizeof head);
    codec_put_u64(out, &e->height);
    codec_put_u32(out, &e->round);
    if (e->kind == BFT_VOTE)
        vote_put(out, &e->vote);
    if (e->kind == BFT_PROPOSAL)
        proposal_put(out, &e->proposal);
    if (e->kind == BFT_PROPOSAL || e->kind == BFT_VALUE) {
        const struct hash *id = e->kind == BFT_VALUE ? &e->value : &e->proposal.value;
        const struct buf *raw = value_find(c, id);
        struct bytes block = raw ? bytes_of_buf(raw) : (struct bytes){0};
        codec_put_hash(out, id);
        codec_put_blob(out, &block);
    }
}

static bool entry_get(struct consensus *c, struct bytes raw, struct bft_event *e)
{
    struct cursor r = cursor_of(raw);
    const uint8_t *head = cursor_take(&r, 4);
    if (!head)
        return false;
    *e = (struct bft_event){.kind = (enum bft_event_kind)head[0],
                            .step = (enum bft_step)head[1],
                            .verdict = (enum bft_verdict)head[2],
                            .timely = head[3] != 0};
    codec_get_u64(&r, &e->height);
    codec_get_u32(&r, &e->round);
    if (e->kind == BFT_VOTE)
        vote_get(&r, &e->vote);
    if (e->kind == BFT_PROPOSAL)
        proposal_get(&r, &e->proposal);
    if (e->kind == BFT_PROPOSAL || e->kind == BFT_VALUE) {
        struct bytes block;
        codec_get_hash(&r, &e->value);
        codec_get_blob(&r, &block);
        if (cursor_ok(&r) && block.n && e->height == c->height)
            value_add(c, &e->value, block);
    }
    return cursor_end(&r) && e->kind != BFT_START;
}

static bool on_entry(void *arg, struct bytes raw)
{
    struct consensus *c = arg;
    struct bft_event e;
    if (!entry_get(c, raw, &e))
        return false;
    if (e.height == c->height)
        consensus_feed(c, &e);
    return true;
}

void disk_log_write(struct consensus *c, const struct bft_event *e, bool is_news)
{
    bool is_message = e->kind == BFT_VOTE || e->kind == BFT_PROPOSAL;
    if (c->is_replaying || e->kind == BFT_START || (is_message && !is_news))
        return;
    struct buf entry = {0};
    entry_put(c, e, &entry);
    wal_append(c->wal, bytes_of_buf(&entry));
    buf_clear(&entry);
}

/* -- the signer's file -- */

enum err disk_signer_write(struct consensus *c, const struct signer *s)
{
    uint8_t slot[SIGNER_SLOT_SIZE];
    uint64_t at = signer_put_slot(s, slot);
    enum err e = host_file_put(c->signer_file, at, slot, sizeof slot);
    return e == ERR_OK ? host_file_sync(c->signer_file) : e;
}

/* Whole or not at all. Later writes need no room on the disk. */
static enum err signer_file_make(struct consensus *c, const char *path, uint64_t committed, struct note *note)
{
    uint8_t file[SIGNER_FILE_SIZE];
    bool alone = c->validators->n == 1 && valset_find(c->validators, &c->self) == 0;
    if (committed > 0 && alone)
        return note_set(note, ERR_CORRUPT,
                        "%s is missing, but the chain has %" PRIu64
                        " blocks: put the file back before this validator votes",
                        path, committed);
    signer_init(&c->signer, committed ? committed + 2 : 0);
    signer_make_file(&c->signer, file);
    return host_write(c->o.host, path, 0600, bytes_of(file, sizeof file), note);
}

static enum err signer_file_read(struct consensus *c, const char *path, uint64_t committed, struct buf *file,
                                 struct note *note)
{
    enum err e = host_read(c->o.host, path, SIGNER_FILE_SIZE, file, NULL);
    if (e == ERR_NOT_FOUND)
        return signer_file_make(c, path, committed, note);
    if (e == ERR_OK)
        e = signer_get_file(&c->signer, bytes_of_buf(file));
    if (e == ERR_OK)
        return ERR_OK;
    return note_set(note, e,
                    "%s is damaged (%s), nobody knows what was signed last: put it back from a copy no older than the "
                    "chain, or, where others validate too, remove it, and this validator rests for two blocks",
                    path, err_text(e));
}

/* What is read may be what a killed process wrote and did not sync. It will be repeated as if it were stored, so it is
 * synced before anything is signed: else a power cut could take it back behind a signature that has left. */
enum err disk_signer_open(struct consensus *c, uint64_t committed, struct note *note)
{
    char path[4096];
    struct buf file = {0};
    snprintf(path, sizeof path, "%s/signer", c->o.dir);
    enum err e = signer_file_read(c, path, committed, &file, note);
    if (e == ERR_OK)
        e = host_file_open(c->o.host, path, HOST_WRITE, &c->signer_file, note);
    if (e == ERR_OK && file.n && signer_mend_file(file.p)) {
        log_event(LOG_ODD, "consensus", "signer_mended", "file=%s", path);
        e = host_file_put(c->signer_file, 0, file.p, file.n);
    }
    if (e == ERR_OK)
        e = host_file_sync(c->signer_file);
    if (e != ERR_OK && c->signer_file)
        e = note_set(note, e, "cannot write %s: %s (make room, or see to the disk)", path, err_text(e));
    buf_clear(&file);
    return e;
}

/* Comes back to where the log ends, then does what it left undone. */
enum err disk_log_replay(struct consensus *c, struct note *note)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/wal", c->o.dir);
    bft_step(c->bft, &(struct bft_event){.kind = BFT_START, .height = c->height, .validators = c->validators});
    c->is_replaying = true;
    enum err e = wal_open(c->o.host, path, on_entry, c, &c->wal, note);
    c->is_replaying = false;
    if (e != ERR_OK)
        return e;
    struct bft_view view = bft_view(c->bft);
    bool was_locked = c->signer.locked_height == c->height && c->signer.locked_round != VOTE_NO_ROUND;
    if (was_locked && (view.locked_round == VOTE_NO_ROUND || view.locked_round < c->signer.locked_round)) {
        c->mute_height = c->height;
        log_event(LOG_ODD, "consensus", "mute", "height=%" PRIu64 " why=\"the log of its lock is gone\"", c->height);
    }
    if (c->has_key && c->signer.height > c->height && c->signer.step != SIGNER_NONE)
        log_event(LOG_ODD, "consensus", "store_behind",
                  "height=%" PRIu64 " signed=%" PRIu64
                  " why=\"the store lost blocks that were decided: they are fetched "
                  "from peers, or put back a copy of its directory; nothing is signed until then\"",
                  c->height - 1, c->signer.height);
    if (view.step != BFT_WAIT)
        log_event(LOG_INFO, "consensus", "resumed", "height=%" PRIu64 " round=%u step=%d", c->height, view.round,
                  (int)view.step);
    return ERR_OK;
}

/* The machine of consensus in the node: events in, effects out. Its two files: consensus_disk.c.
 *
 * Order for each event: the log takes it, bft_step, its effects. Effects that are events in turn (a cast vote comes
 * back as a message, a made block as a value) are queued, so bft_step is never entered twice. For a vote or proposal:
 * the log synced, so that a restart comes to the same point and says the same again; signer's slot synced; then sent
 * and queued. Whatever a full or failing disk refuses is kept in `deferred` and tried again every CONSENSUS_RETRY_MS;
 * until then nothing leaves.
 *
 * At a start the log is replayed: the same events bring back the same state; the effects are collected and carried out
 * at its end, where the signer repeats what it signed and refuses what would contradict it.
 */
#include "node/consensus/consensus_in.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- effects -- */

static void queue_add(struct consensus *c, const struct bft_event *e)
{
    if (c->queue_n == c->queue_room) {
        c->queue_room = c->queue_room ? 2 * c->queue_room : 16;
        c->queue = mem_resize(c->queue, c->queue_room, sizeof *c->queue);
    }
    c->queue[c->queue_n++] = *e;
}

static void defer(struct consensus *c, const struct bft_effect *f)
{
    if (c->deferred_n == c->deferred_room) {
        c->deferred_room = c->deferred_room ? 2 * c->deferred_room : 16;
        c->deferred = mem_resize(c->deferred, c->deferred_room, sizeof *c->deferred);
    }
    c->deferred[c->deferred_n++] = *f;
}

static bool may_sign(const struct consensus *c, uint64_t height)
{
    return c->has_key && height == c->height && height != c->mute_height;
}

/* Keeps a new record, or takes it back when the disk refuses: then nothing was signed. */
static enum err signed_keep(struct consensus *c, const struct signer *before, bool fresh)
{
    enum err e = fresh ? disk_signer_write(c, &c->signer) : ERR_OK;
    if (e == ERR_OK)
        return ERR_OK;
    /* The slot may hold the new record all the same: it is overwritten by the next try, which signs the same, or
     * found at the next start, which then repeats it. */
    c->signer = *before;
    log_event(LOG_ODD, "consensus", "unsigned", "why=\"%s\"", err_text(e));
    return ERR_IO;
}

static enum err do_cast(struct consensus *c, const struct bft_effect *f)
{
    struct signer before = c->signer;
    struct vote v = f->vote;
    bool fresh;
    if (!may_sign(c, v.height))
        return ERR_OK;
    if (wal_sync(c->wal) != ERR_OK)
        return ERR_IO;
    if (signer_sign_vote(&c->signer, &c->key, &c->chain, &v, &fresh) != ERR_OK)
        return ERR_OK; /* after a restart: it would contradict what was signed before */
    if (signed_keep(c, &before, fresh) != ERR_OK)
        return ERR_IO;
    wire_send_vote(c, &v);
    queue_add(c, &(struct bft_event){.kind = BFT_VOTE, .height = v.height, .vote = v});
    return ERR_OK;
}

static enum err do_offer(struct consensus *c, const struct bft_effect *f)
{
    struct signer before = c->signer;
    struct proposal p = f->proposal;
    bool fresh;
    if (!may_sign(c, p.height) || !value_find(c, &p.value))
        return ERR_OK;
    if (wal_sync(c->wal) != ERR_OK)
        return ERR_IO;
    if (signer_sign_proposal(&c->signer, &c->key, &c->chain, &p, &fresh) != ERR_OK)
        return ERR_OK;
    if (signed_keep(c, &before, fresh) != ERR_OK)
        return ERR_IO;
    wire_send_proposal(c, &p);
    queue_add(c, &(struct bft_event){
                     .kind = BFT_PROPOSAL, .height = p.height, .proposal = p, .verdict = BFT_VALID, .timely = true});
    return ERR_OK;
}

static void do_make(struct consensus *c, const struct bft_effect *f)
{
    struct bft_event e = {.kind = BFT_VALUE, .height = c->height, .round = f->round};
    struct bft_view view = bft_view(c->bft);
    if (c->has_key && view.round == f->round && view.step == BFT_PROPOSE && block_make(c, f->round, &e.value))
        queue_add(c, &e);
}

static void on_step_timer(void *arg)
{
    struct step_timer *t = arg;
    consensus_feed(t->consensus,
                   &(struct bft_event){.kind = BFT_TIMEOUT, .height = t->height, .round = t->round, .step = t->step});
}

static void do_timer(struct consensus *c, const struct bft_effect *f)
{
    struct step_timer *t = &c->step_timers[f->step];
    t->consensus = c;
    t->height = c->height;
    t->round = f->round;
    t->step = f->step;
    host_timer_set(c->o.host, &t->timer, f->delay_ms, on_step_timer, t);
}

static enum err do_effect(struct consensus *c, const struct bft_effect *f)
{
    switch (f->kind) {
    case BFT_CAST:
        return do_cast(c, f);
    case BFT_OFFER:
        return do_offer(c, f);
    case BFT_MAKE:
        do_make(c, f);
        return ERR_OK;
    case BFT_TIMER:
        do_timer(c, f);
        return ERR_OK;
    case BFT_DECIDE:
        block_decide(c, f->round, &f->value);
        return ERR_OK;
    case BFT_EVIDENCE:
        evidence_found(c, &f->evidence);
        return ERR_OK;
    }
    return ERR_OK;
}

static void do_or_defer(struct consensus *c, const struct bft_effect *f)
{
    if (c->is_replaying && f->kind != BFT_TIMER) {
        defer(c, f);
        return;
    }
    if (do_effect(c, f) == ERR_OK)
        return;
    defer(c, f);
    consensus_stuck(c, "what must be stored before it is signed");
}

static struct bft_effects step(struct consensus *c, const struct bft_event *e)
{
    struct bft_effects effects = bft_step(c->bft, e);
    disk_log_write(c, e, effects.news);
    /* Effects may start the next height, which steps again: take them off the machine first. */
    struct bft_effect *copy = mem_array(effects.n + 1, sizeof *copy);
    if (effects.n)
        memcpy(copy, effects.at, effects.n * sizeof *copy);
    for (uint32_t i = 0; i < effects.n; i++)
        do_or_defer(c, &copy[i]);
    free(copy);
    return (struct bft_effects){.news = effects.news};
}

/* Only .news of the result is of use. */
struct bft_effects consensus_feed(struct consensus *c, const struct bft_event *e)
{
    if (ledger_snapshot_now(c->o.ledger)) /* the state is being fetched: this height is not ours to decide */
        return (struct bft_effects){0};
    if (c->is_running) {
        queue_add(c, e);
        return (struct bft_effects){0};
    }
    c->is_running = true;
    struct bft_effects result = step(c, e);
    while (c->queue_at < c->queue_n) {
        struct bft_event next = c->queue[c->queue_at++];
        step(c, &next);
    }
    c->queue_n = c->queue_at = 0;
    c->is_running = false;
    return result;
}

/* -- trying again what the disk refused -- */

static void deferred_run(struct consensus *c)
{
    uint32_t n = c->deferred_n;
    struct bft_effect *taken = c->deferred;
    c->deferred = NULL;
    c->deferred_n = c->deferred_room = 0;
    c->is_running = true;
    for (uint32_t i = 0; i < n; i++)
        do_or_defer(c, &taken[i]);
    c->is_running = false;
    free(taken);
    if (c->queue_n) { /* what they gave rise to */
        struct bft_event first = c->queue[c->queue_at++];
        consensus_feed(c, &first);
    }
}

static void on_retry(void *arg)
{
    struct consensus *c = arg;
    c->is_stuck = false;
    if (c->is_committing)
        block_commit_retry(c);
    else
        deferred_run(c);
}

void consensus_stuck(struct consensus *c, const char *why)
{
    if (!c->is_stuck_said)
        log_event(LOG_ODD, "consensus", "stuck",
                  "height=%" PRIu64 " dir=%s why=\"the disk does not take it: %s; make room\"", c->height, c->o.dir,
                  why);
    c->is_stuck = c->is_stuck_said = true;
    if (!timer_is_set(&c->retry_timer))
        host_timer_set(c->o.host, &c->retry_timer, CONSENSUS_RETRY_MS, on_retry, c);
}

/* -- when a block is wanted -- */

static void on_go_timer(void *arg)
{
    struct consensus *c = arg;
    wire_take_ahead(c);
    consensus_wake(c);
}

/* From the loop: whoever calls may be in the middle of anything. */
void consensus_wake_soon(struct consensus *c)
{
    host_timer_set(c->o.host, &c->go_timer, 0, on_go_timer, c);
}

/* Starts round 0 if there is a reason for a block and the last one is old enough; otherwise sees to it that
 * this is asked again in time. */
void consensus_wake(struct consensus *c)
{
    struct bft_view view = bft_view(c->bft);
    bool is_starting = timer_is_set(&c->start_timer); /* which ends with this */
    if (is_starting || view.step != BFT_WAIT || view.height != c->height || c->is_committing ||
        ledger_snapshot_now(c->o.ledger))
        return;
    struct ledger_info info = ledger_info(c->o.ledger);
    uint64_t now = host_now_ms(c->o.host), wall = host_wall_ms(c->o.host);
    uint64_t earliest = c->last_block_ms + c->o.block_interval_ms, beat = c->last_block_ms + c->o.heartbeat_ms;
    bool is_due = info.next_due_ms != 0 && info.next_due_ms <= wall;
    bool is_wanted = mempool_count(c->pool) > 0 || info.wants_block || is_due || now >= beat;
    if (is_wanted && now >= earliest) {
        consensus_feed(c, &(struct bft_event){.kind = BFT_GO, .height = c->height});
        return;
    }
    uint64_t at = is_wanted ? earliest : beat;
    if (!is_wanted && info.next_due_ms != 0 && now + (info.next_due_ms - wall) < at)
        at = now + (info.next_due_ms - wall);
    host_timer_set(c->o.host, &c->go_timer, at > now ? at - now : 0, on_go_timer, c);
}

static void on_resend(void *arg)
{
    struct consensus *c = arg;
    enum bft_step now = bft_view(c->bft).step;
    if (now != BFT_WAIT && now != BFT_DECIDED)
        wire_resend(c);
    evidence_step(c);
    if (mempool_count(c->pool) > 0 && host_now_ms(c->o.host) >= c->last_block_ms + CONSENSUS_POOL_MS)
        wire_resend_pool(c);
    host_timer_set(c->o.host, &c->resend_timer, CONSENSUS_RESEND_MS, on_resend, c);
}

/* c->height and the validators are those of the new height. May be called from within an effect, so it feeds nothing.
 */
void consensus_start_height(struct consensus *c)
{
    for (int i = 0; i < BFT_DECIDED; i++)
        host_timer_cancel(c->o.host, &c->step_timers[i].timer);
    values_clear(c);
    ballots_new_height(c);
    c->deferred_n = 0;
    if (!c->is_replaying)
        wal_reset(c->wal);
    c->last_block_ms = host_now_ms(c->o.host);
    host_timer_set(c->o.host, &c->resend_timer, CONSENSUS_RESEND_MS, on_resend, c);
    bft_step(c->bft, &(struct bft_event){.kind = BFT_START, .height = c->height, .validators = c->validators});
    consensus_wake_soon(c);
}

/* -- open and close -- */

/* What was signed last, and the log lost (only what locks is synced there): the signer will not sign anything else in
 * its place or before it, so without more we would wait in that round for ever, and where everybody's power failed,
 * everybody would. No lock is forgotten, or we were mute, so any later round may begin. */
static void resume(struct consensus *c)
{
    const struct signer *s = &c->signer;
    struct bft_view view = bft_view(c->bft);
    enum vote_kind kind = s->step == SIGNER_PREVOTE ? VOTE_PREVOTE : VOTE_PRECOMMIT;
    bool has_voted = s->step >= SIGNER_PREVOTE;
    if (s->height != c->height || !may_sign(c, c->height) || view.round > s->round || s->round >= BFT_ROUND_MAX ||
        (has_voted ? bft_has_voted(c->bft, s->round, kind) : view.round == s->round))
        return;
    log_event(LOG_INFO, "consensus", "round_forgotten", "height=%" PRIu64 " round=%u", c->height, s->round);
    consensus_feed(
        c, &(struct bft_event){.kind = BFT_RESUME, .height = c->height, .round = has_voted ? s->round + 1 : s->round});
}

/* In the loop's first turn, when everybody has registered for what is to come. */
static void on_started(void *arg)
{
    struct consensus *c = arg;
    deferred_run(c);
    resume(c);
    duty_step(c);
    consensus_wake(c);
    if (c->o.peers)
        host_timer_set(c->o.host, &c->resend_timer, CONSENSUS_RESEND_MS, on_resend, c);
}

static enum err sync_apply(void *arg, struct bytes block, struct bytes commit, struct note *note)
{
    return block_apply_synced(arg, block, commit, note);
}

static enum err sync_load(void *arg, uint64_t height, struct buf *block, struct buf *commit)
{
    return consensus_block_get(arg, height, block, commit, NULL);
}

static uint64_t sync_first(void *arg)
{
    return consensus_first(arg);
}

/* The ledger takes what is longer than gap_ms without a block for a halt, and its clock stands. */
static uint32_t heartbeat_of(const struct consensus_options *o)
{
    uint64_t most_ms = ledger_params(o->ledger).gap_ms / 2;
    uint32_t wanted_ms = o->heartbeat_ms ? o->heartbeat_ms : BLOCK_HEARTBEAT_MS;
    return wanted_ms < most_ms ? wanted_ms : (uint32_t)most_ms;
}

enum err consensus_open(const struct consensus_options *o, struct consensus **out, struct note *note)
{
    struct consensus *c = mem_new(sizeof *c);
    uint8_t place[16];
    *out = NULL;
    c->o = *o;
    c->o.block_interval_ms = o->block_interval_ms ? o->block_interval_ms : BLOCK_INTERVAL_MS;
    c->o.heartbeat_ms = heartbeat_of(o);
    struct ledger_info info = ledger_info(o->ledger);
    c->chain = info.chain;
    c->height = info.height + 1;
    if (o->key) {
        c->has_key = true;
        secret_lock(&c->key, sizeof c->key);
        c->key = *o->key;
        c->self = key_public(o->key);
        c->vrf = vrf_secret_of(o->key);
    }
    c->validators = mem_new(sizeof *c->validators);
    c->next_validators = mem_new(sizeof *c->next_validators);
    host_random(o->host, place, sizeof place);
    c->pool = mempool_new(o->ledger, place);
    c->bft = bft_new(&c->chain, o->key ? &c->self : NULL);
    c->last_block_ms = host_now_ms(o->host);
    kept_open(c);
    enum err e = block_state_load(c, note);
    if (e == ERR_OK)
        e = evidence_load(c, note);
    if (e == ERR_OK)
        e = testimony_load(c, note);
    if (e == ERR_OK)
        e = host_make_dir(o->host, o->dir, note);
    if (e == ERR_OK)
        e = disk_signer_open(c, info.height, note);
    if (e == ERR_OK)
        e = disk_log_replay(c, note);
    if (e != ERR_OK) {
        consensus_close(c);
        return e;
    }
    intake_open(c);
    if (o->peers) {
        c->sync =
            sync_new(&(struct sync_options){o->host, o->peers, sync_apply, sync_load, sync_first, c}, info.height);
        wire_open(c);
    }
    host_timer_set(o->host, &c->start_timer, 0, on_started, c);
    *out = c;
    return ERR_OK;
}

void consensus_close(struct consensus *c)
{
    if (!c)
        return;
    struct timer *timers[] = {&c->start_timer, &c->go_timer, &c->resend_timer, &c->retry_timer, &c->wait_timer};
    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        host_timer_cancel(c->o.host, timers[i]);
    for (int i = 0; i < BFT_DECIDED; i++)
        host_timer_cancel(c->o.host, &c->step_timers[i].timer);
    intake_close(c);
    ballots_close(c);
    short_close(c);
    told_close(c);
    sync_free(c->sync);
    wal_close(c->wal);
    host_file_close(c->signer_file);
    mempool_free(c->pool);
    bft_free(c->bft);
    values_clear(c);
    waits_clear(c);
    kv_batch_clear(&c->batch);
    buf_clear(&c->decided);
    buf_clear(&c->ahead_votes);
    for (int i = 0; i < AHEAD_PROPOSALS; i++)
        buf_clear(&c->ahead_proposals[i]);
    free(c->queue);
    free(c->deferred);
    free(c->validators);
    free(c->next_validators);
    secret_wipe(&c->key, sizeof c->key);
    secret_wipe(&c->vrf, sizeof c->vrf);
    free(c);
}

struct consensus_status consensus_status(const struct consensus *c)
{
    struct ledger_info info = ledger_info(c->o.ledger);
    struct bft_view view = bft_view(c->bft);
    uint64_t target = c->sync ? sync_target(c->sync) : 0;
    return (struct consensus_status){.chain = c->chain,
                                     .height = info.height,
                                     .time_ms = info.time_ms,
                                     .block = info.block,
                                     .peer_height = target,
                                     .is_syncing = target > info.height + 1,
                                     .round = view.round,
                                     .is_validator = view.self >= 0,
                                     .validators = c->validators->n,
                                     .pool = mempool_count(c->pool),
                                     .pool_bytes = mempool_bytes(c->pool),
                                     .evidence = c->evidence,
                                     .is_stuck = c->is_stuck};
}

const struct valset *consensus_validators(const struct consensus *c)
{
    return c->validators;
}

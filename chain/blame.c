/* Testimonies, and the pairs of votes in them that convict. */
#include "chain/blame.h"

#include "base/mem.h"
#include "chain/bft_votes.h"
#include "chain/light.h"

#include <inttypes.h>
#include <stdlib.h>

RECORD_DEFINE(kept_quorum, KEPT_QUORUM_FIELDS)
RECORD_DEFINE(testimony, TESTIMONY_FIELDS)

#define ENTRY_SIZE 40 /* key and power */

/* -- made -- */

struct found {
    uint32_t round;
    const struct bft_votes *votes;
    const struct bft_tally *tally;
};
struct collect {
    struct found at[TESTIMONY_QUORUMS_MAX];
    uint32_t n;
};

static int compare_found(const void *x, const void *y)
{
    const struct found *a = x, *b = y;
    if (a->round != b->round)
        return (a->round > b->round) - (a->round < b->round);
    int order = hash_compare(&a->tally->value, &b->tally->value);
    return order ? order
                 : (a->tally->valid_round > b->tally->valid_round) - (a->tally->valid_round < b->tally->valid_round);
}

/* In the place of the one with the lowest round, if there is no other. */
static void collect_one(void *arg, uint32_t round, const struct bft_votes *votes, const struct bft_tally *tally)
{
    struct collect *c = arg;
    struct found f = {round, votes, tally}, *to = &c->at[0];
    if (c->n < TESTIMONY_QUORUMS_MAX) {
        c->at[c->n++] = f;
        return;
    }
    for (uint32_t i = 1; i < c->n; i++)
        to = c->at[i].round < to->round ? &c->at[i] : to;
    if (to->round < round)
        *to = f;
}

static void put_quorum(struct buf *out, const struct found *f)
{
    struct buf sigs = {0};
    bft_votes_sigs(f->votes, &f->tally->value, f->tally->valid_round, &sigs);
    kept_quorum_put(out, &(struct kept_quorum){f->round, f->tally->value, f->tally->valid_round, bytes_of_buf(&sigs)});
    buf_clear(&sigs);
}

void blame_put_testimony(struct buf *out, const struct hash *chain, const struct valset *validators,
                         const struct commit *commit, const struct bft *b)
{
    struct collect c = {.n = 0};
    struct buf entries = {0}, m = {0}, quorums = {0};
    for (uint32_t i = 0; i < validators->n; i++) {
        codec_put_pubkey(&entries, &validators->v[i].key);
        codec_put_u64(&entries, &validators->v[i].power);
    }
    commit_put(&m, commit);
    bft_quorums(b, collect_one, &c);
    qsort(c.at, c.n, sizeof *c.at, compare_found);
    for (uint32_t i = 0; i < c.n; i++)
        put_quorum(&quorums, &c.at[i]);
    testimony_put(out, &(struct testimony){TESTIMONY_VERSION, *chain, commit->height, bytes_of_buf(&entries),
                                           bytes_of_buf(&m), bytes_of_buf(&quorums)});
    buf_clear(&entries);
    buf_clear(&m);
    buf_clear(&quorums);
}

/* -- read -- */

static bool get_validators(struct bytes raw, struct valset *s)
{
    struct valset_entry *entries = mem_array(VALIDATORS_MAX, sizeof *entries);
    uint32_t n = (uint32_t)(raw.n / ENTRY_SIZE);
    bool is_good = raw.n % ENTRY_SIZE == 0 && n > 0 && n <= VALIDATORS_MAX;
    struct cursor c = cursor_of(raw);
    for (uint32_t i = 0; is_good && i < n; i++) {
        codec_get_pubkey(&c, &entries[i].key);
        codec_get_u64(&c, &entries[i].power);
        is_good = i == 0 || pubkey_compare(&entries[i - 1].key, &entries[i].key) < 0;
    }
    is_good = is_good && valset_init(s, entries, n, NULL) == ERR_OK;
    free(entries);
    return is_good;
}

/* Indices rise and have their validator. */
static bool sigs_are_sane(struct bytes raw, uint32_t validators)
{
    int last = -1;
    bool is_good = raw.n % COMMIT_SIG_SIZE == 0;
    for (struct cursor c = cursor_of(raw); is_good && c.n;) {
        struct commit_sig s;
        commit_sig_get(&c, &s);
        is_good = (int)s.index > last && s.index < validators;
        last = s.index;
    }
    return is_good;
}

static int compare_quorums(const struct kept_quorum *a, const struct kept_quorum *b)
{
    if (a->round != b->round)
        return a->round > b->round ? 1 : -1;
    int order = hash_compare(&a->value, &b->value);
    return order ? order : (a->valid_round > b->valid_round) - (a->valid_round < b->valid_round);
}

static bool quorums_are_sane(struct bytes raw, uint32_t validators)
{
    struct kept_quorum q, last = {0};
    uint32_t n = 0;
    for (struct cursor c = cursor_of(raw); c.n; last = q, n++) {
        kept_quorum_get(&c, &q);
        if (!cursor_ok(&c) || n == TESTIMONY_QUORUMS_MAX || (n && compare_quorums(&last, &q) >= 0) ||
            q.round > BFT_ROUND_MAX || hash_is_zero(&q.value) ||
            (q.valid_round != VOTE_NO_ROUND && q.valid_round >= q.round) || !sigs_are_sane(q.sigs, validators))
            return false;
    }
    return true;
}

enum err blame_get_testimony(struct bytes raw, struct testimony *t, struct note *note)
{
    struct cursor c = cursor_of(raw);
    struct valset *s = mem_new(sizeof *s);
    struct commit m;
    testimony_get(&c, t);
    bool is_good = cursor_end(&c) && t->version == TESTIMONY_VERSION && get_validators(t->validators, s) &&
                   commit_decode(t->commit, &m) == ERR_OK && m.height == t->height && t->height > 0 &&
                   quorums_are_sane(t->quorums, s->n);
    free(s);
    return is_good ? ERR_OK
                   : note_set(note, ERR_FORMAT, "no testimony of a height: %zu bytes that do not decode", raw.n);
}

/* A light block's validators and commit are encoded as a testimony's. */
static enum err testimony_of_light(struct bytes raw, struct buf *out, struct note *note)
{
    struct light_block b;
    struct testimony t;
    enum err e = light_block_decode(raw, &b, NULL, note);
    if (e != ERR_OK)
        return e;
    size_t from = out->n;
    testimony_put(out, &(struct testimony){.version = TESTIMONY_VERSION,
                                           .chain = b.header.chain,
                                           .height = b.header.height,
                                           .validators = b.validators,
                                           .commit = b.commit});
    return blame_get_testimony(bytes_of(out->p + from, out->n - from), &t, note);
}

enum err blame_get_conflict(struct bytes raw, struct buf out[2], struct note *note)
{
    struct light_conflict both;
    struct cursor c = cursor_of(raw);
    light_conflict_get(&c, &both);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "no two blocks of a light client: %zu bytes that do not decode", raw.n);
    enum err e = testimony_of_light(both.a, &out[0], note);
    return e == ERR_OK ? testimony_of_light(both.b, &out[1], note) : e;
}

uint32_t blame_validators(const struct testimony *t, struct valset_entry *out)
{
    uint32_t n = (uint32_t)(t->validators.n / ENTRY_SIZE);
    struct cursor c = cursor_of(t->validators);
    for (uint32_t i = 0; i < n; i++) {
        codec_get_pubkey(&c, &out[i].key);
        codec_get_u64(&c, &out[i].power);
    }
    return n;
}

/* -- judged -- */

/* All votes of one validator. */
struct votes {
    struct vote *at;
    uint32_t n, room;
};

static void votes_add(struct votes *v, const struct vote *vote)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->at[i].kind == vote->kind && v->at[i].round == vote->round && v->at[i].valid_round == vote->valid_round &&
            hash_equal(&v->at[i].value, &vote->value))
            return;
    if (v->n == v->room) {
        v->room = v->room ? 2 * v->room : 4;
        v->at = mem_resize(v->at, v->room, sizeof *v->at);
    }
    v->at[v->n++] = *vote;
}

/* The signed among these, each to its validator. */
static void take_sigs(struct votes *all, const struct valset *s, const struct hash *chain, struct vote v,
                      struct bytes sigs)
{
    struct hash signed_hash = vote_hash(&v, chain);
    for (struct cursor c = cursor_of(sigs); c.n;) {
        struct commit_sig sig;
        commit_sig_get(&c, &sig);
        v.index = sig.index;
        v.sig = sig.sig;
        if (key_verify_hash(&s->v[sig.index].key, &signed_hash, &sig.sig))
            votes_add(&all[sig.index], &v);
    }
}

static void take_testimony(struct votes *all, const struct valset *s, const struct testimony *t, const struct commit *m)
{
    take_sigs(all, s, &t->chain,
              (struct vote){.kind = VOTE_PRECOMMIT,
                            .height = t->height,
                            .round = m->round,
                            .value = m->value,
                            .valid_round = VOTE_NO_ROUND},
              m->sigs);
    for (struct cursor c = cursor_of(t->quorums); c.n;) {
        struct kept_quorum q;
        kept_quorum_get(&c, &q);
        take_sigs(all, s, &t->chain,
                  (struct vote){.kind = VOTE_PREVOTE,
                                .height = t->height,
                                .round = q.round,
                                .value = q.value,
                                .valid_round = q.valid_round},
                  q.sigs);
    }
}

static bool find_pair(const struct votes *v, const struct pubkey *key, struct evidence *out)
{
    for (uint32_t i = 0; i < v->n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (evidence_of_votes(key, &v->at[i], &v->at[k], out))
                return true;
    return false;
}

static void name_culprits(const struct votes *all, const struct valset *s, struct blame *out)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (find_pair(&all[i], &s->v[i].key, &out->evidence[out->n])) {
            out->power += s->v[i].power;
            out->n++;
        }
}

/* One chain, height and set, each commit a quorum's; *forked: two of them differ. */
static enum err check_all(const struct testimony *const *t, uint32_t n, const struct valset *s, struct commit *commits,
                          bool *forked, struct note *note)
{
    *forked = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!hash_equal(&t[i]->chain, &t[0]->chain))
            return note_set(note, ERR_CHAIN, "testimonies of different chains");
        if (t[i]->height != t[0]->height || !bytes_equal(t[i]->validators, t[0]->validators))
            return note_set(note, ERR_RANGE,
                            "testimonies of different heights or validators: take the first height that differs");
        if (commit_decode(t[i]->commit, &commits[i]) != ERR_OK)
            return note_set(note, ERR_FORMAT, "testimony %u: its commit does not decode", i + 1);
        enum err e = commit_verify(&commits[i], &t[i]->chain, t[i]->height, &commits[i].value, s, note);
        if (e)
            return e;
        *forked = *forked || !hash_equal(&commits[i].value, &commits[0].value);
    }
    return ERR_OK;
}

static enum err judge(const struct testimony *const *t, uint32_t n, const struct valset *s, struct blame *out,
                      struct note *note)
{
    bool forked;
    struct commit *commits = mem_array(n, sizeof *commits);
    enum err e = check_all(t, n, s, commits, &forked, note);
    if (e == ERR_OK && !forked)
        e = note_set(note, ERR_STATE, "no fork: all decided the same block");
    if (e == ERR_OK) {
        struct votes *all = mem_array(s->n, sizeof *all);
        for (uint32_t i = 0; i < n; i++)
            take_testimony(all, s, t[i], &commits[i]);
        name_culprits(all, s, out);
        for (uint32_t i = 0; i < s->n; i++)
            free(all[i].at);
        free(all);
        if (!valset_is_honest(s, out->power))
            e = note_set(note, ERR_NOT_FOUND,
                         "only %" PRIu64 " of %" PRIu64 " power is convicted: prevotes are missing, ask more nodes",
                         out->power, s->total);
    }
    free(commits);
    return e;
}

enum err blame_find(const struct testimony *const *t, uint32_t n, struct blame *out, struct note *note)
{
    struct valset *s = mem_new(sizeof *s);
    *out = (struct blame){0};
    enum err e = n >= 2 && get_validators(t[0]->validators, s)
                     ? ERR_OK
                     : note_set(note, ERR_FORMAT, "a fork takes two testimonies with their validators");
    if (e == ERR_OK) {
        out->total = s->total;
        e = judge(t, n, s, out, note);
    }
    free(s);
    return e;
}

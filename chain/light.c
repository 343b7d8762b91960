/* Following headers: what is believed, and why. */
#include "chain/light.h"

#include "base/mem.h"
#include "chain/tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

RECORD_DEFINE(light_block, LIGHT_BLOCK_FIELDS)
RECORD_DEFINE(light_validator, LIGHT_VALIDATOR_FIELDS)
RECORD_DEFINE(light_conflict, LIGHT_CONFLICT_FIELDS)

/* What light_store keeps: `raw` is empty for the genesis, which then stands in `validators` and `time_ms`. */
#define LIGHT_STORED_FIELDS(F) F(hash, chain) F(u64, time_ms) F(blob, validators) F(blob, raw) F(hash, check)
RECORD_DECLARE(light_stored, LIGHT_STORED_FIELDS)
RECORD_DEFINE(light_stored, LIGHT_STORED_FIELDS)

#define PENDING_MAX 65 /* heights are 64 bits: the target, and 64 halvings */

/* A light block whose own validators signed it. */
struct known {
    struct header header;
    struct hash id;
    struct valset *validators;
    struct buf raw;
};

struct light {
    struct hash chain;
    uint64_t unbonding_ms;
    bool is_trusting; /* `trusted` is set */
    bool has_checkpoint;
    uint64_t checkpoint_height;
    struct hash checkpoint_id;
    struct known trusted;
    struct known pending[PENDING_MAX];
    uint32_t pending_n;
    uint64_t target; /* 0: none */
    uint32_t steps;  /* blocks taken for this target */
};

static void known_clear(struct known *k)
{
    free(k->validators);
    buf_clear(&k->raw);
    *k = (struct known){0};
}

static void known_copy(struct known *to, const struct known *from)
{
    *to = (struct known){.header = from->header, .id = from->id};
    if (from->validators) {
        to->validators = mem_new(sizeof *to->validators);
        *to->validators = *from->validators;
    }
    buf_add(&to->raw, from->raw.p, from->raw.n);
}

/* -- light blocks -- */

void light_put_validators(struct buf *out, const struct valset *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        light_validator_put(out, &(struct light_validator){s->v[i].key, s->v[i].power});
}

static enum err get_validators(struct bytes list, struct valset *s, struct note *note)
{
    struct valset_entry *e = mem_array(VALIDATORS_MAX, sizeof *e);
    size_t n = list.n / LIGHT_VALIDATOR_SIZE;
    bool is_good = list.n % LIGHT_VALIDATOR_SIZE == 0 && n > 0 && n <= VALIDATORS_MAX;
    struct cursor c = cursor_of(list);
    for (size_t i = 0; is_good && i < n; i++) {
        struct light_validator v;
        light_validator_get(&c, &v);
        e[i] = (struct valset_entry){v.key, v.power};
        is_good = i == 0 || pubkey_compare(&e[i - 1].key, &e[i].key) < 0;
    }
    enum err err = is_good ? valset_init(s, e, (uint32_t)n, note)
                           : note_set(note, ERR_FORMAT, "its list of validators is malformed");
    free(e);
    return err;
}

enum err light_block_decode(struct bytes raw, struct light_block *b, struct valset *s, struct note *note)
{
    struct cursor c = cursor_of(raw);
    if (raw.n > LIGHT_BLOCK_MAX)
        return note_set(note, ERR_LIMIT, "a header of %zu bytes: at most %u", raw.n, LIGHT_BLOCK_MAX);
    light_block_get(&c, b);
    if (!cursor_end(&c))
        return note_set(note, ERR_FORMAT, "no header: %zu bytes that do not decode", raw.n);
    if (b->header.version != BLOCK_VERSION)
        return note_set(note, ERR_UNSUPPORTED, "a header of version %u: this program knows version %d",
                        b->header.version, BLOCK_VERSION);
    struct valset *set = s ? s : mem_new(sizeof *set);
    enum err e = get_validators(b->validators, set, note);
    struct hash h = {{0}};
    if (e == ERR_OK)
        h = valset_hash(set);
    if (e == ERR_OK && !hash_equal(&h, &b->header.validators))
        e = note_set(note, ERR_CORRUPT, "the validators with header %" PRIu64 " are not those that it names",
                     b->header.height);
    if (!s)
        free(set);
    return e;
}

/* Decoded, of this chain, and signed by more than two thirds of its own validators. */
static enum err known_read(const struct light *l, struct bytes raw, struct known *k, struct note *note)
{
    struct light_block b;
    struct commit m;
    *k = (struct known){.validators = mem_new(sizeof *k->validators)};
    enum err e = light_block_decode(raw, &b, k->validators, note);
    if (e == ERR_OK && !hash_equal(&b.header.chain, &l->chain))
        e = note_set(note, ERR_CHAIN, "header %" PRIu64 " is of another chain", b.header.height);
    if (e == ERR_OK && commit_decode(b.commit, &m) != ERR_OK)
        e = note_set(note, ERR_FORMAT, "the commit of header %" PRIu64 " does not decode", b.header.height);
    if (e == ERR_OK) {
        k->header = b.header;
        k->id = block_id(&b.header);
        e = commit_verify(&m, &l->chain, b.header.height, &k->id, k->validators, note);
    }
    if (e == ERR_OK)
        buf_add(&k->raw, raw.p, raw.n);
    else
        known_clear(k);
    return e;
}

/* -- life -- */

struct light *light_new(const struct hash *chain, uint64_t unbonding_ms)
{
    struct light *l = mem_new(sizeof *l);
    l->chain = *chain;
    l->unbonding_ms = unbonding_ms;
    return l;
}

void light_forget(struct light *l)
{
    while (l->pending_n > 0)
        known_clear(&l->pending[--l->pending_n]);
    l->target = 0;
    l->steps = 0;
}

void light_free(struct light *l)
{
    if (!l)
        return;
    light_forget(l);
    known_clear(&l->trusted);
    free(l);
}

struct light *light_copy(const struct light *l)
{
    struct light *copy = light_new(&l->chain, l->unbonding_ms);
    copy->is_trusting = l->is_trusting;
    copy->has_checkpoint = l->has_checkpoint;
    copy->checkpoint_height = l->checkpoint_height;
    copy->checkpoint_id = l->checkpoint_id;
    known_copy(&copy->trusted, &l->trusted);
    return copy;
}

/* -- where trust begins -- */

/* The genesis as a header of height 0: its validators are those of height 1, its id is what header 1 names. */
static void trust_start(struct light *l, uint64_t time_ms, struct valset *set_take)
{
    known_clear(&l->trusted);
    l->trusted.header.time_ms = time_ms;
    l->trusted.header.validators = l->trusted.header.next_validators = valset_hash(set_take);
    l->trusted.validators = set_take;
    l->is_trusting = true;
}

enum err light_trust_genesis(struct light *l, const struct genesis *g, struct note *note)
{
    struct valset_entry *entries = mem_array(VALIDATORS_MAX, sizeof *entries);
    struct valset *set = mem_new(sizeof *set);
    struct hash id = genesis_chain_id(g);
    uint32_t n = genesis_holders(g->validators);
    enum err e = ERR_OK;
    if (!hash_equal(&id, &l->chain))
        e = note_set(note, ERR_CHAIN, "the genesis is of another chain");
    else if (n > VALIDATORS_MAX)
        e = note_set(note, ERR_LIMIT, "the genesis has %u validators: at most %u", n, VALIDATORS_MAX);
    for (uint32_t i = 0; e == ERR_OK && i < n; i++) {
        struct genesis_holder h = genesis_holder_at(g->validators, i);
        entries[i] = (struct valset_entry){h.key, h.amount.mote / GENESIS_STAKE_LEAST};
    }
    if (e == ERR_OK)
        e = valset_init(set, entries, n, note);
    if (e == ERR_OK)
        trust_start(l, g->time_ms, set);
    else
        free(set);
    free(entries);
    return e;
}

void light_trust_checkpoint(struct light *l, uint64_t height, const struct hash *id)
{
    known_clear(&l->trusted);
    l->is_trusting = false;
    l->has_checkpoint = true;
    l->checkpoint_height = height;
    l->checkpoint_id = *id;
}

static struct hash stored_check(const struct light_stored *s)
{
    struct buf b = {0};
    struct light_stored copy = *s;
    copy.check = (struct hash){{0}};
    light_stored_put(&b, &copy);
    struct hash h = hash_once(HASH_FILE, b.p, b.n);
    buf_clear(&b);
    return h;
}

void light_store(const struct light *l, struct buf *out)
{
    struct buf list = {0};
    CHECK(l->is_trusting);
    light_put_validators(&list, l->trusted.validators);
    struct light_stored s = {.chain = l->chain,
                             .time_ms = l->trusted.header.time_ms,
                             .validators = bytes_of_buf(&list),
                             .raw = bytes_of_buf(&l->trusted.raw)};
    s.check = stored_check(&s);
    light_stored_put(out, &s);
    buf_clear(&list);
}

enum err light_load(struct light *l, struct bytes raw, struct note *note)
{
    struct light_stored s;
    struct known k = {0};
    struct cursor c = cursor_of(raw);
    light_stored_get(&c, &s);
    struct hash check = {{0}};
    if (cursor_end(&c))
        check = stored_check(&s);
    if (!cursor_end(&c) || !hash_equal(&check, &s.check))
        return note_set(note, ERR_CORRUPT, "the kept header is damaged: remove it and give a checkpoint");
    if (!hash_equal(&s.chain, &l->chain))
        return note_set(note, ERR_CHAIN, "the kept header is of another chain");
    enum err e = ERR_OK;
    if (s.raw.n) {
        e = known_read(l, s.raw, &k, note);
        if (e == ERR_OK) {
            known_clear(&l->trusted);
            l->trusted = k;
            l->is_trusting = true;
        }
    } else {
        struct valset *set = mem_new(sizeof *set);
        e = get_validators(s.validators, set, note);
        if (e == ERR_OK)
            trust_start(l, s.time_ms, set);
        else
            free(set);
    }
    return e;
}

/* -- following -- */

enum err light_seek(struct light *l, uint64_t height, struct note *note)
{
    light_forget(l);
    if (!l->is_trusting && !l->has_checkpoint)
        return note_set(note, ERR_STATE, "nothing is trusted yet: give a genesis or a checkpoint");
    uint64_t from = l->is_trusting ? l->trusted.header.height : l->checkpoint_height;
    if (height < from)
        return note_set(note, ERR_RANGE, "height %" PRIu64 " is before the trusted height %" PRIu64, height, from);
    l->target = height;
    return ERR_OK;
}

bool light_wants(const struct light *l, uint64_t *height)
{
    if (!l->is_trusting && l->has_checkpoint && l->target) {
        *height = l->checkpoint_height;
        return true;
    }
    uint64_t at = l->trusted.header.height;
    if (!l->is_trusting || l->target <= at)
        return false;
    /* What is pending was tried with what is trusted, and did not do. */
    *height = l->pending_n ? at + (l->pending[l->pending_n - 1].header.height - at) / 2 : l->target;
    return true;
}

/* Young enough that who signed it can still be punished. */
static enum err trust_check_age(const struct light *l, const struct header *h, uint64_t now_ms, struct note *note)
{
    if (now_ms < h->time_ms || now_ms - h->time_ms < l->unbonding_ms)
        return ERR_OK;
    return note_set(note, ERR_EXPIRED,
                    "%s %" PRIu64 " is %" PRIu64
                    " s old, and who signed it may have left with the stake (after %" PRIu64
                    " s): give a newer checkpoint, --checkpoint HEIGHT:BLOCK, from somebody you trust",
                    h->height ? "the trusted header" : "the genesis: height", h->height, (now_ms - h->time_ms) / 1000,
                    l->unbonding_ms / 1000);
}

/* Power of the trusted validators that signed it. Its signatures were checked when it was read. */
static uint64_t overlap(const struct valset *trusted, const struct known *k)
{
    struct light_block b;
    struct commit m;
    uint64_t power = 0;
    struct cursor c = cursor_of(bytes_of_buf(&k->raw));
    light_block_get(&c, &b);
    CHECK(cursor_end(&c) && commit_decode(b.commit, &m) == ERR_OK);
    for (struct cursor sigs = cursor_of(m.sigs); sigs.n;) {
        struct commit_sig sig;
        commit_sig_get(&sigs, &sig);
        int at = valset_find(trusted, &k->validators->v[sig.index].key);
        power += at >= 0 ? trusted->v[at].power : 0;
    }
    return power;
}

enum trial { TRIAL_BELIEVED, TRIAL_TOO_FAR, TRIAL_FALSE };

static enum trial try_one(const struct light *l, const struct known *k, struct note *note)
{
    const struct known *t = &l->trusted;
    const char *wrong = NULL;
    bool is_next = k->header.height == t->header.height + 1;
    if (k->header.time_ms <= t->header.time_ms)
        wrong = "is not later than";
    else if (is_next && !hash_equal(&k->header.validators, &t->header.next_validators))
        wrong = "has other validators than were named by";
    else if (is_next && !hash_equal(&k->header.prev, &t->id))
        wrong = "does not name as the block before it";
    if (wrong) {
        note_set(note, ERR_PROTOCOL, "header %" PRIu64 " %s header %" PRIu64 ": it is of another history",
                 k->header.height, wrong, t->header.height);
        return TRIAL_FALSE;
    }
    if (is_next || valset_is_honest(t->validators, overlap(t->validators, k)))
        return TRIAL_BELIEVED;
    return TRIAL_TOO_FAR;
}

static void believe(struct light *l, struct known *k_take)
{
    known_clear(&l->trusted);
    l->trusted = *k_take;
    l->is_trusting = true;
    *k_take = (struct known){0};
}

/* Everything pending that what is trusted now reaches. */
static enum err advance(struct light *l, struct note *note)
{
    while (l->pending_n > 0) {
        struct known *k = &l->pending[l->pending_n - 1];
        enum trial t = try_one(l, k, note);
        if (t == TRIAL_FALSE) {
            known_clear(k); /* nothing else of it will do either: the server is dropped */
            l->pending_n--;
            return ERR_PROTOCOL;
        }
        if (t == TRIAL_TOO_FAR)
            break;
        believe(l, k);
        l->pending_n--;
    }
    return ERR_OK;
}

static enum err take_checkpoint(struct light *l, struct known *k, uint64_t now_ms, struct note *note)
{
    enum err e = trust_check_age(l, &k->header, now_ms, note);
    if (e == ERR_OK && !hash_equal(&k->id, &l->checkpoint_id))
        e = note_set(note, ERR_MISMATCH, "block %" PRIu64 " of this server is not the checkpoint's", k->header.height);
    if (e == ERR_OK)
        believe(l, k);
    return e;
}

enum err light_take(struct light *l, struct bytes raw, uint64_t now_ms, struct note *note)
{
    uint64_t wanted;
    struct known k;
    CHECK(light_wants(l, &wanted));
    enum err e = l->is_trusting ? trust_check_age(l, &l->trusted.header, now_ms, note) : ERR_OK;
    if (e != ERR_OK)
        return e;
    if (l->steps++ >= LIGHT_STEPS_MAX)
        return note_set(note, ERR_LIMIT,
                        "%u headers did not lead to height %" PRIu64 ": give a checkpoint nearer to it",
                        LIGHT_STEPS_MAX, l->target);
    if ((e = known_read(l, raw, &k, note)) != ERR_OK)
        return e;
    if (k.header.height != wanted)
        e = note_set(note, ERR_PROTOCOL, "header %" PRIu64 " came for height %" PRIu64, k.header.height, wanted);
    else if (k.header.time_ms > now_ms && k.header.time_ms - now_ms > LIGHT_CLOCK_DRIFT_MS)
        e = note_set(note, ERR_PROTOCOL, "header %" PRIu64 " is dated %" PRIu64 " s ahead: is this clock right?",
                     wanted, (k.header.time_ms - now_ms) / 1000);
    else if (!l->is_trusting)
        e = take_checkpoint(l, &k, now_ms, note);
    else {
        CHECK(l->pending_n < PENDING_MAX);
        l->pending[l->pending_n++] = k;
        return advance(l, note);
    }
    known_clear(&k);
    return e;
}

const struct header *light_header(const struct light *l)
{
    return &l->trusted.header;
}

struct hash light_id(const struct light *l)
{
    return l->trusted.id;
}

struct bytes light_raw(const struct light *l)
{
    return bytes_of_buf(&l->trusted.raw);
}

const struct valset *light_validators(const struct light *l)
{
    return l->trusted.validators;
}

/* -- the state -- */

enum err light_check_record(const struct light *l, enum state_class cls, struct bytes key, struct bytes value,
                            struct bytes proof, struct note *note)
{
    struct buf full = {0};
    uint8_t first = (uint8_t)cls;
    if (!l->is_trusting || l->trusted.header.height == 0)
        return note_set(note, ERR_STATE, "no header is known yet to prove anything by");
    buf_add(&full, &first, 1);
    buf_add(&full, key.p, key.n);
    bool holds = tree_verify(&l->trusted.header.state, bytes_of_buf(&full), value, proof);
    buf_clear(&full);
    if (!holds)
        return note_set(note, ERR_MISMATCH, "the proof does not fit the state that header %" PRIu64 " carries",
                        l->trusted.header.height);
    return ERR_OK;
}

enum err light_check_receipt(const struct rec_settlement *s, uint32_t index, const struct signed_receipt *r,
                             struct bytes proof, struct note *note)
{
    struct sum_node leaf = sum_leaf(&r->receipt);
    if (!hash_equal(&r->receipt.channel, &s->channel))
        return note_set(note, ERR_MISMATCH, "the receipt is of another channel than the settlement");
    if (!receipt_verify(&r->receipt, &s->provider, &r->sig))
        return note_set(note, ERR_AUTH, "the receipt is not signed by the settlement's provider");
    if (!sum_tree_verify(&s->receipts_root, s->count, index, &leaf, proof))
        return note_set(note, ERR_MISMATCH, "receipt %u is not among the %u of the settlement", index, s->count);
    return ERR_OK;
}

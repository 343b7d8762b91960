/* Models and data: registration, lineage, overlap.
 *
 * A publish names its direct parents with their part of the royalty, in bps. The ledger flattens that once, so that a
 * settlement pays one list: a data set takes its whole part; a model's part is divided as that model's own royalty
 * is, its publisher keeping what its ancestors do not take. Parts are counted in 1/LINEAGE_WHOLE, each product is
 * rounded down, and what rounding leaves stays with the nearer publisher. */
#include "chain/apply.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct flat {
    struct flat_entry at[LINEAGE_MAX];
    uint32_t n;
};

static struct flat_entry flat_at(struct bytes list, uint32_t i)
{
    struct flat_entry e;
    struct cursor c = cursor_of(bytes_of(list.p + (size_t)i * FLAT_ENTRY_SIZE, FLAT_ENTRY_SIZE));
    flat_entry_get(&c, &e);
    return e;
}

static enum err flat_add(struct apply *a, struct flat *f, const struct flat_entry *e)
{
    if (e->share == 0)
        return ERR_OK;
    for (uint32_t i = 0; i < f->n; i++)
        if (f->at[i].type == e->type && hash_equal(&f->at[i].id, &e->id)) {
            f->at[i].share += e->share; /* parts of one whole: they fit */
            return ERR_OK;
        }
    if (f->n == LINEAGE_MAX)
        return note_set(a->note, ERR_LIMIT, "more than %d ancestors in all: name fewer parents", LINEAGE_MAX);
    f->at[f->n++] = *e;
    return ERR_OK;
}

/* A parent model's part, divided along its own lineage. */
static enum err flat_add_model(struct apply *a, struct flat *f, const struct rec_model *parent, uint32_t share)
{
    uint32_t own = share;
    for (uint32_t i = 0; i < parent->lineage.n / FLAT_ENTRY_SIZE; i++) {
        struct flat_entry e = flat_at(parent->lineage, i);
        e.share = (uint32_t)((uint64_t)share * e.share / LINEAGE_WHOLE);
        own -= e.share;
        enum err err = flat_add(a, f, &e);
        if (err)
            return err;
    }
    return flat_add(a, f, &(struct flat_entry){LINEAGE_MODEL, parent->root, parent->publisher, own});
}

static enum err parent_model(struct apply *a, const struct tx_model_publish *body, const struct lineage_entry *e,
                             struct flat *f)
{
    struct rec_model parent;
    if (!state_get_model(a->s, &e->id, &parent))
        return note_set(a->note, ERR_NOT_FOUND, "parent model %s... is not on the ledger", apply_text_id(e->id.b).s);
    if (e->bps < parent.derive_bps)
        return note_set(a->note, ERR_REFUSED, "parent model %.64s asks for %u bps of the royalty, not %u",
                        parent.name.s, parent.derive_bps, e->bps);
    if (parent.derive_bps && body->royalty_bps < parent.royalty_bps)
        return note_set(a->note, ERR_REFUSED, "the royalty of %u bps is below the %u of parent model %.64s",
                        body->royalty_bps, parent.royalty_bps, parent.name.s);
    return flat_add_model(a, f, &parent, e->bps * (LINEAGE_WHOLE / BPS_ALL));
}

static enum err parent_data(struct apply *a, const struct lineage_entry *e, struct flat *f)
{
    struct rec_data data;
    if (!state_get_data(a->s, &e->id, &data))
        return note_set(a->note, ERR_NOT_FOUND, "data set %s... is not on the ledger", apply_text_id(e->id.b).s);
    if (!data.train)
        return note_set(a->note, ERR_REFUSED, "data set %.64s may not be trained on", data.name.s);
    if (e->bps < data.share_bps)
        return note_set(a->note, ERR_REFUSED, "data set %.64s asks for %u bps of the royalty, not %u", data.name.s,
                        data.share_bps, e->bps);
    return flat_add(a, f, &(struct flat_entry){LINEAGE_DATA, e->id, data.owner, e->bps * (LINEAGE_WHOLE / BPS_ALL)});
}

/* Decodes the direct parents and flattens them. */
static enum err lineage_flatten(struct apply *a, const struct tx_model_publish *body, struct lineage_entry *direct,
                                uint32_t *direct_n, struct flat *f)
{
    struct cursor c = cursor_of(body->lineage);
    uint32_t sum = 0, n = (uint32_t)(body->lineage.n / LINEAGE_ENTRY_SIZE);
    if (body->lineage.n % LINEAGE_ENTRY_SIZE)
        return note_set(a->note, ERR_FORMAT, "the lineage is cut: entries have %d bytes", LINEAGE_ENTRY_SIZE);
    if (n > LINEAGE_MAX)
        return note_set(a->note, ERR_LIMIT, "%u parents: at most %d", n, LINEAGE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct lineage_entry *e = &direct[i];
        lineage_entry_get(&c, e);
        sum += e->bps;
        if (e->type != LINEAGE_MODEL && e->type != LINEAGE_DATA)
            return note_set(a->note, ERR_FORMAT, "parent of unknown type %u", e->type);
        for (uint32_t k = 0; k < i; k++)
            if (direct[k].type == e->type && hash_equal(&direct[k].id, &e->id))
                return note_set(a->note, ERR_DUPLICATE, "parent %s... is named twice", apply_text_id(e->id.b).s);
        enum err err = e->type == LINEAGE_MODEL ? parent_model(a, body, e, f) : parent_data(a, e, f);
        if (err)
            return err;
    }
    if (sum > BPS_ALL)
        return note_set(a->note, ERR_RANGE, "the parents' parts add up to %u bps, over the whole of %u", sum, BPS_ALL);
    if (f->n && body->royalty_bps < a->params.royalty_floor_bps)
        return note_set(a->note, ERR_REFUSED, "a royalty of %u bps: where parents have a share it is at least %u",
                        body->royalty_bps, a->params.royalty_floor_bps);
    *direct_n = n;
    return ERR_OK;
}

static int compare_hashes(const void *x, const void *y)
{
    return hash_compare(x, y);
}

static int compare_flat(const void *x, const void *y)
{
    const struct flat_entry *a = x, *b = y;
    return a->type != b->type ? (a->type > b->type) - (a->type < b->type) : hash_compare(&a->id, &b->id);
}

static bool names_parent(const struct lineage_entry *direct, uint32_t n, const struct hash *root)
{
    for (uint32_t i = 0; i < n; i++)
        if (direct[i].type == LINEAGE_MODEL && hash_equal(&direct[i].id, root))
            return true;
    return false;
}

static uint32_t share_of(const struct flat *f, const struct flat_entry *e)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->at[i].type == e->type && hash_equal(&f->at[i].id, &e->id))
            return f->at[i].share;
    return 0;
}

/* Is this model an ancestor through others, and has it, with all that have a part in it, what a child would owe it? */
static bool has_its_due(struct apply *a, const struct tx_model_publish *body, const struct flat *f,
                        const struct rec_model *model)
{
    struct flat due = {.n = 0};
    struct flat_entry itself = {LINEAGE_MODEL, model->root, model->publisher, 0};
    bool has = share_of(f, &itself) > 0 && (model->derive_bps == 0 || body->royalty_bps >= model->royalty_bps);
    if (flat_add_model(a, &due, model, model->derive_bps * (LINEAGE_WHOLE / BPS_ALL)) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < due.n && has; i++)
        has = share_of(f, &due.at[i]) >= due.at[i].share;
    return has;
}

/* So many of a model's tensors are an earlier one's that it is derived from it: of its own, or half as many of its own
 * if they are many of the earlier one's. The latter is a model with what adapters add, two tensors for a matrix. Many
 * of the earlier one's alone would not do: whoever registers one tensor that is in all models of a kind would be their
 * parent. */
static bool is_derived(const struct apply *a, uint32_t same, uint32_t of, uint32_t of_earlier)
{
    const uint64_t n = (uint64_t)same * BPS_ALL, most = a->params.overlap_bps;
    return n > most * of || (n > most * of_earlier && 2 * n > most * of);
}

/* A model that holds many tensors of one earlier model is derived from it, and must say so: as its child, or as one of
 * its descendants that gives it as much. Through a child that asks for nothing it would give next to nothing. */
static enum err overlap_check(struct apply *a, const struct tx_model_publish *body, const struct lineage_entry *direct,
                              uint32_t direct_n, const struct flat *f)
{
    struct hash *seen = mem_array(body->tensors.n, sizeof *seen);
    struct rec_model model;
    uint32_t n = 0;
    enum err e = ERR_OK;
    for (uint32_t i = 0; i < body->tensors.n; i++) {
        struct hash tensor = hashes_at(&body->tensors, i);
        if (state_get_tensor(a->s, &tensor, &seen[n]))
            n++;
    }
    qsort(seen, n, sizeof *seen, compare_hashes);
    for (uint32_t i = 0, run = 1; i < n && e == ERR_OK; i++, run++) {
        if (i + 1 < n && hash_equal(&seen[i], &seen[i + 1]))
            continue;
        CHECK(state_get_model(a->s, &seen[i], &model));
        if (is_derived(a, run, body->tensors.n, model.tensors) && !names_parent(direct, direct_n, &seen[i])) {
            if (!has_its_due(a, body, f, &model))
                e = note_set(a->note, ERR_REFUSED, "%u of %u tensors are those of model %s...: name it as a parent",
                             run, body->tensors.n, apply_text_id(seen[i].b).s);
        }
        run = 0;
    }
    free(seen);
    return e;
}

static enum err manifest_check(struct apply *a, const struct tx_model_publish *body)
{
    struct rec_model other;
    struct hash named, tensors = tx_tensors_root(&body->tensors);
    if (hash_is_zero(&body->root) || body->size == 0 || body->size > BLOB_SIZE_MAX)
        return note_set(a->note, ERR_RANGE, "a model needs a root and a size of at most %llu bytes",
                        (unsigned long long)BLOB_SIZE_MAX);
    if (body->name.n == 0)
        return note_set(a->note, ERR_FORMAT, "a model needs a name");
    if (state_get_model(a->s, &body->root, &other))
        return note_set(a->note, ERR_EXISTS, "model %s... is registered already, as %.64s",
                        apply_text_id(body->root.b).s, other.name.s);
    if (body->name.n == 2 * HASH_SIZE && hex_get(body->name.s, named.b, HASH_SIZE))
        return note_set(a->note, ERR_FORMAT, "64 hexadecimal digits are the root of a model, and no name");
    if (body->royalty_bps > a->params.royalty_max_bps)
        return note_set(a->note, ERR_RANGE, "a royalty of %u bps: at most %u", body->royalty_bps,
                        a->params.royalty_max_bps);
    if (body->derive_bps > BPS_ALL)
        return note_set(a->note, ERR_RANGE, "derived models would owe %u bps, over the whole of %u", body->derive_bps,
                        BPS_ALL);
    if (body->tensors.n == 0 || body->tensors.n > TENSORS_MAX || !hash_equal(&tensors, &body->tensors_root))
        return note_set(a->note, ERR_FORMAT, "the tensors' roots do not give the manifest's root over them");
    return ERR_OK;
}

/* One that belongs to another publisher is left to him, and the model's root stands for it. It is no failure: a
 * publication that fails has shown its root, and whoever took the name in time would be the next to claim that. */
static struct text64 name_for(struct apply *a, const struct tx_model_publish *body)
{
    struct rec_model other;
    struct hash named;
    struct text64 name = body->name;
    if (state_get_name(a->s, &body->name, &named) && state_get_model(a->s, &named, &other) &&
        !pubkey_equal(&other.publisher, &a->signer)) {
        char digits[2 * HASH_SIZE + 1];
        hex_put(digits, body->root.b, HASH_SIZE);
        CHECK(text64_set(&name, digits));
    }
    return name;
}

static void model_store(struct apply *a, const struct tx_model_publish *body, struct flat *f)
{
    struct buf lineage = {0};
    qsort(f->at, f->n, sizeof *f->at, compare_flat);
    for (uint32_t i = 0; i < f->n; i++)
        flat_entry_put(&lineage, &f->at[i]);
    struct rec_model m = {
        .root = body->root,
        .publisher = a->signer,
        .size = body->size,
        .name = name_for(a, body),
        .licence = body->licence,
        .architecture = body->architecture,
        .format = body->format,
        .arith = body->arith,
        .royalty_bps = body->royalty_bps,
        .derive_bps = body->derive_bps,
        .tensors_root = body->tensors_root,
        .tensors = body->tensors.n,
        .bond = a->params.model_bond,
        .height = a->height,
        .lineage = bytes_of_buf(&lineage),
    };
    state_put_model(a->s, &m.root, &m);
    state_put_name(a->s, &m.name, &m.root);
    buf_clear(&lineage);
    for (uint32_t i = 0; i < body->tensors.n; i++) {
        struct hash tensor = hashes_at(&body->tensors, i), first;
        if (!state_get_tensor(a->s, &tensor, &first))
            state_put_tensor(a->s, &tensor, &m.root);
    }
}

enum err apply_tx_model_publish(struct apply *a, const struct tx_model_publish *body)
{
    struct lineage_entry direct[LINEAGE_MAX];
    struct flat flat = {.n = 0};
    uint32_t direct_n = 0;
    enum err e = manifest_check(a, body);
    if (e)
        return e;
    if ((e = lineage_flatten(a, body, direct, &direct_n, &flat)))
        return e;
    if ((e = overlap_check(a, body, direct, direct_n, &flat)))
        return e;
    if (!state_debit(a->s, &a->signer, POT_LOCKED, a->params.model_bond))
        return apply_no_funds(a, a->params.model_bond);
    model_store(a, body, &flat);
    state_put_due(a->s,
                  &(struct due){a->clock_ms + a->params.model_bond_ms, DUE_MODEL_BOND, body->root, {a->signer, 0}});
    struct ledger_event *ev = apply_event(a, LEDGER_MODEL);
    ev->id = body->root;
    ev->a = a->signer;
    return ERR_OK;
}

enum err apply_tx_data_contribute(struct apply *a, const struct tx_data_contribute *body)
{
    struct rec_data other;
    struct hash plain;
    if (hash_is_zero(&body->plain_root) || hash_is_zero(&body->cipher_root) || body->size == 0 ||
        body->size > BLOB_SIZE_MAX)
        return note_set(a->note, ERR_RANGE, "a data set needs two roots and a size of at most %llu bytes",
                        (unsigned long long)BLOB_SIZE_MAX);
    if (body->name.n == 0)
        return note_set(a->note, ERR_FORMAT, "a data set needs a name");
    if (body->share_bps > BPS_ALL)
        return note_set(a->note, ERR_RANGE, "a share of %u bps, over the whole of %u", body->share_bps, BPS_ALL);
    if (state_get_data(a->s, &body->plain_root, &other) || state_get_cipher(a->s, &body->cipher_root, &plain))
        return note_set(a->note, ERR_EXISTS, "this data set is registered already");
    struct rec_data d = {body->plain_root, body->cipher_root, a->signer,       body->size,  body->name, body->format,
                         body->licence,    body->train,       body->share_bps, body->price, a->height,  0};
    state_put_data(a->s, &d.plain_root, &d);
    state_put_cipher(a->s, &d.cipher_root, &d.plain_root);
    struct ledger_event *ev = apply_event(a, LEDGER_DATA);
    ev->id = d.plain_root;
    ev->a = a->signer;
    return ERR_OK;
}

/* Providers: which node serves what, for which owner, and the index of auditors by model: of an owner's nodes
 * the last that said so. */
#include "chain/apply.h"

#include <string.h>

/* Every model exists and stands there once. */
static enum err models_check(struct apply *a, const struct hashes *models)
{
    struct rec_model model;
    if (models->n > PROVIDER_MODELS_MAX)
        return note_set(a->note, ERR_LIMIT, "%u models on one node: at most %d", models->n, PROVIDER_MODELS_MAX);
    for (uint32_t i = 0; i < models->n; i++) {
        struct hash root = hashes_at(models, i);
        if (!state_get_model(a->s, &root, &model))
            return note_set(a->note, ERR_NOT_FOUND, "model %s... is not on the ledger: publish it first",
                            apply_text_id(root.b).s);
        for (uint32_t k = 0; k < i; k++) {
            struct hash other = hashes_at(models, k);
            if (hash_equal(&root, &other))
                return note_set(a->note, ERR_DUPLICATE, "model %s... is listed twice", apply_text_id(root.b).s);
        }
    }
    return ERR_OK;
}

static enum err consent_check(struct apply *a, const struct tx_provider *body)
{
    static const struct sig none;
    if (pubkey_equal(&body->node, &a->signer))
        return memcmp(&body->node_sig, &none, sizeof none) == 0
                   ? ERR_OK
                   : note_set(a->note, ERR_FORMAT, "the node is the signer: its own agreement must be left out");
    if (!tx_consent_verify(&a->chain, &a->signer, &body->node, &body->node_sig))
        return note_set(a->note, ERR_AUTH, "node %s... has not agreed to this owner", apply_text_id(body->node.b).s);
    return ERR_OK;
}

static bool has_bond(struct apply *a, enum bond_role role, struct amount least)
{
    return amount_compare(state_get_bond(a->s, role, &a->signer), least) >= 0;
}

enum err apply_tx_provider(struct apply *a, const struct tx_provider *body)
{
    struct rec_provider old;
    enum err e = models_check(a, &body->models);
    if (e)
        return e;
    if ((e = consent_check(a, body)))
        return e;
    if (state_get_provider(a->s, &body->node, &old) && !pubkey_equal(&old.owner, &a->signer))
        return note_set(a->note, ERR_EXISTS, "node %s... serves under another owner: use a fresh node key",
                        apply_text_id(body->node.b).s);
    if (body->models.n && !has_bond(a, BOND_PROVIDER, a->params.provider_bond_min) &&
        !(body->audits && has_bond(a, BOND_AUDITOR, a->params.auditor_bond_min)))
        return note_set(a->note, ERR_STATE, "serving needs a provider bond of %s: bond first",
                        apply_text_amount(a->params.provider_bond_min).s);
    for (uint32_t i = 0; old.audits && i < old.models.n; i++) {
        struct hash root = hashes_at(&old.models, i);
        state_remove_auditor(a->s, &root, &a->signer, &body->node);
    }
    struct rec_provider p = {body->node, a->signer, body->endpoint, body->models, body->audits};
    state_put_provider(a->s, &body->node, &p);
    for (uint32_t i = 0; body->audits && i < body->models.n; i++) {
        struct hash root = hashes_at(&body->models, i);
        state_put_auditor(a->s, &root, &a->signer, &body->node);
    }
    struct ledger_event *ev = apply_event(a, LEDGER_PROVIDER);
    ev->a = body->node;
    ev->b = a->signer;
    return ERR_OK;
}

/* Who signs for an account: its own key, or k of the keys of its rule.
 *
 * A rule binds transactions. What other records let a single key sign (votes, vouchers, receipts, a node's consent)
 * stays that key's; so an account with a rule opens no channel, since its key alone could promise the deposit away. */
#include "chain/apply.h"

enum err apply_authorized(const struct state *s, const struct tx *t, const struct rec_account *account,
                          struct note *note)
{
    struct rec_rule rule = {0};
    if (account->k)
        CHECK(state_get_rule(s, &t->signer, &rule));
    return tx_authorized(t, account->k, &rule.keys, note);
}

enum err apply_tx_account_rule(struct apply *a, const struct tx_account_rule *body)
{
    struct rec_account account;
    state_get_account(a->s, &a->signer, &account);
    if (body->k == 0) {
        if (body->keys.n)
            return note_set(a->note, ERR_FORMAT, "no signatures out of %u keys: leave the keys out to end the rule",
                            body->keys.n);
        if (account.k == 0)
            return note_set(a->note, ERR_STATE, "the account has no rule that could end");
        state_remove_rule(a->s, &a->signer);
    } else {
        enum err e = tx_rule_check(body->k, &body->keys, a->note);
        if (e)
            return e;
        state_put_rule(a->s, &a->signer, &(struct rec_rule){body->k, body->keys});
    }
    account.k = body->k;
    state_put_account(a->s, &a->signer, &account);
    struct ledger_event *ev = apply_event(a, LEDGER_RULE);
    ev->a = a->signer;
    ev->index = body->keys.n;
    ev->code = body->k;
    return ERR_OK;
}

/* How money moves in the state: between an account and a pot, or between two pots. Nothing else changes a balance or a
 * total, so the supply is conserved by each function here. */
#include "chain/state.h"

static struct amount *pot_of(struct state *s, enum pot pot)
{
    switch (pot) {
    case POT_LOCKED:
        return &s->totals.locked;
    case POT_FUNDS:
        return &s->totals.funds;
    case POT_BURNED:
        return &s->totals.burned;
    }
    CHECK(!"a pot");
}

/* No sum here can pass the supply, and the supply fits; no pot can go below zero, since it holds the sum of what the
 * records say is in it. */
static void move(struct amount *from, struct amount *to, struct amount a)
{
    CHECK(amount_sub(from, *from, a));
    CHECK(amount_add(to, *to, a));
}

bool state_debit(struct state *s, const struct pubkey *from, enum pot to, struct amount a)
{
    struct rec_account account;
    state_get_account(s, from, &account);
    if (!amount_sub(&account.balance, account.balance, a))
        return false;
    move(&s->totals.balances, pot_of(s, to), a);
    state_put_account(s, from, &account);
    return true;
}

void state_charge(struct state *s, const struct pubkey *key, struct rec_account *account, enum pot to,
                  struct amount fee)
{
    CHECK(amount_sub(&account->balance, account->balance, fee));
    account->nonce++;
    move(&s->totals.balances, pot_of(s, to), fee);
    state_put_account(s, key, account);
}

void state_credit(struct state *s, enum pot from, const struct pubkey *to, struct amount a)
{
    struct rec_account account;
    if (a.mote == 0)
        return;
    state_get_account(s, to, &account);
    CHECK(amount_add(&account.balance, account.balance, a));
    move(pot_of(s, from), &s->totals.balances, a);
    state_put_account(s, to, &account);
}

void state_shift(struct state *s, enum pot from, enum pot to, struct amount a)
{
    move(pot_of(s, from), pot_of(s, to), a);
}

bool state_transfer(struct state *s, const struct pubkey *from, const struct pubkey *to, struct amount a)
{
    if (!state_debit(s, from, POT_LOCKED, a))
        return false;
    state_credit(s, POT_LOCKED, to, a);
    return true;
}

struct amount state_issue(struct state *s, struct amount a)
{
    struct amount issued, supply;
    if (!amount_add(&issued, s->totals.issued, a) || !amount_add(&supply, s->totals.genesis, issued))
        return amount_of(0);
    s->totals.issued = issued;
    CHECK(amount_add(&s->totals.locked, s->totals.locked, a));
    return a;
}

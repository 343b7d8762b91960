/* Agreement of chain/bft.c's rules, checked over every interleaving: n = 4, of which one is Byzantine, R rounds of one
 * height, two values.
 *
 *     make model [ROUNDS=N]          docs/consensus.md says what this covers and what it does not
 *
 * The network is a set of all that was ever signed by the honest. Nothing in it must be received: every rule may be
 * passed over, and every timeout may come at any time; so delay, loss, reordering, repetition and partitions are all in it.
 * The Byzantine validator is not a process. Its prevotes and precommits, for everything at once, are taken for
 * granted: three of four are needed, so two of the honest suffice. In its rounds it shows each validator any proposal.
 *
 * Nil votes decide nothing, so there are none: who would vote nil, or runs into a timeout, just stays where it may do more, and
 * may go on to the next round at any time. Every run of the real rules is a run here, with the same votes for values.
 *
 * Encoding: values 1 and 2, 0 for nothing; rounds that may be absent are round + 1, 0 for none.
 *
 * -DPAPER: the rule of the paper, a locked validator prevotes its own value on any ground (chain/bft.c is stricter).
 * Wrong rules that the search must catch, one at a time:
 * -DWRONG_UNLOCK: any earlier quorum releases a lock.  -DWRONG_FRESH: a lock does not hold against fresh values.
 * -DWRONG_QUORUM: half is a quorum.  -DWRONG_FORGET: the lock is gone with the round.
 */
#ifndef ROUNDS
#define ROUNDS 3
#endif
#define HONEST    3
#define BYZANTINE 3
#ifdef WRONG_QUORUM
#define NEEDED 1 /* of the honest, beside the Byzantine one */
#else
#define NEEDED 2
#endif

byte prevote_value[HONEST * ROUNDS], prevote_ground[HONEST * ROUNDS]; /* by validator and round */
byte precommit[HONEST * ROUNDS];
byte proposal_value[ROUNDS], proposal_ground[ROUNDS]; /* of honest proposers */
byte first; /* round r is validator (first + r) % 4's */

#define AT(i, r)         ((i) * ROUNDS + (r))
#define PREVOTED(i, r, v, g) (prevote_value[AT(i, r)] == (v) && prevote_ground[AT(i, r)] == (g))
#define QUORUM_ON(r, v, g)   (PREVOTED(0, r, v, g) + PREVOTED(1, r, v, g) + PREVOTED(2, r, v, g) >= NEEDED)
#if ROUNDS == 2
#define QUORUM(r, v) (QUORUM_ON(r, v, 0) || QUORUM_ON(r, v, 1))
#elif ROUNDS == 3
#define QUORUM(r, v) (QUORUM_ON(r, v, 0) || QUORUM_ON(r, v, 1) || QUORUM_ON(r, v, 2))
#elif ROUNDS == 4
#define QUORUM(r, v) (QUORUM_ON(r, v, 0) || QUORUM_ON(r, v, 1) || QUORUM_ON(r, v, 2) || QUORUM_ON(r, v, 3))
#else
#define QUORUM(r, v)                                                                                                   \
    (QUORUM_ON(r, v, 0) || QUORUM_ON(r, v, 1) || QUORUM_ON(r, v, 2) || QUORUM_ON(r, v, 3) || QUORUM_ON(r, v, 4))
#endif
#define COMMITTED_IN(r, v)                                                                                             \
    ((precommit[AT(0, r)] == (v)) + (precommit[AT(1, r)] == (v)) + (precommit[AT(2, r)] == (v)) >= NEEDED)
#define PROPOSER(r) ((first + (r)) % 4)

bool committed[3]; /* by value */

/* May a validator with this lock prevote v on ground g? */
#if defined(WRONG_FRESH)
#define ACCEPTED(v, g) ((g) == 0 || locked <= (g))
#elif defined(WRONG_UNLOCK)
#define ACCEPTED(v, g) ((g) > 0 || locked == 0)
#elif defined(PAPER)
#define ACCEPTED(v, g) (locked <= (g) || locked_value == (v))
#else
#define ACCEPTED(v, g) (locked <= (g)) /* no lock, no ground: 0 <= 0 */
#endif

inline note_commit(r, v)
{
    if
    :: COMMITTED_IN(r, v) -> committed[v] = true
    :: else
    fi;
    assert(!(committed[1] && committed[2]))
}

proctype validator(byte me)
{
    byte round = 0, step = 0; /* 0: may prevote and precommit, 1: precommit, 2: neither */
    byte locked = 0, valid = 0, valid_value = 0;
#ifdef PAPER
    byte locked_value = 0;
#endif
    byte v, g;
end:
    do
    /* lines 14 to 19: propose */
    :: atomic {
           step == 0 && PROPOSER(round) == me && proposal_value[round] == 0 ->
           if
           :: valid > 0 -> proposal_value[round] = valid_value; proposal_ground[round] = valid
           :: valid == 0 -> proposal_value[round] = 1
           :: valid == 0 -> proposal_value[round] = 2
           fi
       }
    /* lines 22 and 28: prevote; a ground g > 0 is waited for */
    :: atomic {
           step == 0 && (PROPOSER(round) == BYZANTINE || proposal_value[round] != 0) ->
           if
           :: PROPOSER(round) != BYZANTINE -> v = proposal_value[round]; g = proposal_ground[round]
           :: PROPOSER(round) == BYZANTINE -> v = 1
           :: PROPOSER(round) == BYZANTINE -> v = 2
           fi;
           if
           :: PROPOSER(round) == BYZANTINE -> g = 0; do :: g < round -> g++ :: break od
           :: else
           fi;
           if
           :: (g == 0 || QUORUM(g - 1, v)) && ACCEPTED(v, g) ->
              prevote_value[AT(me, round)] = v;
              prevote_ground[AT(me, round)] = g;
              step = 1
           :: else
           fi;
           v = 0;
           g = 0
       }
    /* line 36: a quorum of prevotes for a value whose proposal is here: locked and precommitted, unless nil was */
    :: atomic {
           step < 2 && (QUORUM(round, 1) || QUORUM(round, 2)) ->
           if
           :: QUORUM(round, 1) -> v = 1
           :: QUORUM(round, 2) -> v = 2
           fi;
           if
           :: PROPOSER(round) == BYZANTINE || proposal_value[round] == v ->
              valid = round + 1;
              valid_value = v;
              step = 2;
              if
              :: locked = round + 1;
#ifdef PAPER
                 locked_value = v;
#endif
                 precommit[AT(me, round)] = v;
                 note_commit(round, v)
              :: skip
              fi
           :: else
           fi;
           v = 0
       }
    /* lines 55 and 65: the next round, from any step, as a skip over it may also be */
    :: atomic {
           round + 1 < ROUNDS ->
           round++;
           step = 0;
#ifdef WRONG_FORGET
           locked = 0
#endif
       }
    od
}

init
{
    atomic {
        if
        :: first = 0
        :: first = 1
        :: first = 2
        :: first = 3
        fi;
        run validator(0);
        run validator(1);
        run validator(2)
    }
}

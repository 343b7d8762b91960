#!/bin/bash
# Two rounds of training at home, and who is paid for it: a base is published; two train beside it on data that stay with them, a third
# joins their updates and publishes; one trains again beside what was joined, and a fourth joins and publishes that. One job with the last
# model, and publishers and contributors have what docs/ledger.md says, to the mote.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
guide=models/kith-guide.gguf
[ -f $guide ] || { echo "skip: e2e_lineage: $guide is not there"; exit 0; }
. tests/net.sh lineage

net_people kith-lineage v1 provider requester
net_param model_bond_ms 36000000 # bonds that come back meanwhile would be in the sums
node_start v1 --validator --heartbeat-ms 1000 --no-default-model
node_start provider --provide --no-default-model
node_start requester --no-default-model
net_is_up v1 provider requester

# Five owners with nothing but an account; they use v1's node.
owners="base ann bert joiner carol"
for o in $owners; do
    k v1 wallet new --name $o --prefix kithdev --json | json address >"$NET/$o.address" || fail "no account for $o"
    fund() { quietly k v1 tx send "$(cat "$NET/$o.address")" 20 --yes; }
    until_done "money for $o" 30 fund || fail "$o has no money"
done
mote() { balance v1 "$(cat "$NET/$1.address")"; }
is_funded() { for o in $owners; do [ "$(mote $o)" -gt 0 ] || return 1; done; }
until_done "money" 30 is_funded || fail "not all have money"

publish() { # OWNER FILE NAME OPTION...
    local owner=$1 file=$2 name=$3
    shift 3
    again() { k v1 model publish "$file" --name "$name" --account "$owner" "$@" --json >"$NET/$name.json" 2>"$NET/$name.said"; }
    until_done "publish $name" 60 again "$@" || fail "$name cannot be published: $(cat "$NET/$name.said")"
}
root_of() { json root <"$NET/$1.json"; }
add() { # OWNER: a text of theirs, registered; no key of it is given to anybody
    head -c 12000 "docs/$2.md" >"$NET/$1.txt"
    again() { k v1 data add "$NET/$1.txt" --name "$1" --share 10 --account "$1" --json >"$NET/$1.json" 2>"$NET/$1.said"; }
    until_done "data of $1" 60 again "$1" || fail "no data of $1: $(cat "$NET/$1.said")"
}
train() { # WHO BASE UPDATE
    quietly "$KITH" train --model "$2" --data "$NET/$1.txt" --rank 4 --steps 4 --batch 2 --length 64 --rate 0.004 -o "$NET/$3.gguf" 2>"$NET/train.said" ||
        fail "$1 cannot train: $(cat "$NET/train.said")"
}
adapt() { quietly "$KITH" model adapt "$@" 2>"$NET/adapt.said" || fail "cannot join: $(cat "$NET/adapt.said")"; }
export KITH_CACHE=off

publish base $guide guide --royalty 20 --derive-share 20
add ann market
add bert consensus
train ann $guide a
train bert $guide b
adapt $guide "$NET/a.gguf=0.5" "$NET/b.gguf=0.5" -o "$NET/joined.gguf"
publish joiner "$NET/joined.gguf" joined --royalty 20 --derive-share 40 --data "$(json plain_root <"$NET/ann.json"):10" --data "$(json plain_root <"$NET/bert.json"):10"
check "the base is named" grep -q 'its base .* with 20.00 %' "$NET/joined.said"

train ann "$NET/joined.gguf" a2
adapt "$NET/joined.gguf" "$NET/a2.gguf" -o "$NET/second.gguf"
publish carol "$NET/second.gguf" second --royalty 20 --data "$(json plain_root <"$NET/ann.json"):10"
check "so is the base of the second round" grep -q 'its base .* with 40.00 %' "$NET/second.said"
check "... and what that was made of, which would have had 8 % through it" grep -q 'made of, .* with 20.00 %' "$NET/second.said"

root=$(root_of second)
serve() { quietly k provider model pull "$root" && quietly k provider share start --model "$root" --price-in 10000 --price-out 40000; }
until_done "the provider shares" 60 serve || fail "the provider cannot share"
until_done "an offer" 30 has_offer requester || fail "no offer reached the requester"
for o in $owners provider; do mote $o >"$NET/$o.before"; done
ask() { k requester chat "$root" --route network --key one --tokens 16 --temp 0 -m "What is Kith?" --json >"$NET/answer"; }
until_done "an answer" 60 ask || fail "no answer"
job=$(json job <"$NET/answer")
paid() {
    k requester job show "$job" --json >"$NET/job"
    case "$(json settlement.state <"$NET/job")" in
    paid) return 0 ;;
    "") quietly k provider settle ;;
    esac
    return 1
}
until_done "the job is paid" 90 paid || fail "the job was not paid: $(cat "$NET/job")"
all_have() { [ "$(mote carol)" != "$(cat "$NET/carol.before")" ]; }
until_done "the money" 30 all_have || fail "nobody was paid"

a=$(json settlement.amount <"$NET/job")
r=$((a * 2000 / 10000))
[ "$r" -gt 1000 ] || fail "a royalty of $r mote of $a: too little to tell anything"
# Of the royalty: guide 40 % x 20 % + 20 %, ann 40 % x 10 % + 10 %, bert 40 % x 10 %, joiner 40 % x 60 %, carol the rest.
earned() { echo $(($(mote "$1") - $(cat "$NET/$1.before"))); }
check "the base's publisher" same "$(earned base)" $((r * 28 / 100))
check "ann, whose data are in both rounds" same "$(earned ann)" $((r * 14 / 100))
check "bert, whose data are in the first" same "$(earned bert)" $((r * 4 / 100))
check "who joined the first round" same "$(earned joiner)" $((r * 24 / 100))
check "who joined the second" same "$(earned carol)" $((r * 30 / 100))
all=$((r * 28 / 100 + r * 14 / 100 + r * 4 / 100 + r * 24 / 100 + r * 30 / 100))
check "the provider has the rest" same "$(earned provider)" $((a - a * 100 / 10000 - a * 100 / 10000 - all))
k v1 chain info --json | python3 -c '
import json, sys
s = {k: int(v) for k, v in json.load(sys.stdin)["supply"].items()}
assert s["balances"] + s["locked"] + s["funds"] + s["burned"] == s["genesis"] + s["issued"], s' || fail "the supply does not add up"
grep -h ' broken ' "$NET"/*.log && fail "something broke"
[ $failed = 0 ] && echo "e2e_lineage: ok: of $a mote base +$(earned base) ann +$(earned ann) bert +$(earned bert) joiner +$(earned joiner) carol +$(earned carol) provider +$(earned provider)"
exit $failed

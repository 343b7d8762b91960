#!/bin/bash
# Data for money, between three nodes: an honest sale, over kill -9 of both sides, ends with the file as it was; a seller's node
# refuses to release a key that its disk changed (tests/test_access.c has one that is released all the same); a buyer that comes
# late has its key from the blocks; a price for which no key comes returns. And a bounty.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
. tests/net.sh data

net_people kith-data v1 seller buyer
net_param grant_release_ms 25000
net_param grant_dispute_ms 6000
node_start v1 --validator --heartbeat-ms 2000
node_start seller --no-default-model
node_start buyer --no-default-model
net_is_up v1 seller buyer

mote() { balance v1 "$(cat "$NET/$1.address")"; }
said() { grep -q "$1" "$NET/said" || fail "it said \"$(cat "$NET/said")\", not \"$1\""; }
# add WHO NAME SIZE: a set of theirs at 5 KITH; its root.
add() {
    head -c "$3" /dev/urandom >"$NET/$2.bin"
    k "$1" data add "$NET/$2.bin" --name "$2" --licence MIT --price 5 --json >"$NET/$2.json" || fail "cannot add $2"
    json plain_root <"$NET/$2.json" >"$NET/$2.root"
}
# is_known WHO NAME
is_known() { k "$1" data show "$2" >/dev/null 2>&1; }

# -- a sale for which no key will come: it is waited for beside all the others --
add buyer none 1000
until_done "v1 hears of it" 30 is_known v1 none || fail "the data set does not reach v1"
locked=$(mote v1)
k v1 data buy none --yes >"$NET/none.said" 2>&1 &
keyless=$!

# -- an honest sale; three leaves, the last one short --
add seller good 70000
until_done "the buyer hears of it" 30 is_known buyer good || fail "the data set does not reach the buyer"
k buyer data get good --out "$NET/early" >"$NET/said" 2>&1 && fail "data without a key"
said 'buys access'
k buyer data buy good --yes --max-price 4 >"$NET/said" 2>&1 && fail "dearer than it may be"
said 'more than --max-price'
k seller data buy good --yes >"$NET/said" 2>&1 && fail "bought what is the seller's own"
said 'on this node already'
k buyer data buy good --yes --no-wait --json >"$NET/bought" || fail "cannot buy"
k buyer data get good --out "$NET/early" >"$NET/said" 2>&1 && fail "data before its key"
said 'not released yet'
kill -9 "$(node_pid seller)" "$(node_pid buyer)"
until_done "the seller is back" 30 node_is_up seller || fail "the seller does not come back"
until_done "the buyer is back" 30 node_is_up buyer || fail "the buyer does not come back"
until_done "release" 20 k seller data grant >"$NET/said" || fail "no key was released"
said 'released the key of good for 5 KITH'
got() { k buyer data get good --out "$NET/good.got" >"$NET/said" 2>&1; }
until_done "the data" 20 got || fail "the data cannot be got: $(cat "$NET/said")"
cmp "$NET/good.bin" "$NET/good.got" || fail "the data is another"
k buyer data get good --out "$NET/good.got" >"$NET/said" 2>&1 && fail "a file was overwritten"
said 'there already'
paid() {
    curl -sf "http://$(node_http v1)/kith/v1/grants?account=$(cat "$NET/seller.address")" |
        python3 -c 'import json, sys; sys.exit([g["state"] for g in json.load(sys.stdin)["grants"]] != ["paid", "paid"])'
}

# -- another key than the one that the data was encrypted with --
add seller bad 100000
until_done "the buyer hears of it" 30 is_known buyer bad || fail "the data set does not reach the buyer"
root=$(cat "$NET/bad.root")
k buyer data buy bad --yes --no-wait >/dev/null || fail "cannot buy"
cp "$NET/seller/data/$root.key" "$NET/kept.key"
head -c 32 /dev/urandom >"$NET/seller/data/$root.key"
k seller data grant >"$NET/said" 2>&1 && fail "a key that opens nothing was released"
said 'put back a copy'
# Nor is one that cannot be tried.
mv "$NET/seller/data/$root.plain" "$NET/kept.plain"
k seller data grant >"$NET/said" 2>&1 && fail "a key was released unchecked"
mv "$NET/kept.plain" "$NET/seller/data/$root.plain"
cp "$NET/kept.key" "$NET/seller/data/$root.key"
# The buyer's node is down for all of the dispute time: the key left the state, and comes with the blocks in between.
kill -STOP "$(node_pid buyer)"
k seller data grant >/dev/null || fail "the right key was refused"
until_done "the seller is paid" 90 paid || fail "the seller was not paid for both sales"
kill -9 "$(node_pid buyer)"
until_done "the buyer is back" 30 node_is_up buyer || fail "the buyer does not come back"
got_bad() { k buyer data get bad --out "$NET/bad.got" >"$NET/said" 2>&1; }
until_done "the data" 20 got_bad || fail "the data cannot be got: $(cat "$NET/said")"
cmp "$NET/bad.bin" "$NET/bad.got" || fail "the data is another"

# -- a bounty: posted by one, offered for by the other, paid --
echo 'facts about herons, a line each' >"$NET/terms"
k buyer bounty post data 7 --title herons --terms "$NET/terms" --days 2 --yes --json >"$NET/bounty" || fail "cannot post a bounty"
bounty=$(json bounty <"$NET/bounty")
sees() { k seller bounty show "$bounty" --terms "$NET/terms" >"$NET/said" 2>&1; }
until_done "the seller sees it" 20 sees || fail "the bounty cannot be seen: $(cat "$NET/said")"
k seller bounty show "$bounty" --terms "$NET/good.bin" >"$NET/said" 2>&1 && fail "other terms were taken for the promised ones"
k seller bounty ls >"$NET/said" && said herons
k buyer bounty accept "$bounty" good --yes >"$NET/said" 2>&1 && fail "accepted what nobody offered"
said 'not offered'
k buyer bounty offer "$bounty" good >"$NET/said" 2>&1 && fail "offered what is another's"
k seller bounty offer "$bounty" good >/dev/null || fail "cannot offer"
offered() { [ "$(k buyer bounty show "$bounty" --json | json offers.0.name)" = good ]; }
until_done "the offer" 20 offered || fail "the offer is not seen"
had=$(mote seller)
k buyer bounty accept "$bounty" good --yes >"$NET/said" || fail "cannot accept"
given() { [ "$(mote seller)" -ge $((had + 7000000000)) ]; }
until_done "the bounty's money" 20 given || fail "the bounty was not paid"
[ "$(k buyer bounty show "$bounty" --json | json state)" = paid ] || fail "the bounty is not marked as paid"

# -- a model that nobody has, and no key at all --
timeout 12 "$KITH" --home "$NET/buyer" model pull "$(printf '%064d' 7)" >"$NET/nobody" 2>&1 &
wait $keyless && fail "no key came, and yet it was bought"
grep -q 'came back' "$NET/none.said" || fail "of a sale without a key it says: $(cat "$NET/none.said")"
[ "$(mote v1)" -gt $((locked - 1000000000)) ] || fail "the price did not come back"
is_said() { grep -q 'nobody has it yet; .* peers were asked, .*: waiting' "$NET/nobody"; }
until_done "that nobody has it" 10 is_said || fail "it is not said that nobody has a model: $(cat "$NET/nobody")"
k v1 chain info --json | python3 -c '
import json, sys
s = {k: int(v) for k, v in json.load(sys.stdin)["supply"].items()}
assert s["balances"] + s["locked"] + s["funds"] + s["burned"] == s["genesis"] + s["issued"], s' || fail "the supply does not add up"
grep -h ' broken ' "$NET"/*.log && fail "something broke"
echo "e2e_data: ok: sold over kill -9, refused with a wrong key, and the price back without one"

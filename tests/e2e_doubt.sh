#!/bin/bash
# A lazy auditor: it says match of whatever it is shown, and makes up the witness of a replay. The provider's node replays
# what its auditors spoke of, and doubts him, with a kill -9 before it has shown anything to the committee. That replays under
# his salt, and he loses a part of his stake; auditors who replay lose nothing. The second time it is the payer's node that
# doubts him, and the model has layers that carry a state (tests/talker).
#
# His worker is the real one behind a go-between (tests/between.py), which changes the last message of each verification.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_doubt: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh doubt
toss=$NET/toss.gguf
"$BUILD/talker" toss >"$toss" || fail "no model with a state"

printf '#!/bin/sh\nexec python3 "%s/tests/between.py" lazy "%s/kith-worker"\n' "$PWD" "$PWD/$BUILD" >"$NET/lazy-worker"
chmod +x "$NET/lazy-worker"

net_people kith-doubt v1 host lazy first second asker
node_start v1 --validator
echo 'check-auditors = 1' >"$NET/host/kith.conf"
node_start host --provide
KITH_WORKER=$NET/lazy-worker node_start lazy --provide --audit
node_start first --provide --audit
node_start second --provide --audit
node_start asker --no-default-model
net_is_up v1 host lazy first second asker

publish() { quietly k v1 model publish "$1" --name "$2" --royalty 10; }
until_done "publish" 30 publish models/kith-guide.gguf kith-guide || fail "the model cannot be published"
until_done "publish" 30 publish "$toss" toss || fail "the model with a state cannot be published"
root=$(k v1 model show kith-guide --json | json root)
carries=$(k v1 model show toss --json | json root)
serve() {
    local n=$1
    shift
    quietly k "$n" model pull "$root" && quietly k "$n" model pull "$carries" &&
        quietly k "$n" share start --model "$root" --model "$carries" "$@"
}
until_done "the host shares" 30 serve host --price-in 1000 --price-out 4000 --bond 50 || fail "the host cannot share"
# Most is drawn from who has most at stake.
until_done "the lazy one shares" 30 serve lazy --price-in 900000 --price-out 900000 --audit --bond 200 || fail "the lazy auditor cannot share"
for n in first second; do
    until_done "$n shares" 30 serve $n --price-in 900000 --price-out 900000 --audit || fail "$n cannot share"
done
offers() { [ -n "$(k asker models --json | json offers.7)" ]; } # each of four nodes two models
until_done "the offers" 30 offers || fail "not all offers reached the asker"

bond() { "$KITH" --home "$NET/v1" wallet balance "$(cat "$NET/$1.address")" --json | json "bonds.${2:-auditor}"; }
# said MODEL KEY: asks, settles, and prints who was drawn and what he said.
said() {
    local job
    k asker chat "$1" --route network --key "$2" --tokens 30 --temp 0.8 -m "Tell me of the ledger at it" --json >"$NET/answer" || return 1
    job=$(json job <"$NET/answer")
    over() {
        k asker job show "$job" --json >"$NET/job"
        case "$(json settlement.state <"$NET/job")" in
        "") quietly k host settle ; return 1 ;;
        waiting | drawn | revealing) return 1 ;;
        esac
    }
    until_done "the settlement" 60 over || return 1
    echo "$(json audit.auditor <"$NET/job") $(json settlement.state <"$NET/job")"
}
# until_lazy MODEL KEY: jobs until the lazy one was drawn; others are found in order.
until_lazy() {
    local i who
    for i in 1 2 3 4 5 6 7 8; do
        who=$(said "$1" "$2-$i") || return 1
        [ "${who#* }" = paid ] || { echo "a job ended as: $who" >&2; return 1; }
        [ "${who% *}" != "$(node_id lazy)" ] || return 0
    done
    return 1
}
doubted() { grep -q 'auditor doubted' "$NET/$1.log"; }
lost() { [ "$(bond lazy)" -lt "$1" ]; }
before=$(bond lazy) honest="$(bond first) $(bond second) $(bond host provider)"
until_lazy "$root" one || fail "the lazy auditor was never drawn, or a job did not end well"
until_done "a doubt" 60 doubted host || fail "the host does not doubt him: $(grep doubts "$NET/host.log")"
kill -9 "$(node_pid host)"
until_done "the host is back" 30 node_is_up host
until_done "the committee" 120 lost "$before" || fail "a made-up witness cost nothing: $(grep -h 'doubt' "$NET"/*.log | tail)"
middle=$(bond lazy)
[ "$middle" -lt $((before / 100 * 91)) ] && [ "$middle" -gt $((before / 100 * 89)) ] || fail "the first costs a tenth: $before became $middle"
# Now nobody but who paid looks at what auditors say.
echo 'check-auditors = 0' >"$NET/host/kith.conf"
echo 'check-auditors = 1' >"$NET/asker/kith.conf"
k asker model pull "$carries" >/dev/null || fail "the asker cannot have the model"
for n in host asker; do
    kill -9 "$(node_pid $n)"
    until_done "$n is back" 30 node_is_up $n
done
until_lazy "$carries" two || fail "the lazy auditor was never drawn again, or a job did not end well"
until_done "a doubt" 60 doubted asker || fail "the asker does not doubt him: $(grep doubts "$NET/asker.log")"
kill -9 "$(node_pid asker)"
until_done "the asker is back" 30 node_is_up asker
until_done "the second doubt" 120 lost "$middle" || fail "the second made-up witness cost nothing"
after=$(bond lazy)
[ "$after" -lt $((middle / 100 * 51)) ] && [ "$after" -gt $((middle / 100 * 49)) ] || fail "the second costs half: $middle became $after"
[ "$honest" = "$(bond first) $(bond second) $(bond host provider)" ] || fail "others than the lazy one paid: $honest became $(bond first) $(bond second) $(bond host provider)"
curl -sf "http://$(node_http asker)/kith/v1/doubts" | python3 -c '
import json, sys
doubts = json.load(sys.stdin)["doubts"]
assert len(doubts) == 2 and all(d["state"] == "right" and d["bond"] == "0" for d in doubts), doubts
assert {d["auditor"] for d in doubts} == {sys.argv[1]} and {d["doubter"] for d in doubts} == {*sys.argv[2:]}, doubts
for d in doubts: # the two who replayed found the same, and not what he had said
    assert {m["verdict"] for m in d["members"]} == {"mismatch"} and len(d["members"]) == 2, d
    assert len({m["witness"] for m in d["members"]} - {d["witness"]}) == 1, d
' "$(node_id lazy)" "$(node_id host)" "$(node_id asker)" || fail "the ledger does not have both doubts"
k v1 chain info --json | python3 -c '
import json, sys
s = {k: int(v) for k, v in json.load(sys.stdin)["supply"].items()}
assert s["balances"] + s["locked"] + s["funds"] + s["burned"] == s["genesis"] + s["issued"], s' || fail "the supply does not add up"
echo "e2e_doubt: made-up witnesses were doubted, with a kill -9 between, and cost $before -> $middle -> $after mote; nobody else paid"

#!/bin/bash
# A planted job (docs/market.md): a provider answers one payer's job as it should, with a digest that no replay gives. The
# auditor looks, and says so; the payer's node shows by itself that it was planted. The auditor is paid, the payer has the
# rest back, and nothing is held against the provider. Another payer's talk at the same provider is an ordinary one.
#
# The model (tests/talker) has layers that carry a state, and thinks before it answers. So the ordinary talk is of two
# turns, the second going on from what the first left in the provider's cache, with guesses that are taken back; and
# whoever replays it from nothing agrees.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
. tests/net.sh plant
model=$NET/toss.gguf
"$BUILD/talker" toss >"$model" || fail "no model"

net_people kith-plant v1 sower auditor planter other
key=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '# shared by both\nkey %s\npayer %s\n' "$key" "$(node_id planter)" >"$NET/sower.plant"
printf 'key %s\n' "$key" >"$NET/planter.plant"
printf 'payer %s\n' "$(node_id planter)" >"$NET/bad.plant"
timeout 20 "$KITHD" --home "$NET/sower" --genesis "$NET/genesis.json" --listen "" --http "" --plant "$NET/bad.plant" >"$NET/bad.log" 2>&1 &&
    fail "a file without a key is taken"
grep -q 'no line `key HEX`' "$NET/bad.log" || fail "what is wrong with the file is not said: $(tail -3 "$NET/bad.log")"
node_start v1 --validator
node_start sower --provide --plant "$NET/sower.plant"
node_start auditor --provide --audit
node_start planter --no-default-model --plant "$NET/planter.plant"
node_start other --no-default-model
net_is_up v1 sower auditor planter other

publish() { quietly k v1 model publish "$model" --name toss --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show toss --json | json root)
serve() {
    local n=$1
    shift
    quietly k "$n" model pull "$root" && quietly k "$n" share start --model "$root" "$@"
}
until_done "the sower shares" 30 serve sower --price-in 1000 --price-out 4000 --bond 50 || fail "the sower cannot share"
until_done "the auditor shares" 30 serve auditor --price-in 900000 --price-out 900000 --audit || fail "the auditor cannot share"
offers() { k "$1" models --json | python3 -c 'import json,sys; sys.exit(0 if json.load(sys.stdin)["offers"] else 1)'; }
until_done "an offer" 30 offers planter && until_done "an offer" 30 offers other || fail "no offer reached the payers"

question="Throw a coin until you have enough of it, and think of what you throw. Do it"
ask() { k "$1" chat "$root" --route network --tokens 60 --temp 1 --seed "$seed" --json "${@:2}"; }
seed=$(printf '%064d' 10) # of which the answers are neither short nor cut
# settled WHO JOB: prints how the job's settlement ended.
settled() {
    local who=$1 job=$2
    over() {
        k "$who" job show "$job" --json >"$NET/job"
        case "$(json settlement.state <"$NET/job")" in
        "") quietly k sower settle ; return 1 ;;
        waiting | drawn | revealing) return 1 ;;
        esac
    }
    until_done "the settlement" 60 over || return 1
    echo "$(json settlement.state <"$NET/job") $(json audit.verdict <"$NET/job")"
}
bond() { "$KITH" --home "$NET/v1" wallet balance "$(cat "$NET/$1.address")" --json | json "bonds.$2"; }
bonds="$(bond sower provider) $(bond auditor auditor)"
job=$(ask planter --key one -m "$question" | json job)
[ -n "$job" ] || fail "the planted job was not answered"
planted=$(settled planter "$job") || fail "the planted job did not come to an end"
[ "$planted" = "forfeited mismatch" ] || fail "the planted job ended as: $planted"
grep -q 'planted job shown' "$NET/planter.log" || fail "the payer's node did not show it"

guesses() { curl -sf "http://$(node_http sower)/metrics" | sed -n "s/^kith_worker_$1_total{.*answers.*} //p"; }
before=$(guesses guessed_tokens) right=$(guesses guessed_right)
printf '%s\n' "$question" "And once more at that" | ask other >"$NET/talk" || fail "the talk was not answered"
[ "$(wc -l <"$NET/talk")" = 2 ] || fail "the talk has other turns: $(cat "$NET/talk")"
while read -r turn; do
    [ "$(json text <<<"$turn")" = "It is done." ] || fail "it says: $turn"
    json thought <<<"$turn" | grep -q '^Toss: .* and enough\.$' || fail "it thinks: $turn"
done <"$NET/talk"
before=$(($(guesses guessed_tokens) - before)) right=$(($(guesses guessed_right) - right))
[ "$before" -gt "$right" ] && [ "$right" -gt 0 ] || fail "of $before guesses $right were right: none was taken back, or none stayed"
for job in $(sed 's/.*"job":"\([0-9a-f]*\)".*/\1/' "$NET/talk"); do
    ordinary=$(settled other "$job") || fail "an ordinary job did not come to an end"
    [ "$ordinary" = "paid match" ] || [ "$ordinary" = "paid " ] || fail "an ordinary job ended as: $ordinary"
    ends="$ends $ordinary"
done
[[ $ends == *match* ]] || fail "nobody replayed a turn: $ends"
[ "$(bond sower provider) $(bond auditor auditor)" = "$bonds" ] || fail "a bond moved: $bonds, now $(bond sower provider) $(bond auditor auditor)"
k v1 chain info --json | python3 -c '
import json, sys
s = {k: int(v) for k, v in json.load(sys.stdin)["supply"].items()}
assert s["balances"] + s["locked"] + s["funds"] + s["burned"] == s["genesis"] + s["issued"], s' || fail "the supply does not add up"
echo "e2e_plant: a planted job was looked at, shown and called off; an ordinary talk was replayed, and paid"

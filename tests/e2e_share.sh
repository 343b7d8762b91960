#!/bin/bash
# Lending under the owner's rules: terms change, a rule and a pause hold new jobs back while the running one is finished and
# paid, the line that says why is right at each step, all of it survives kill -9; and what was earned adds up.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_share: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh share

net_people kith-share v1 provider requester
node_start v1 --validator
node_start provider --provide --no-default-model
node_start requester --no-default-model
net_is_up v1 provider requester
publish() { quietly k v1 model publish models/kith-guide.gguf --name kith-guide --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show kith-guide --json | json root)

share() { k provider share "$@"; }
state() { share why --json | json state; }
is_state() { [ "$(state)" = "$1" ]; }
why_has() { share why --json | json why | grep -q -- "$1"; }
offers() { k requester models --json | json offers.0.model; }
is_offered() { [ "$(offers 2>/dev/null)" = "$root" ]; }
is_not_offered() { [ "$(k requester models --json | json offers)" = "[]" ]; }
# An hour of the day that is not now, and one that is.
not_now=$(date -d '+2 hours' +%H:%M)-$(date -d '+3 hours' +%H:%M)
now=$(date -d '-2 hours' +%H:%M)-$(date -d '+2 hours' +%H:%M)
crash() { kill -9 "$(cat "$NET/provider.pid")" && sleep 0.3 && until_done "provider starts again" 30 node_is_up provider; }

check "nothing is lent at first" is_state off
check "and the line says what would change that" why_has 'kith share start'
share pause 1h 2>"$NET/err" >/dev/null
check "what is off is not paused" grep -q 'sharing is off' "$NET/err"
share start --idle-only maybe 2>"$NET/err"
check "a rule is yes or no" same $? 3
share set --hours 22-07 2>"$NET/err"
check "hours are hours" grep -q '22:00-07:00' "$NET/err"
by_hand() { curl -s -m 5 --unix-socket "$NET/provider/kithd.sock" -H 'Content-Type: application/json' -d "$1" http://kith/kith/v1/share/set >"$NET/err"; }
by_hand '{"slots":2.0}'
check "2.0 is whole, as everywhere" same "$(grep -c '"error"' "$NET/err")" 0
by_hand '{"slots":2.5}'
check "2.5 is not" grep -q 'slots must be a whole number from 1' "$NET/err"

k provider share plan --json >"$NET/plan" || fail "no plan"
k provider share plan --model nosuch >"$NET/said" 2>&1 && fail "a plan for a model that is not here"
grep -q '"nosuch" is no published model' "$NET/said" || fail "it does not say which model is not here: $(cat "$NET/said")"
check "a plan before there is a model" same "$(json models <"$NET/plan")" '[]'

serve() { quietly k provider model pull "$root" && quietly share start --model "$root" --price-in 100 --price-out 400 --slots 2; }
until_done "the provider shares" 30 serve || fail "the provider cannot share"
until_done "an offer" 30 is_offered || fail "no offer reached the requester"
check "it is lent" is_state on
check "and says so" why_has 'serving 1 of 1 models, 0 of 2 slots busy'
reading() { share status --json | json machine.memory_free_bytes; }
is_looked_at() { [ "$(reading)" != "$before" ]; }
ask() { k requester chat "$root" --route network --key "$1" --tokens "${2:-8}" --temp 0 -m "What is Kith?" --json; }
ask 1 >"$NET/answer" || fail "no answer"

# Terms: what is not named stays.
share set --price-out 500 --temperature-max 0 --memory-max 4096 >/dev/null || fail "the terms cannot be changed"
share status --json >"$NET/status"
check "one price changed" same "$(json price_out <"$NET/status")" 500000000000
check "the other stayed" same "$(json price_in <"$NET/status")" 100000000000
check "so did the slots" same "$(json slots <"$NET/status")" 2
check "and battery is as it is by itself" same "$(json rules.on_battery <"$NET/status")" false
share set --memory-max 1 >/dev/null
check "models that take too much are not lent" is_state waiting
check "and the line says how much" why_has 'over the 1 allowed'
share set --memory-max 0 >/dev/null
check "without that rule it is lent again" is_state on

# A rule that says no while a job runs: the offer goes at once, the job is finished and paid.
until_done "an offer again" 30 is_offered || fail "no offer after the terms changed"
ask 2 200 >"$NET/long" &
long=$!
is_running() { [ "$(share status --json | json running)" = 1 ]; }
for _ in $(seq 20); do is_running && break; done
share set --hours "$not_now" >/dev/null || fail "hours cannot be set"
check "it waits for its hour" is_state waiting
check "and says which" why_has "lent $not_now, and it is"
until_done "the offer is gone" 10 is_not_offered || fail "it is still offered out of its hours"
wait "$long"
check "the running job is finished" same $? 0
check "all of it" test "$(json tokens_out <"$NET/long")" -gt 20
ask 3 >"$NET/none" 2>&1 &
unserved=$!
before=$(reading)
until_done "another look at the machine" 30 is_looked_at
check "whoever asks often how it is does not put off the looks at the machine" test "$(reading)" != "$before"
wait "$unserved"
check "nobody is served meanwhile" test $? -ne 0
crash || fail "the provider does not come back"
check "the hours survive kill -9" is_state waiting
share set --hours "$now" >/dev/null
check "in its hours it is lent" is_state on
until_done "an offer" 60 is_offered || fail "no offer in its hours"
ask 4 >/dev/null || fail "no answer in its hours"
share set --hours any >/dev/null

# A pause.
share pause 2h --json >"$NET/pause"
check "it is paused" same "$(json state <"$NET/pause")" paused
until=$(json paused_until_ms <"$NET/pause")
check "for two hours" test $((until / 1000 - $(date +%s))) -gt 7100
until_done "the offer is gone" 10 is_not_offered || fail "it is still offered while paused"
crash || fail "the provider does not come back"
check "the pause survives kill -9" is_state paused
check "to the millisecond" same "$(share status --json | json paused_until_ms)" "$until"
check "the line says how to end it" why_has 'kith share resume'
share resume >/dev/null
check "resumed it is lent" is_state on
share pause 2s >/dev/null
check "a short pause holds" is_state paused
until_done "it is over" 10 is_state on
check "and ends by itself" is_state on
share pause >/dev/null
check "without a time it has no end" same "$(share status --json | json paused_until_ms)" ""
share resume >/dev/null

# Finishing: what runs is finished, then it is off and settled; also what was paused before.
until_done "an offer" 60 is_offered || fail "no offer after the pause"
ask 6 >/dev/null || fail "no answer after the pause"
is_earned() { [ "$(share status --json | json unsettled)" != 0 ]; }
until_done "something to settle" 20 is_earned || fail "nothing was earned by an answer"
share pause >/dev/null
is_put_down() { [ "$(k provider ps --json | json workers)" = "[]" ]; }
until_done "the model is put down" 20 is_put_down
share finish >/dev/null
is_settled() { [ "$(share status --json | json unsettled)" = 0 ]; }
until_done "it is settled" 20 is_settled
check "what was paused is settled when it is finished" is_settled
share start --model "$root" >/dev/null || fail "it cannot be lent again"
until_done "an offer" 60 is_offered || fail "no offer after it was finished"
ask 5 200 >"$NET/last" &
last=$!
for _ in $(seq 20); do is_running && break; done
share finish --json >"$NET/finished"
check "finishing waits until it is off" same "$(json state <"$NET/finished")" off
wait "$last"
check "the last job is finished" same $? 0
share start --model "$root" >"$NET/again" || fail "it cannot be lent again"
check "its price is as it was" grep -q '100 .*in, 500 .* out' "$NET/again"
share finish >/dev/null
crash || fail "the provider does not come back"
check "off it stays" is_state off
share stop >/dev/null

# What it would be, and the model itself.
share plan --json >"$NET/plan" || fail "no plan"
check "a plan has the model's speed: $(cat "$NET/plan")" test "$(json models.0.speed <"$NET/plan" | cut -d. -f1)" -gt 0
check "and what a day would bring" test "$(json models.0.day <"$NET/plan")" -gt 0
check "nothing more is to be bonded" same "$(json bond <"$NET/plan")" 0
check "the model is as its root says" quietly k provider model verify "$root"
share start --model "$root" >/dev/null || fail "it cannot be lent again"
k provider model rm "$root" 2>"$NET/err"
check "a model that is lent stays" grep -q 'share finish' "$NET/err"
share finish >/dev/null || fail "it does not finish"
blob=$(find "$NET/provider" -name "$root.blob")
size=$(stat -c %s "$blob")
cp "$blob" "$NET/keep" && chmod 600 "$blob"
printf 'x' | dd of="$blob" bs=1 seek=70000 conv=notrunc status=none # in the third leaf
k provider model verify "$root" 2>"$NET/err"
check "a changed byte is found" grep -q 'leaf 2 of' "$NET/err"
heal() { quietly k provider model pull "$root" && quietly k provider model verify "$root"; }
until_done "it is fetched again" 30 heal || fail "the model is not fetched again"
cmp -s "$(find "$NET/provider" -name "$root.blob")" "$NET/keep" || fail "what was fetched again is another"

# What was earned: as the ledger's own history has it.
k provider settle >/dev/null
is_paid() { k provider earn --json >"$NET/earn" && [ "$(json in_audit <"$NET/earn")" = 0 ] && [ "$(json unsettled <"$NET/earn")" = 0 ]; }
until_done "all is paid" 90 is_paid || fail "the earnings do not settle: $(cat "$NET/earn")"
cat >"$NET/sum.py" <<'P'
import json, sys
earn, history = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
paid = [int(e["amount"]) for e in history["entries"] if e["what"] == "payout"]
ok = len(paid) == earn["payouts"] > 0 and sum(paid) == int(earn["total"]) == sum(map(int, earn["reasons"].values()))
ok = ok and sum(int(d["total"]) for d in earn["days"]) == sum(int(m["amount"]) for m in earn["models"]) == sum(paid)
ok = ok and earn["complete"] and earn["from"] == 1 and int(earn["reasons"]["provider"]) > 0
if not ok: print(json.dumps(earn), paid)
sys.exit(not ok)
P
k provider tx history --limit 500 --json >"$NET/history"
check "each payout counts once" python3 "$NET/sum.py" "$NET/earn" "$NET/history"
check "for people too" grep -q 'ANSWERING' <(k provider earn)
is_past() { [ "$(k provider earn --since 1s --json | json payouts)" = 0 ]; } # what was just paid is not, for a second
check "since a moment ago, nothing" until_done "what was earned is past" 10 is_past
check "a royalty is the publisher's" test "$(k v1 earn --json | json reasons.publisher)" -gt 0
k provider earn --since yesterday 2>"$NET/err"
check "a time is a time" same $? 3
is_removed() { k provider model rm "$root" --json >"$NET/removed" 2>"$NET/err"; }
if is_removed; then
    check "its bytes are free" same "$(json bytes <"$NET/removed")" "$size"
    check "and it is gone" test -z "$(find "$NET/provider" -name "$root.*")"
else
    check "the default model stays" grep -q 'no-default-model' "$NET/err"
fi
k requester model rm "$(printf %064d 0)" 2>"$NET/err"
check "what is not here cannot be removed" grep -q 'not on this machine' "$NET/err"
grep -q ' broken ' "$NET"/*.log && fail "something broke"
[ $failed = 0 ] && echo "e2e_share: $checks checks"
exit $failed

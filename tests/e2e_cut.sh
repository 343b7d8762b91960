#!/bin/bash
# A provider that cuts answers short: with the fifth token it says that the model has ended the answer, and signs the digest
# of these five, which are the model's own. Whoever asked sees it by a replay, and so do auditors: the settlement is forfeited,
# by the auditor that was drawn, and for another answer by its payer's challenge.
#
# Its worker is the real one behind a go-between (tests/between.py).
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_cut: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh cut
printf '#!/bin/sh\nexec python3 "%s/tests/between.py" cut "%s/kith-worker"\n' "$PWD" "$PWD/$BUILD" >"$NET/cutting-worker"
chmod +x "$NET/cutting-worker"

net_people kith-cut v1 cutter auditor asker
node_start v1 --validator
KITH_WORKER=$NET/cutting-worker node_start cutter --provide
node_start auditor --provide --audit
node_start asker --no-default-model
net_is_up v1 cutter auditor asker
publish() { quietly k v1 model publish models/kith-guide.gguf --name kith-guide --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show kith-guide --json | json root)
serve() { quietly k "$1" model pull "$root" && quietly k "$1" share start --model "$root" "${@:2}"; }
until_done "the cutter shares" 30 serve cutter --price-in 1000 --price-out 4000 --bond 50 || fail "the cutter cannot share"
until_done "the auditor shares" 30 serve auditor --price-in 900000 --price-out 900000 --audit || fail "the auditor cannot share"
offers_both() { [ -n "$(k asker models --json | json offers.1)" ]; }
until_done "the offers" 30 offers_both || fail "not all offers reached the asker"
quietly k asker model pull "$root" || fail "the asker cannot have the model"

# answered KEY: an answer of five tokens that says of itself that it is whole.
answered() {
    k asker chat "$root" --route network --key "$1" --tokens 40 -m "How do I share my computer?" --json >"$NET/answer" || fail "no answer"
    job=$(json job <"$NET/answer")
    k asker job show "$job" --json >"$NET/job"
    [ "$(json tokens_out <"$NET/job") $(json stop <"$NET/job")" = "5 eos" ] || fail "not cut: $(cat "$NET/job")"
    k asker job verify "$job" >"$NET/verified" 2>&1 && fail "a cut answer passes"
    grep -q 'does not end it there' "$NET/verified" || fail "$(cat "$NET/verified")"
}
over() {
    k asker job show "$job" --json >"$NET/job"
    case "$(json settlement.state <"$NET/job")" in
    "") quietly k cutter settle ; return 1 ;;
    waiting) return 1 ;;
    esac
}
answered one
until_done "the settlement" 60 over || fail "the first settlement does not come to an end"
[ "$(json settlement.state <"$NET/job") $(json audit.verdict <"$NET/job")" = "forfeited mismatch" ] || fail "the auditor lets it pass: $(cat "$NET/job")"
answered two
quietly k asker job challenge "$job" || fail "a cut answer cannot be challenged"
until_done "the settlement" 60 over || fail "the second settlement does not come to an end"
[ "$(json settlement.state <"$NET/job")" = forfeited ] || fail "the challenge was lost: $(cat "$NET/job")"
[ "$(json settlement.challenger <"$NET/job")" = "$(node_id asker)" ] || fail "the settlement names no challenger: $(cat "$NET/job")"
echo "ok: e2e_cut: answers that were cut short, and called whole, are forfeited"

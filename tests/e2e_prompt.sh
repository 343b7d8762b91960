#!/bin/bash
# Long prompts are paid in steps. A provider that dies in the middle of one, and comes back, goes on behind what is paid. One
# that takes money for steps that it did not read with this model is found out by its payer before there is any answer: by
# the digest of the last step, which the receipt is over.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_prompt: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh prompt

# The model in a longer context, and another one of the same shape: its weights lose half of their bits.
python3 - models/kith-guide.gguf "$NET/long.gguf" "$NET/cheap.gguf" <<'PY' || fail "cannot make the models"
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
at = data.index(b"llama.context_length") + len(b"llama.context_length")
assert struct.unpack_from("<I", data, at)[0] == 4
struct.pack_into("<I", data, at + 4, 65536)
open(sys.argv[2], "wb").write(data)
for i in range(len(data) // 2, len(data) - 34, 34):
    data[i] &= 0xFE
open(sys.argv[3], "wb").write(data)
PY
cat >"$NET/cheap-worker" <<CHEAP
#!/bin/sh
[ -e "$NET/honest" ] || exec 4<"$NET/cheap.gguf"
exec "$PWD/$BUILD/kith-worker"
CHEAP
chmod +x "$NET/cheap-worker"

net_people kith-prompt v1 reader requester auditor
node_start v1 --validator
KITH_WORKER=$NET/cheap-worker node_start reader --provide
node_start auditor --provide --audit
node_start requester --no-default-model
net_is_up v1 reader requester auditor
publish() { quietly k v1 model publish "$NET/long.gguf" --name long --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show long --json | json root)
touch "$NET/honest"
serve() { quietly k "$1" model pull "$root" && quietly k "$1" share start --model "$root" "${@:2}"; }
until_done "the reader shares" 30 serve reader --price-in 10 --price-out 40 --bond 50 || fail "the reader cannot share"
until_done "the auditor shares" 30 serve auditor --price-in 9000 --price-out 9000 --audit || fail "the auditor cannot share"
offers_both() { [ -n "$(k requester models --json | json offers.1)" ]; }
until_done "the offers" 30 offers_both || fail "not all offers reached the requester"

# long N: a text of about so many tokens.
long() {
    local i
    for ((i = 0; i < $1 / 12; i++)); do echo -n "Question $i: how does the ledger pay who lends a computer? "; done
}
# start KEY N: the id of a job with a prompt that long.
start() {
    long "$2" >"$NET/$1.text"
    k requester chat "$root" --route network --key "$1" --tokens 12 -m "$(cat "$NET/$1.text")" --json >"$NET/$1.answer" 2>"$NET/$1.err" &
}
job_of() { k requester jobs --json | json jobs.0.job; }
is_read() {
    k requester job show "$(job_of)" --json >"$NET/job"
    [ "$(json state <"$NET/job")" = running ] && [ "$(json tokens_read <"$NET/job")" -ge "$1" ]
}

# In one go.
start short 3000
asked=$!
wait $asked || fail "no answer to a long prompt: $(cat "$NET/short.err")"
job=$(json job <"$NET/short.answer")
k requester job show "$job" --json >"$NET/job"
read=$(json tokens_read <"$NET/job") in=$(json tokens_in <"$NET/job")
[ "$read" -ge 1536 ] && [ "$read" -lt "$in" ] || fail "of a prompt of $in tokens $read were paid step by step"
quietly k requester model pull "$root" || fail "the requester cannot have the model"
quietly k requester job verify "$job" || fail "the answer is not the model's own"

# The provider dies in the middle.
start broken 9000
asked=$!
until_done "the prompt is being read" 60 is_read 1024 || fail "no step of the prompt was paid"
kill -9 "$(node_pid reader)"
until_done "the reader is back" 30 node_is_up reader
wait $asked || fail "no answer after the provider's death: $(cat "$NET/broken.err")"
job=$(json job <"$NET/broken.answer")
quietly k requester job verify "$job" || fail "the answer is not the model's own"
k requester job show "$job" --json >"$NET/job"
# Each token was paid once, at 10 and 40 KITH a million.
in=$(json tokens_in <"$NET/job") out=$(json tokens_out <"$NET/job")
[ "$(json cost <"$NET/job")" = $((in * 10 * 1000 + out * 40 * 1000)) ] || fail "$in and $out tokens cost $(json cost <"$NET/job")"

# It reads with another model, and is gone with the money.
rm "$NET/honest"
kill -9 "$(node_pid reader)"
until_done "the reader is back" 30 node_is_up reader
until_done "the offers" 30 offers_both || fail "the reader does not offer again"
start cheated 9000
asked=$!
until_done "the prompt is being read" 60 is_read 1024 || fail "no step of the prompt was paid"
job=$(job_of)
kill -STOP "$(node_pid reader)"
quietly curl -sf --unix-socket "$NET/requester/kithd.sock" "http://localhost/kith/v1/jobs/$job/cancel" -d {} || fail "the job cannot be cancelled"
wait $asked
kill -CONT "$(node_pid reader)"
[ "$(k requester job show "$job" --json | json tokens_out)" = 0 ] || fail "there is an answer already"
k requester job verify "$job" >"$NET/verified" 2>&1 && fail "what was paid was not read with this model, and passes"
grep -q 'DIFFERENT' "$NET/verified" || fail "$(cat "$NET/verified")"
quietly k requester job challenge "$job" || fail "the step cannot be challenged"
over() {
    k requester job show "$job" --json >"$NET/job"
    case "$(json settlement.state <"$NET/job")" in
    "") quietly k reader settle ; return 1 ;;
    waiting) return 1 ;;
    esac
}
until_done "the settlement" 60 over || fail "the settlement does not come to an end: $(cat "$NET/job")"
[ "$(json settlement.state <"$NET/job")" = forfeited ] || fail "the settlement ended as $(cat "$NET/job")"
echo "ok: e2e_prompt: $(json tokens_read <"$NET/job") tokens of a prompt were paid, not read, and forfeited"

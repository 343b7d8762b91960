#!/bin/bash
# A model cut over two devices: the same answer as in one piece, whatever becomes of the device with the middle layers;
# and one that computes wrongly is named.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_hop: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh hop

net_people kith-hop head lender second
node_start head --validator
node_start lender
net_is_up head lender
head=$(node_id head) lender=$(node_id lender)

# ask TOKENS PROMPT: the digest of an answer of so many tokens. The same with `begin`, in the background, and then `streamed`.
body() { echo "{\"model\":\"default\",\"prompt\":\"$2\",\"max_tokens\":$1,\"temperature\":0.9,\"seed\":7,\"logit_bias\":{\"$eos\":-100}$3}"; }
complete() { curl -sN -m 120 "http://$(node_http head)/v1/completions" -H 'Content-Type: application/json' -d "$1"; }
ask() { complete "$(body "$1" "$2" '')" >"$NET/answer" && json kith.digest <"$NET/answer"; }
begin() { # and waits for the first tokens
    : >"$NET/stream"
    complete "$(body "$1" "$2" ',"stream":true')" >"$NET/stream" &
    asking=$!
    for _ in $(seq 1000); do [ "$(grep -c data: "$NET/stream")" -ge 20 ] && break; sleep 0.01; done
}
streamed() { grep -o '"digest":"[0-9a-f]*' "$NET/stream" | tail -1 | cut -d'"' -f4; }
hops() { k head hop ls --json; }
lent() { k lender hop ls --json; }
state() { hops | json hops.0.state; }
is_used() { [ "$(hops | json hops.0.used)" = true ] && [ "$(state)" = ready ]; }
elsewhere() { k head ps --json | json workers.0.elsewhere; }
has_model() { [ "$(k "$1" models --json | json local.0.root 2>/dev/null)" != "" ]; }
until_done "the model is there" 30 has_model head && until_done "the model is there" 30 has_model lender || fail "no default model"
root=$(k head models --json | json local.0.root)
eos=$(python3 - <<'P'
import struct
f = open("models/kith-guide.gguf", "rb").read(1 << 20)
key = b"tokenizer.ggml.eos_token_id"
print(struct.unpack_from("<I", f, f.index(key) + len(key) + 4)[0])
P
)

short=$(ask 40 "Kith is") long=$(ask 400 "Once upon a time")
[ ${#short} = 64 ] && [ ${#long} = 64 ] || fail "no digest: $(cat "$NET/answer")"
check "it was a long answer" same "$(json usage.completion_tokens <"$NET/answer")" 400

# What cannot be said.
k head hop set default "$lender" 1-3 2>"$NET/err"
check "the last layer stays" grep -q 'layer 3, the last of this model' "$NET/err"
k head hop set default "$lender" 0-2 2>"$NET/err"
check "so does the first" grep -q 'layer 0 ' "$NET/err"
k head hop set default "$lender" 2-1 2>"$NET/err"
check "a range goes up" grep -q 'layers 2-1' "$NET/err"
k head hop set default "$lender" two 2>"$NET/err"
check "a range is two numbers" same $? 3
k head hop set default "$head" 1-2 2>"$NET/err"
check "a node is no hop of itself" grep -q 'this node itself' "$NET/err"
k head hop rm default "$lender" 2>"$NET/err"
check "what is not there cannot be taken back" grep -q 'kith hop ls' "$NET/err"
k head hop check default 2>"$NET/err"
check "nothing can be checked" grep -q 'kith hop set' "$NET/err"

# Not allowed: the answer comes from here, and it is said why.
k head hop set default "$lender@127.0.0.1:$(cat "$NET/lender.p2p")" 1-2 >/dev/null || fail "no hop can be set"
check "without leave the answer is the same" same "$(ask 40 "Kith is")" "$short"
check "the device was asked" grep -q "hop allow" <(hops | json hops.0.why)
check "and lent nothing" same "$(lent | json lent)" '[]'
check "all layers are here" same "$(elsewhere)" 0
k head events --only hops >"$NET/events" &
following=$!
k lender hop allow "$head" >/dev/null || fail "no head can be allowed"

# Allowed: it is tried again by itself, and the idle worker starts with it.
until_done "the hop is used" 60 is_used || fail "the hop is not used: $(hops)"
until_done "the worker is there" 20 test "$(elsewhere)" = 2
check "two layers are elsewhere" same "$(elsewhere)" 2
check "the same answer over two devices" same "$(ask 40 "Kith is")" "$short"
calls=$(hops | json hops.0.calls)
check "by calls: $calls" test "$calls" -ge 39
check "and a long one" same "$(ask 400 "Once upon a time")" "$long"
check "the lending side counts the same" same "$(lent | json lent.0.calls)" "$(hops | json hops.0.calls)"
check "it says to whom it lends" grep -q 'layers 1-2 of default are lent to' <(k lender share why)
check "and the head where they are" grep -q 'layers 1-2 of default are at the node .*: ready' <(k head share why)
check "also in its status" same "$(k head status --json | json share.hops.0.state)" ready
check "ps on the lending side" grep -q 'lends layers 1-2' <(k lender ps)
check "ps on the head" grep -q '2 layers elsewhere' <(k head ps)
told() { grep -q "default 1-2 at ${lender:0:12}: $1" "$NET/events"; }
until_done "the event" 10 told used
check "an event tells it" told used
metrics() { curl -s "http://$(node_http head)/metrics"; }
check "metrics count the calls" grep -q "^kith_hop_calls_total{.*node=\"$lender\"} $(hops | json hops.0.calls)\$" <(metrics)
check "the head needs less memory" test "$(k head ps --json | json workers.0.memory_bytes)" -gt 0

# Its worker dies in the middle of an answer.
victim=$(pgrep -P "$(node_pid lender)" -f kith-worker | head -1)
begin 400 "Once upon a time"
kill -9 "$victim"
check "it was killed in mid-answer" kill -0 $asking
wait $asking
check "the answer goes on" same "$(streamed)" "$long"
check "the head says what happened" grep -q 'all layers here again: layers 1-2 at the node' "$NET/head.log"
until_done "the hop is used again" 60 is_used || fail "the hop is not used again: $(hops)"
check "with the same answer" same "$(ask 40 "Kith is")" "$short"

# So does kithd there.
victim=$(node_pid lender)
begin 400 "Once upon a time"
kill -9 "$victim"
check "it went in mid-answer, too" kill -0 $asking
wait $asking
check "the answer goes on without the whole device" same "$(streamed)" "$long"
until_done "the device is back" 30 node_is_up lender
until_done "the hop is used once more" 90 is_used || fail "the hop is not used once more: $(hops)"
check "with the same answer as ever" same "$(ask 40 "Kith is")" "$short"

# The head's own worker dies: the hop is used by the next one, and what it kept from before harms nothing.
kill -9 "$(pgrep -P "$(node_pid head)" -f kith-worker | head -1)"
check "the same answer by the head's next worker" same "$(ask 40 "Kith is")" "$short"
check "with the hop" is_used

# The owner's rules and word hold for layers, too.
k head hop check default --json >"$NET/check" || fail "the check failed: $(cat "$NET/check")"
check "all agree" same "$(json agree <"$NET/check")" true
check "over some calls" test "$(json hops.0.calls <"$NET/check")" -ge 2
not_now=$(date -d '+2 hours' +%H:%M)-$(date -d '+3 hours' +%H:%M)
k lender share set --hours "$not_now" >/dev/null
is_lost() { [ "$(state)" = lost ]; }
until_done "the rule ends it" 20 is_lost
until_done "the event" 10 told "lost (.*$not_now"
check "an event tells why" told "lost (.*$not_now"
pkill -P $following -f events
check "out of its hours nothing is lent" grep -q "$not_now" <(hops | json hops.0.why)
check "and the answer comes all the same" same "$(ask 40 "Kith is")" "$short"
k lender share set --hours any >/dev/null
until_done "the hop is back in its hours" 90 is_used || fail "the hop is not back: $(hops)"
k lender hop deny "$head" >/dev/null
until_done "denied" 20 is_lost
check "denied it is told so" grep -q 'hop allow' <(hops | json hops.0.why)
k lender hop allow "$head" >/dev/null

# A device that computes wrongly: one bit of many of its packed weights, with hashes over them that fit.
pack=$(find "$NET/lender/packs" -name "$root-*.pack" | head -1)
if [ -n "$pack" ]; then
    kill -9 "$(node_pid lender)"
    chmod 600 "$pack"
    cat >"$NET/spoil.py" <<'P'
import hashlib, struct, sys
path, page, leaf = sys.argv[1], 4096, 1 << 20
b = bytearray(open(path, "rb").read())
h = lambda x: hashlib.blake2b(bytes(x), digest_size=32, person=b"kith.file".ljust(16, b"\0")).digest()
n = struct.unpack_from("<Q", b, 8 + 4 + 4 + 32)[0]
leaves = (n + leaf - 1) // leaf
start = page + (leaves * 32 + page - 1) // page * page
assert start + n == len(b)
for at in range(start + n * 3 // 10, start + n * 7 // 10, 997):
    b[at] ^= 1
for i in range(leaves):
    b[page + 32 * i:page + 32 * i + 32] = h(b[start + i * leaf:min(start + (i + 1) * leaf, len(b))])
b[56:88] = h(b[page:page + 32 * leaves])
b[88:120] = h(b[:88])
open(path, "wb").write(b)
P
    python3 "$NET/spoil.py" "$pack" || fail "the packed weights cannot be spoilt"
    until_done "the device is back" 30 node_is_up lender
    until_done "the hop is used" 90 is_used || fail "the hop is not used: $(hops)"
    k head hop check default --json >"$NET/check" 2>"$NET/err"
    check "a wrong hop is a refusal" same $? 1
    check "it is named" same "$(json hops.0.node <"$NET/check")" "$lender"
    check "with its statement" same "$(json hops.0.statement.node <"$NET/check")" "$lender"
    check "and what it said" test "$(json hops.0.statement.answer <"$NET/check")" != "$(json hops.0.here <"$NET/check")"
    check "for people too" grep -q "wrong.*layers 1-2 at $lender" <(k head hop check default)
    rm -f "$pack"
    kill -9 "$(node_pid lender)"
    until_done "the device is back" 30 node_is_up lender
    until_done "the hop is used" 90 is_used || fail "the hop is not used: $(hops)"
    check "packed anew it is right" quietly k head hop check default
    check "and so is the answer" same "$(ask 40 "Kith is")" "$short"
else
    echo "skip: e2e_hop: the kernels of this machine do not pack, so nothing can be spoilt"
fi

# Two devices with a layer each, and one of them is killed in the middle of an answer.
node_start second
net_is_up second head
second=$(node_id second)
until_done "the model is there" 30 has_model second || fail "no default model"
k second hop allow "$head" >/dev/null || fail "no head can be allowed"
k head hop rm default "$lender" >/dev/null && k head hop set default "$lender@127.0.0.1:$(cat "$NET/lender.p2p")" 1-1 >/dev/null &&
    k head hop set default "$second@127.0.0.1:$(cat "$NET/second.p2p")" 2-2 >/dev/null || fail "no second hop can be set"
are_used() { is_used && [ "$(hops | json hops.1.used)" = true ]; }
until_done "both are used" 90 are_used || fail "two hops are not used: $(hops)"
check "the same answer over three devices" same "$(ask 40 "Kith is")" "$short"
victim=$(pgrep -P "$(node_pid second)" -f kith-worker | head -1)
begin 400 "Once upon a time"
kill -9 "$victim"
wait $asking
check "it goes on without one of them" same "$(streamed)" "$long"
until_done "both are used again" 90 are_used || fail "two hops are not used again: $(hops)"
check "both are right" quietly k head hop check default
k head hop rm default "$second" >/dev/null || fail "the layers cannot be taken back"

k head hop rm default "$lender" >/dev/null || fail "the layers cannot be taken back"
check "taken back the answer is the same" same "$(ask 40 "Kith is")" "$short"
is_free() { [ "$(lent | json lent)" = "[]" ]; }
check "and the device is free" until_done "it is free" 10 is_free
# Many places, and long names: what is told of them keeps within an event, and the node goes on, and starts again.
far=$(printf 'a%.0s' $(seq 60)).$(printf 'b%.0s' $(seq 60)).$(printf 'c%.0s' $(seq 60)).invalid:1
keys="79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5
f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9 e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13
2f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4 fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556
5cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc 2f01e5e15cca351daff3843fb70f3c2f0a1bdd05e5af888a67784ef3e10a2a01"
places() { k head hop ls --json | grep -o '"endpoint"' | wc -l; }
left_out() { grep -o 'left_out":[0-9]*' "$NET/told" | tail -1; }
k head events --only hops,share --json >"$NET/told" &
for n in 10 11 12; do
    "$BUILD/talker" random $n >"$NET/$n.gguf" && k head model import "$NET/$n.gguf" --name "many$n" >/dev/null || fail "no model of $n layers"
    at=1
    for key in $keys; do
        k head hop set "many$n" "$key@$far" $at-$at >/dev/null || fail "no place for layer $at of many$n"
        at=$((at + 1))
    done
done
check "all places are there" same "$(places)" 24
until_done "it is told that some are left out" 10 left_out >/dev/null || fail "nothing is left out"
check "events have their bound" test "$(wc -L <"$NET/told")" -le 8300
kill -9 "$(node_pid head)"
until_done "the node is back" 30 node_is_up head
check "with all places" same "$(places)" 24
grep -q ' broken ' "$NET"/*.log && fail "something broke"
[ $failed = 0 ] && echo "e2e_hop: $checks checks"
exit $failed

#!/bin/bash
# A provider that serves a cheaper quantisation of the model than it claims: its worker is given another file, whose
# weights keep four bits of eight. Its first audited job forfeits the settlement, its second slashes its bond. That one is
# of a model whose layers carry a state (tests/talker), and its file differs in how a state fades: the answer has the words
# of the right one, and not its bits.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_cheat: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh cheat

python3 - models/kith-guide.gguf "$NET/cheap.gguf" <<'PY' || fail "cannot make the cheap model"
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
at = 8
def take(fmt):
    global at
    v = struct.unpack_from("<" + fmt, data, at)
    at += struct.calcsize("<" + fmt)
    return v[0]
def text():
    global at
    n = take("Q")
    s = bytes(data[at:at + n])
    at += n
    return s
size = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
def value(t):
    global at
    if t == 8:
        return text()
    if t == 9:
        inner, n = take("I"), take("Q")
        for _ in range(n):
            value(inner)
        return None
    v = bytes(data[at:at + size[t]])
    at += size[t]
    return v
tensors, keys, alignment = take("Q"), take("Q"), 32
for _ in range(keys):
    name, kind = text(), take("I")
    v = value(kind)
    if name == b"general.alignment":
        alignment = int.from_bytes(v, "little")
infos = []
for _ in range(tensors):
    text()
    dims = [take("Q") for _ in range(take("I"))]
    kind, offset = take("I"), take("Q")
    n = 1
    for d in dims:
        n *= d
    infos.append((kind, offset, n))
start = (at + alignment - 1) // alignment * alignment
changed = 0
for kind, offset, n in infos:
    if kind != 8:
        continue
    for block in range(n // 32):
        p = start + offset + block * 34 + 2
        for i in range(p, p + 32):
            data[i] &= 0xF0
        changed += 32
assert changed > 0
open(sys.argv[2], "wb").write(data)
PY
toss=$NET/toss.gguf
"$BUILD/talker" toss >"$toss" && "$BUILD/talker" toss wrong >"$NET/wrong.gguf" || fail "no model with a state"
cat >"$NET/cheap-worker" <<CHEAP
#!/bin/sh
wrong=$NET/cheap.gguf
cmp -s /proc/self/fd/4 "$toss" && wrong=$NET/wrong.gguf
exec 4<"\$wrong"
exec "$PWD/$BUILD/kith-worker"
CHEAP
chmod +x "$NET/cheap-worker"

net_people kith-cheat v1 cheat auditor requester
node_start v1 --validator
KITH_WORKER=$NET/cheap-worker node_start cheat --provide
node_start auditor --provide --audit
node_start requester --no-default-model
net_is_up v1 cheat auditor requester

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
until_done "the cheat shares" 30 serve cheat --price-in 1000 --price-out 4000 --bond 50 || fail "the cheat cannot share"
until_done "the auditor shares" 30 serve auditor --price-in 900000 --price-out 900000 --audit || fail "the auditor cannot share"
offers_both() { [ -n "$(k requester models --json | json offers.3)" ]; } # each of two nodes two models
until_done "the offers" 30 offers_both || fail "not all offers reached the requester"

bond() { "$KITH" --home "$NET/v1" wallet balance "$(cat "$NET/cheat.address")" --json | json bonds.provider; }
# cheated KEY MODEL: asks, settles, and prints how the settlement ended.
cheated() {
    local job
    k requester chat "$2" --route network --key "$1" --tokens 40 --temp 0.8 -m "Tell me of the ledger at it" --json >"$NET/answer" ||
        return 1
    job=$(json job <"$NET/answer")
    [ "$1" != two ] || challenge "$job" || return 1
    over() {
        k requester job show "$job" --json >"$NET/job"
        case "$(json settlement.state <"$NET/job")" in
        "") quietly k cheat settle ; return 1 ;;
        waiting) return 1 ;;
        esac
    }
    until_done "the settlement" 60 over || return 1
    echo "$(json settlement.state <"$NET/job") $(json audit.verdict <"$NET/job")"
}
# Whoever asked replays, sees what it is, and goes to the ledger before the channel settles, and a kill -9 in between.
challenge() {
    k requester model pull "$carries" >/dev/null || return 1
    k requester job verify "$1" >"$NET/verified" 2>&1 && return 1
    grep -q 'DIFFERENT' "$NET/verified" || return 1
    k requester status --json | json balance >"$NET/purse" # the channel is paid for by now
    [ "$(k requester job challenge "$1" --json | json state)" = waiting ] || return 1
    k requester job challenge "$1" >"$NET/twice" 2>&1 && return 1
    grep -q 'being challenged already' "$NET/twice" || return 1
    kill -9 "$(node_pid requester)"
    until_done "the requester is back" 30 node_is_up requester
}
before=$(bond)
first=$(cheated one "$root") || fail "the first job did not come to an end"
[ "$first" = "forfeited mismatch" ] || fail "the first audited job ended as: $first"
# It pays the auditor (a part of what it forfeited), and is not slashed.
middle=$(bond)
[ "$middle" -gt $((before / 100 * 99)) ] || fail "one mismatch must not slash: bond $before became $middle"
second=$(cheated two "$carries") || fail "the second job did not come to an end"
[[ $(json thought <"$NET/answer") == "Toss: "* ]] || fail "the answer has other words: $(cat "$NET/answer")"
[ "$(json settlement.challenger <"$NET/job")" = "$(node_id requester)" ] || fail "the settlement names no challenger: $(cat "$NET/job")"
gained=$(($(k requester status --json | json balance) - $(cat "$NET/purse")))
[ "$gained" -gt 0 ] || fail "the challenger gained nothing: $gained"
[ "$second" = "forfeited mismatch" ] || fail "the second audited job ended as: $second"
after=$(bond)
[ "$after" -lt $((middle / 100 * 60)) ] || fail "the second mismatch did not slash: bond $middle became $after"
k v1 chain info --json | python3 -c '
import json, sys
s = {k: int(v) for k, v in json.load(sys.stdin)["supply"].items()}
assert s["balances"] + s["locked"] + s["funds"] + s["burned"] == s["genesis"] + s["issued"], s' || fail "the supply does not add up"
echo "e2e_cheat: caught at the first job, challenged and slashed at the second: bond $before -> $middle -> $after mote, challenger +$gained"

#!/bin/bash
# A provider that serves a cheaper quantisation of the model than it claims: its worker is given another file, whose
# weights keep four bits of eight. Its first audited job forfeits the settlement, its second slashes its bond.
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
cat >"$NET/cheap-worker" <<CHEAP
#!/bin/sh
exec 4<"$NET/cheap.gguf"
exec "$PWD/$BUILD/kith-worker"
CHEAP
chmod +x "$NET/cheap-worker"

net_people kith-cheat v1 cheat auditor requester
node_start v1 --validator
KITH_WORKER=$NET/cheap-worker node_start cheat --provide
node_start auditor --provide --audit
node_start requester --no-default-model
net_is_up v1 cheat auditor requester

publish() { quietly k v1 model publish models/kith-guide.gguf --name kith-guide --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show kith-guide --json | json root)
serve() {
    local n=$1
    shift
    quietly k "$n" model pull "$root" && quietly k "$n" share start --model "$root" "$@"
}
until_done "the cheat shares" 30 serve cheat --price-in 1000 --price-out 4000 --bond 50 || fail "the cheat cannot share"
until_done "the auditor shares" 30 serve auditor --price-in 900000 --price-out 900000 --audit || fail "the auditor cannot share"
until_done "an offer" 30 has_offer requester || fail "no offer reached the requester"

bond() { "$KITH" --home "$NET/v1" wallet balance "$(cat "$NET/cheat.address")" --json | json bonds.provider; }
# cheated KEY: asks, settles, and prints how the settlement ended.
cheated() {
    local job
    k requester chat "$root" --route network --key "$1" --tokens 40 --temp 0.8 -m "Tell me of the ledger" --json >"$NET/answer" ||
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
    k requester model pull "$root" >/dev/null || return 1
    k requester job verify "$1" >"$NET/verified" 2>&1 && return 1
    grep -q 'DIFFERENT' "$NET/verified" || return 1
    [ "$(k requester job challenge "$1" --json | json state)" = waiting ] || return 1
    k requester job challenge "$1" >"$NET/twice" 2>&1 && return 1
    grep -q 'being challenged already' "$NET/twice" || return 1
    kill -9 "$(node_pid requester)"
    until_done "the requester is back" 30 node_is_up requester
}
before=$(bond)
first=$(cheated one) || fail "the first job did not come to an end"
[ "$first" = "forfeited mismatch" ] || fail "the first audited job ended as: $first"
# It pays the auditor (a part of what it forfeited), and is not slashed.
middle=$(bond)
[ "$middle" -gt $((before / 100 * 99)) ] || fail "one mismatch must not slash: bond $before became $middle"
purse=$(k requester status --json | json balance)
second=$(cheated two) || fail "the second job did not come to an end"
[ "$(json settlement.challenger <"$NET/job")" = "$(node_id requester)" ] || fail "the settlement names no challenger: $(cat "$NET/job")"
gained=$(($(k requester status --json | json balance) - purse))
[ "$gained" -gt 0 ] || fail "the challenger gained nothing: $gained"
[ "$second" = "forfeited mismatch" ] || fail "the second audited job ended as: $second"
after=$(bond)
[ "$after" -lt $((middle / 100 * 60)) ] || fail "the second mismatch did not slash: bond $middle became $after"
k v1 chain info --json | python3 -c '
import json, sys
s = {k: int(v) for k, v in json.load(sys.stdin)["supply"].items()}
assert s["balances"] + s["locked"] + s["funds"] + s["burned"] == s["genesis"] + s["issued"], s' || fail "the supply does not add up"
echo "e2e_cheat: caught at the first job, challenged and slashed at the second: bond $before -> $middle -> $after mote, challenger +$gained"

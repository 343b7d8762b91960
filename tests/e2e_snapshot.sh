#!/bin/bash
# Real processes: validators that make snapshots, a new node that joins by a snapshot while it is
# killed with -9, over and over, and a light client that proves a balance and an absence against it.
set -u
B=${BUILD:-build/release}
dir=$(mktemp -d)
logs=$dir
. "$(dirname "$0")/e2e.sh"
pids=()
finish() {
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
id=() port=()
for i in 1 2 3 4; do
    id[i]=$("$B/kithd" init --home "$dir/$i") || fail "init"
    port[i]=$((23000 + (RANDOM % 900) * 10 + i))
done
start() { # I OPTIONS...
    local i=$1 k peers=()
    shift
    for k in 1 2 3; do [ "$k" = "$i" ] || peers+=(--peer "${id[k]}@127.0.0.1:${port[k]}"); done
    "$B/kithd" --home "$dir/$i" --genesis "$dir/genesis.json" --listen "127.0.0.1:${port[i]}" --http "127.0.0.1:$((port[i] + 5000))" \
        --no-default-model --block-ms 20 --heartbeat-ms 200 --log debug --log-file "$dir/$i.log" "${peers[@]}" "$@" &
    pids[i]=$!
}
said() { local n; n=$(grep -c -- "$2" "$dir/$1.log" 2>/dev/null); echo "${n:-0}"; }
await() { # I TEXT SECONDS [TIMES]
    local until=$(($(date +%s) + $3))
    while [ "$(said "$1" "$2")" -lt "${4:-1}" ]; do
        kill -0 "${pids[$1]}" 2>/dev/null || fail "node $1 ended"
        [ "$(date +%s)" -lt "$until" ] || fail "node $1 never said: $2"
        sleep 0.05
    done
}
height() { sed -n 's/.*consensus committed height=\([0-9]*\) .*/\1/p' "$dir/$1.log" 2>/dev/null | tail -1; }

# Thousands of accounts make several leaves.
python3 - "$dir" "${id[1]}" "${id[2]}" "${id[3]}" <<'PY' || fail "genesis"
import json, sys
dir, ids = sys.argv[1], sys.argv[2:]
# Any x coordinate that is on the curve is a key: those of multiples of its generator.
p = 2**256 - 2**32 - 977
g = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798, 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)
def add(a, many):
    """a to each of many others: their differences of x are inverted together, so that one inversion does."""
    products = [1]
    for x, _ in many: products.append(products[-1] * (x - a[0]) % p)
    inverse, out = pow(products[-1], -1, p), [None] * len(many)
    for i in reversed(range(len(many))):
        slope = (many[i][1] - a[1]) * products[i] % p * inverse % p
        inverse = inverse * (many[i][0] - a[0]) % p
        x = (slope * slope - a[0] - many[i][0]) % p
        out[i] = (x, (slope * (a[0] - x) - a[1]) % p)
    return out
slope = 3 * g[0] ** 2 * pow(2 * g[1], -1, p) % p
x = (slope * slope - 2 * g[0]) % p
small = [g, (x, (slope * (g[0] - x) - g[1]) % p)] # 1 g to 100 g
while len(small) < 100: small += add(g, small[-1:])
points = list(small)
while len(points) < 20000: points += add(add(g, points[-1:])[0], small)
accounts = [{"key": "%064x" % x, "amount": str(1000 + n)} for n, (x, _) in enumerate(points, 1)]
assert len({a["key"] for a in accounts}) == 20000
json.dump({"version": 5, "name": "snap", "prefix": "kithdev", "time_ms": 0, "params": {},
           "accounts": accounts + [{"key": i, "amount": "5000000000"} for i in ids],
           "validators": [{"key": i, "amount": "100000000000"} for i in ids]}, open(dir + '/genesis.json', 'w'))
open(dir + '/account', 'w').write(accounts[7]["key"] + " " + accounts[7]["amount"])
PY
read -r account amount <"$dir/account"

for i in 1 2 3; do start $i --validator --snapshot-blocks 60; done
for i in 1 2; do await $i 'snapshot made .*state=OK' 60; done
await 1 'consensus committed height=65 ' 60

chain() { curl -s -m 5 "http://127.0.0.1:$((port[$1] + 5000))/kith/v1/chain/$2"; }

# A checkpoint from somebody trusted: the genesis is older than the unbonding period.
# It is taken where the newest snapshot is: one that is newer than all snapshots proves none of them.
newest() { sed -n 's/.*snapshot made height=\([0-9]*\) .*/\1/p' "$dir/1.log" | tail -1; }
checkpoint() { chain 1 "blocks/$(newest)" | python3 -c 'import json,sys; b=json.load(sys.stdin); print("%d:%s" % (b["height"], b["id"]))'; }
start 4 --sync snapshot
await 4 'snapshot untrusted .*--checkpoint' 20
kill -9 "${pids[4]}"; wait "${pids[4]}" 2>/dev/null
point=$(checkpoint)
kills=0
for k in 1 2; do # in the middle of the fetch: those who serve it are stopped as soon as it is seen to begin
    start 4 --sync snapshot --checkpoint "$point"
    for _ in $(seq 2000); do [ "$(said 4 'snapshot fetching')" -ge $k ] 2>/dev/null && break; done
    sleep 0.0$((2 * k))
    kill -STOP "${pids[1]}" "${pids[2]}" "${pids[3]}"
    sleep 0.05
    kill -9 "${pids[4]}"; wait "${pids[4]}" 2>/dev/null
    kill -CONT "${pids[1]}" "${pids[2]}" "${pids[3]}"
    [ "$(said 4 'snapshot joined')" -gt 0 ] && break
    kills=$((kills + 1))
done
start 4 --sync snapshot --checkpoint "$point"
[ "$(said 4 'snapshot joined')" -gt 0 ] || await 4 'snapshot joined' 40
h=$(height 1)
for _ in $(seq 300); do [ "$(height 4)" -ge "$h" ] 2>/dev/null && break; sleep 0.1; done
[ "$(height 4)" -ge "$h" ] 2>/dev/null || fail "node 4 is at height $(height 4), not $h"
[ "$(said 4 'snapshot fetching.*have=[1-9]')" -gt 0 ] || [ "$kills" -eq 0 ] || fail "no fetch went on where it had stopped"
first=$(sed -n 's/.*consensus committed height=\([0-9]*\) .*/\1/p' "$dir/4.log" | head -1)
[ "$first" -gt 20 ] || fail "node 4 began with block $first"
for k in 1 2 3; do # restarts from its own store
    kill -9 "${pids[4]}"; wait "${pids[4]}" 2>/dev/null
    start 4
    h=$(height 1)
    for _ in $(seq 300); do [ "$(height 4)" -ge "$h" ] 2>/dev/null && break; sleep 0.1; done
    [ "$(height 4)" -ge "$h" ] 2>/dev/null || fail "restarted, node 4 is at height $(height 4), not $h"
done

# A light client that knows the genesis and a checkpoint, and believes no node.
url() { echo "http://127.0.0.1:$((port[$1] + 5000))"; }
light() { "$B/kith" --home "$dir/phone" --genesis "$dir/genesis.json" --light "$@"; }
for _ in $(seq 200); do chain 4 info | grep -q '"height"' && break; sleep 0.05; done
out=$(light --peer "$(url 4)" wallet balance "$account" 2>&1) && fail "an old genesis was trusted: $out"
grep -q -- '--checkpoint' <<<"$out" || fail "no word of a checkpoint: $out"
out=$(light --peer "$(url 4)" --peer "$(url 1)" --checkpoint "$point" --json wallet balance "$account") || fail "no balance: $out"
python3 -c 'import json,sys; o=json.loads(sys.argv[1]); sys.exit(not (o["proven"] and o["account"]["balance"]==sys.argv[2] and o["height"]>20))' \
    "$out" "$amount" || fail "another balance than $amount: $out"
out=$(light --peer "$(url 4)" wallet balance "$account") || fail "what was believed is not kept: $out" # no checkpoint now
none=$(printf '%064d' 7)
kept=("$dir/phone/light/"*.trust)
cp "${kept[0]}" "$dir/trust"
printf 'X' | dd of="${kept[0]}" bs=1 seek=100 conv=notrunc 2>/dev/null
out=$(light --peer "$(url 4)" wallet balance "$account" 2>&1) && fail "a changed header was believed: $out"
[[ $out == *"${kept[0]}: the kept header is damaged"* ]] || fail "of a changed header it says: $out"
cp "$dir/trust" "${kept[0]}"
out=$(light --peer "$(url 1)" model show "$none") || fail "no absence: $out"
grep -q 'there is no such model' <<<"$out" || fail "an invented model: $out"
light --peer "$(url 1)" receipt show "$none" 0 | grep -q 'no such settlement' || fail "an invented settlement"
light --peer "$(url 1)" proof totals | grep -q 'proven by block' || fail "no totals"
light --peer "$(url 1)" chat 2>&1 | grep -q 'needs a daemon' || fail "chat over a light client"
# A node of lies in between: it changes what passes through it, or sends without end.
python3 - "$((port[1] + 5000))" "$dir/liar.port" <<'PY' &
import http.server, socketserver, sys, urllib.request, urllib.error, re
up, told = sys.argv[1], sys.argv[2]
class Liar(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        kind, path = re.match(r'(.*)', open(told + '.how').read()).group(1), self.path
        try: body = urllib.request.urlopen('http://127.0.0.1:%s%s' % (up, path), timeout=60).read()
        except urllib.error.HTTPError as e: body = e.read()
        if kind == 'value' and '/proof' in path: body = re.sub(rb'"value":"(..)', rb'"value":"ff', body)
        if kind == 'proof' and '/proof' in path: body = re.sub(rb'"proof":"(.{80})..', rb'"proof":"\g<1>00', body)
        if kind == 'deny' and '/proof' in path: body = body.replace(b'"found":true', b'"found":false')
        if kind == 'header' and '/light' in path: body = re.sub(rb'"block":"(.{200})..', rb'"block":"\g<1>00', body)
        if kind == 'huge': body = b'{"height":' + b'9' * (4 << 20) + b'}'
        if kind == 'old' and '/wait' in path: body = b'{"height":2}'
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()
        try: self.wfile.write(body)
        except OSError: pass
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
s = S(('127.0.0.1', 0), Liar); open(told, 'w').write(str(s.server_port)); s.serve_forever()
PY
pids[9]=$!
for _ in $(seq 100); do [ -s "$dir/liar.port" ] && break; sleep 0.05; done
liar=http://127.0.0.1:$(cat "$dir/liar.port")
for how in value proof deny header huge old; do
    echo $how >"$dir/liar.port.how"
    out=$(timeout 60 "$B/kith" --home "$dir/phone" --genesis "$dir/genesis.json" --light --peer "$liar" wallet balance "$account" 2>&1) &&
        fail "the lie \"$how\" was believed: $out"
    grep -q 'kith: ' <<<"$out" || fail "the lie \"$how\" is not named: $out"
    light --peer "$liar" --peer "$(url 1)" wallet balance "$account" >"$dir/out" 2>"$dir/err" || fail "$how: the honest node was not asked"
    grep -q 'is not believed' "$dir/err" || fail "$how: not a word about the liar: $(cat "$dir/err")"
done
kill -9 "${pids[9]}"; wait "${pids[9]}" 2>/dev/null; unset 'pids[9]'
rss=$(python3 -c 'import resource,subprocess,sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' \
    "$B/kith" --home "$dir/phone" --genesis "$dir/genesis.json" --light --peer "$(url 1)" --checkpoint "$point" wallet balance "$account")
[ "$rss" -lt 32768 ] || fail "a light client took $rss KiB"

twice=$(cat "$dir"/[1-4].log | sed -n 's/.*consensus committed height=\([0-9]*\) .* id=\([0-9a-f]*\).*/\1 \2/p' | sort -u | cut -d' ' -f1 | uniq -d)
[ -z "$twice" ] || fail "two blocks at height $twice"
for i in 1 2 3 4; do kill "${pids[i]}"; done
for i in 1 2 3 4; do wait "${pids[i]}" || fail "node $i ended with status $?"; done
grep -h " broken \| equivocation " "$dir"/*.log && fail "a broken line"
echo "e2e_snapshot: ok, joined at $((first - 1)), killed $kills times on the way; a light client took $rss KiB"

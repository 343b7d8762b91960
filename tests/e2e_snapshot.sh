#!/bin/bash
# Real processes: validators that make snapshots, a new node that joins by a snapshot while it is
# killed with -9, over and over, and a light client that proves a balance and an absence against it.
set -u
B=${BUILD:-build/release}
dir=$(mktemp -d)
pids=()
finish() {
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT
fail() {
    echo "e2e_snapshot: $*"
    for l in "$dir"/*.log; do echo "-- $l"; tail -12 "$l"; done
    exit 1
}
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
import json, sys, hashlib
dir, ids = sys.argv[1], sys.argv[2:]
# Any x coordinate that is on the curve is a key: half of all are.
p = 2**256 - 2**32 - 977
accounts, n = [], 0
while len(accounts) < 20000:
    n += 1
    x = int.from_bytes(hashlib.sha256(n.to_bytes(4, 'big')).digest(), 'big') % p
    if pow((pow(x, 3, p) + 7) % p, (p - 1) // 2, p) == 1:
        accounts.append({"key": "%064x" % x, "amount": str(1000 + n)})
json.dump({"version": 1, "name": "snap", "prefix": "kithdev", "time_ms": 0, "params": {"unbonding_ms": 600000},
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

twice=$(cat "$dir"/[1-4].log | sed -n 's/.*consensus committed height=\([0-9]*\) .* id=\([0-9a-f]*\).*/\1 \2/p' | sort -u | cut -d' ' -f1 | uniq -d)
[ -z "$twice" ] || fail "two blocks at height $twice"
for i in 1 2 3 4; do kill "${pids[i]}"; done
for i in 1 2 3 4; do wait "${pids[i]}" || fail "node $i ended with status $?"; done
grep -h " broken \| equivocation " "$dir"/*.log && fail "a broken line"
echo "e2e_snapshot: ok, joined at $((first - 1)), killed $kills times on the way"

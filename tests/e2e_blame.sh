#!/bin/bash
# A fork that really happens: one validator's key on two machines that do not know each other. From what both testify, the
# command names it.
set -u
B=${BUILD:-build/release}
H=$(mktemp -d)
logs=$H
. "$(dirname "$0")/e2e.sh"
pids=()
cleanup() {
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$H"
}
trap cleanup EXIT

key=$("$B/kithd" init --home "$H/a") || fail init
mkdir "$H/b" && cp "$H/a/node.key" "$H/b/" || fail copy
"$B/kithd" genesis --out "$H/genesis.json" --chain blame --validator "$key:100" --account "$key:1" >/dev/null || fail genesis
for who in a b; do
    port=$(free_port)
    "$B/kithd" --home "$H/$who" --genesis "$H/genesis.json" --listen 127.0.0.1:0 --http "127.0.0.1:$port" --validator --block-ms 50 \
        --heartbeat-ms 50 >"$H/$who.log" 2>&1 &
    pids+=($!)
    url[${#pids[@]}]=http://127.0.0.1:$port
    sleep 0.1 # another time, another block
done
for i in 1 2; do
    "$B/kith" --url "${url[i]}" chain wait 2 >/dev/null 2>&1 || { sleep 2 && "$B/kith" --url "${url[i]}" chain wait 2 >/dev/null; } || fail "node $i decides nothing"
    "$B/kith" --url "${url[i]}" chain testimony 1 --out "$H/$i.testimony" >/dev/null || fail "node $i does not testify"
done
out=$("$B/kith" chain blame "$H/1.testimony" "$H/2.testimony") || fail "nobody is named: $out"
[[ $out == *"$key"*"two "*"of one round"* ]] || fail "it says: $out"
"$B/kith" chain blame "$H/1.testimony" "$H/2.testimony" --json | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["complete"] and r["power"] == r["total"] > 0 and r["validators"][0]["validator"] == sys.argv[1], r' "$key" || fail "json"
out=$("$B/kith" chain blame "$H/1.testimony" "$H/1.testimony" 2>&1) && fail "one decision is taken for a fork: $out"
head -c 100 "$H/1.testimony" >"$H/short"
out=$("$B/kith" chain blame "$H/1.testimony" "$H/short" 2>&1)
[ $? = 3 ] && [[ $out == *short:* ]] || fail "of a damaged file it says: $out"
# A light client that asks both believes neither, keeps what they proved, and says how to find out who it was.
out=$("$B/kith" --home "$H/phone" --genesis "$H/genesis.json" --light --peer "${url[1]}" --peer "${url[2]}" chain info 2>&1)
[ $? = 1 ] && [[ $out == *"two different blocks"*"kith chain blame"* ]] || fail "a light client that asked both says: $out"
kept=("$H/phone/light/"*conflict-*)
[ -f "${kept[0]}" ] || fail "what they proved is not kept"
# It is of the first block that they disagree on, and the command takes it as it is.
[[ ${kept[0]} == *conflict-1 ]] || fail "of the first block that differs is kept ${kept[0]}"
out=$("$B/kith" chain blame "${kept[0]}") || fail "of what a light client kept nobody is named: $out"
[[ $out == "height 1 "*"$key"*"two precommits of one round"* ]] || fail "of what a light client kept it says: $out"
"$B/kith" chain blame "${kept[0]}" "$H/1.testimony" >/dev/null || fail "a testimony beside it is not taken"
head -c 300 "${kept[0]}" >"$H/short"
out=$("$B/kith" chain blame "$H/short" 2>&1)
[ $? = 3 ] && [[ $out == *short:*"light client"* ]] || fail "of half of what a light client kept it says: $out"
# Nor where one side of the fork stays behind.
kill "${pids[1]}" && wait "${pids[1]}"
port=$(free_port)
"$B/kithd" --home "$H/b" --genesis "$H/genesis.json" --listen 127.0.0.1:0 --http "127.0.0.1:$port" --validator \
    --heartbeat-ms 600000 >>"$H/b.log" 2>&1 &
pids[1]=$!
url[2]=http://127.0.0.1:$port
for _ in $(seq 50); do "$B/kith" --url "${url[2]}" chain info >/dev/null 2>&1 && break; sleep 0.1; done
high=$("$B/kith" --url "${url[2]}" --json chain info | python3 -c 'import json, sys; print(json.load(sys.stdin)["height"])')
"$B/kith" --url "${url[1]}" chain wait $((high + 50)) >/dev/null || fail "the other side does not go on"
out=$("$B/kith" --home "$H/phone" --genesis "$H/genesis.json" --light --peer "${url[1]}" --peer "${url[2]}" chain info 2>&1)
[ $? = 1 ] && [[ $out == *"two different blocks"* ]] || fail "of a fork with a short side a light client says: $out"
out=$("$B/kith" --url "${url[1]}" chain testimony 100000000 --out "$H/none" 2>&1) && fail "testimony of a block that is not: $out"
echo "e2e_blame: ok"

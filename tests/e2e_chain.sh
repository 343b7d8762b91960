#!/bin/bash
# Real processes on loopback: one validator alone; four that agree; one killed with -9 and started again; all four killed
# at once; a stranger that catches up. Heights are read from the log's "committed" lines, which also must never
# name two blocks for one height.
set -u
kithd=${BUILD:-build/release}/kithd
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
for i in 1 2 3 4 5; do
    id[i]=$($kithd init --home "$dir/$i") || fail "init"
    port[i]=$((20000 + (RANDOM % 1200) * 10 + i)) # below those that the system gives to others
done
peers() { for k in 1 2 3 4 5; do [ "$k" = "$1" ] || echo "--peer ${id[k]}@127.0.0.1:${port[k]}"; done; }
start() { # I GENESIS OPTIONS...
    local i=$1 genesis=$2
    shift 2
    # shellcheck disable=SC2046
    $kithd --home "$dir/$i" --genesis "$genesis" --listen "127.0.0.1:${port[i]}" --http "" --block-ms 50 --heartbeat-ms 200 \
        --log debug --log-file "$dir/$i.log" "$@" &
    pids[i]=$!
}
height() { sed -n 's/.*consensus committed height=\([0-9]*\) .*/\1/p' "$dir/$1.log" 2>/dev/null | tail -1; }
wait_height() { # I HEIGHT SECONDS
    local until=$(($(date +%s) + $3)) h
    while h=$(height "$1"); [ "${h:-0}" -lt "$2" ]; do
        kill -0 "${pids[$1]}" 2>/dev/null || fail "node $1 ended"
        [ "$(date +%s)" -lt "$until" ] || fail "node $1 is at height ${h:-0}, not $2"
        sleep 0.1
    done
}

# Alone.
$kithd genesis --out "$dir/one.json" --chain one --validator "${id[5]}:100" --account "${id[5]}:1" >/dev/null || fail "genesis"
start 5 "$dir/one.json" --validator
wait_height 5 5 10
kill -9 "${pids[5]}"
wait "${pids[5]}" 2>/dev/null
h=$(height 5)
start 5 "$dir/one.json" --validator
wait_height 5 $((h + 3)) 10
kill "${pids[5]}"
wait "${pids[5]}" || fail "a clean stop gave status $?"
rm -rf "$dir/5/chain" "$dir/5/consensus" "$dir/5/genesis.json" "$dir/5.log"

# Four.
$kithd genesis --out "$dir/four.json" --chain four $(for i in 1 2 3 4; do echo "--validator ${id[i]}:10$i"; done) \
    --account "${id[1]}:1000" >/dev/null || fail "genesis"
# shellcheck disable=SC2046
for i in 1 2 3 4; do start $i "$dir/four.json" --validator $(peers $i); done
for i in 1 2 3 4; do wait_height $i 5 20; done
for round in 1 2 3; do
    kill -9 "${pids[4]}"
    wait "${pids[4]}" 2>/dev/null
    wait_height 1 $(($(height 1) + 4)) 30
    # shellcheck disable=SC2046
    start 4 "$dir/four.json" --validator $(peers 4)
    wait_height 4 $(($(height 1) + 2)) 30
done
for i in 1 2 3 4; do kill -9 "${pids[i]}"; done
for i in 1 2 3 4; do wait "${pids[i]}" 2>/dev/null; done # bash reports them as killed
h=$(height 1)
# shellcheck disable=SC2046
for i in 1 2 3 4; do start $i "$dir/four.json" --validator $(peers $i); done
for i in 1 2 3 4; do wait_height $i $((h + 5)) 30; done

# A stranger that knows one node.
start 5 "$dir/four.json" --peer "${id[2]}@127.0.0.1:${port[2]}"
wait_height 5 $(($(height 1) + 1)) 30

for i in 1 2 3 4 5; do kill "${pids[i]}"; done
for i in 1 2 3 4 5; do wait "${pids[i]}" || fail "node $i ended with status $?"; done
# No file but the key's own holds the key, in digits or in bytes: no log, no store, no file that anybody forgot.
for i in 1 2 3 4 5; do
    key=$(head -n 1 "$dir/$i/node.key")
    [ ${#key} = 64 ] || fail "no key of 64 digits in $dir/$i/node.key"
    found=$(LC_ALL=C grep -rlaE "$key" "$dir" | grep -v "/$i/node.key$"
        LC_ALL=C grep -rlaP "$(sed 's/../\\x&/g' <<<"$key")" "$dir")
    [ -z "$found" ] || fail "the key of node $i is in $found"
done
twice=$(cat "$dir"/[1-5].log | sed -n 's/.*consensus committed height=\([0-9]*\) .* id=\([0-9a-f]*\).*/\1 \2/p' | sort -u | cut -d' ' -f1 | uniq -d)
[ -z "$twice" ] || fail "two blocks at height $twice"
grep -h " broken \| equivocation " "$dir"/*.log && fail "a broken line"
echo "e2e_chain: ok, $(height 5) blocks"

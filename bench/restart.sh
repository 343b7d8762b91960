#!/bin/bash
# How long a node with many accounts takes to start, after a clean stop and after kill -9, and how much memory it has.
# Processor time tells more where other processes run.
#
#     bench/restart.sh [ACCOUNTS]
set -u
BUILD=${BUILD:-build/release}
kithd=$BUILD/kithd accounts=${1:-1000000}
dir=$(mktemp -d)
pid=
trap 'kill -9 $pid 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
port=$((20000 + RANDOM % 12000))

id=$($kithd init --home "$dir/home") || exit 1
$kithd genesis --out "$dir/genesis.json" --chain bench --validator "$id:100" >/dev/null || exit 1
mkdir "$dir/home/chain"
"$BUILD/bench/bench_ledger" home "$dir/home/chain" "$dir/genesis.json" "$accounts" || exit 1

started() { # WHAT: starts it, and says how long it was until it answered, and its memory
    local from to
    from=$(date +%s%N)
    $kithd --home "$dir/home" --genesis "$dir/genesis.json" --listen "" --http "127.0.0.1:$port" --validator --log-file "$dir/log" &
    pid=$!
    until curl -sf "http://127.0.0.1:$port/health" >/dev/null; do
        kill -0 $pid 2>/dev/null || { tail -3 "$dir/log"; exit 1; }
        sleep 0.01
    done
    to=$(date +%s%N)
    echo "$1: $(((to - from) / 1000000)) ms, $(awk '{print ($14 + $15) * 10}' /proc/$pid/stat) ms of processors, $(awk '/VmRSS/ {print int($2 / 1024)}' /proc/$pid/status) MB, at most $(awk '/VmHWM/ {print int($2 / 1024)}' /proc/$pid/status) MB"
}
started "first start"
sleep 1
kill $pid && wait $pid
started "after a clean stop"
sleep 3 # it makes blocks
kill -9 $pid
wait $pid 2>/dev/null
started "after kill -9"

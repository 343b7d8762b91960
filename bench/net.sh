#!/bin/bash
# Four validators in four processes on this machine, and load on them (bench/bench_net.c).
#
#     bench/net.sh [TRANSFERS [RATE [PUBLISHES [RATE]]]]
set -u
BUILD=${BUILD:-build/release}
kithd=$BUILD/kithd load=$BUILD/bench/bench_net
transfers=${1:-60000} transfer_rate=${2:-4500} publishes=${3:-8000} publish_rate=${4:-450}
accounts=2000
dir=$(mktemp -d)
pids=()
finish() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    wait 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT

id=() port=() http=()
base=$((20000 + (RANDOM % 1200) * 10))
for i in 1 2 3 4; do
    id[i]=$($kithd init --home "$dir/$i") || exit 1
    port[i]=$((base + i))
    http[i]=127.0.0.1:$((base + 4 + i))
done
# shellcheck disable=SC2046
$kithd genesis --out "$dir/genesis.json" --chain bench $(for i in 1 2 3 4; do echo "--validator ${id[i]}:100"; done) \
    $($load accounts $((2 * accounts))) >/dev/null || exit 1
sed -i 's/"claim_blocks": [0-9]*/"claim_blocks": 0/' "$dir/genesis.json" # what is measured is how many publications pass
for i in 1 2 3 4; do
    peers=""
    for k in 1 2 3 4; do [ $k = $i ] || peers="$peers --peer ${id[k]}@127.0.0.1:${port[k]}"; done
    # shellcheck disable=SC2086
    $kithd --home "$dir/$i" --genesis "$dir/genesis.json" --listen "127.0.0.1:${port[i]}" --http "${http[i]}" --validator \
        --log-file "$dir/$i.log" $peers &
    pids[i]=$!
done
for try in $(seq 100); do
    up=0
    for i in 1 2 3 4; do [ "$(curl -s "http://${http[i]}/kith/v1/peers" | grep -o '"up":true' | wc -l)" = 3 ] && up=$((up + 1)); done
    [ $up = 4 ] && break
    sleep 0.1
done
[ $up = 4 ] || { echo "net.sh: the nodes do not find each other"; exit 1; }

chain=$(curl -s "http://${http[1]}/kith/v1/chain/info" | sed 's/^{"id":"\([0-9a-f]*\)".*/\1/')

used() { # processor seconds of all four so far
    local sum=0 u s
    for i in 1 2 3 4; do
        read -r u s < <(awk '{print $14, $15}' "/proc/${pids[i]}/stat")
        sum=$((sum + u + s))
    done
    echo $sum
}
before=$(used)
rc=0
if [ "$transfers" -gt 0 ]; then
    $load transfer "$chain" $accounts "$transfers" "$transfer_rate" "${http[@]}" || rc=1
    after=$(used)
    echo "processor time: $(((after - before) * 10000 / 4 / transfers)) us a transfer and node"
fi
[ "$publishes" -gt 0 ] && { $load publish "$chain" $accounts "$publishes" "$publish_rate" "${http[@]}" || rc=1; }
grep -hE ' (odd|broken) ' "$dir"/*.log | cut -c1-200 | sort | uniq -c | sort -rn | head -5
exit $rc

#!/bin/bash
# Money on a chain of one validator, as people see it: labels, accounts that are only watched, history in words,
# signing on a machine that has no network, accounts that two of three sign for.
set -u
B=${BUILD:-build/release}
H=$(mktemp -d)
logs=$H
. "$(dirname "$0")/e2e.sh"
node=
cleanup() {
    [ -n "$node" ] && kill -9 "$node" 2>/dev/null
    wait "$node" 2>/dev/null
    rm -rf "$H"
}
trap cleanup EXIT
export KITH_PASSWORD_FILE=$H/password
echo 'a good password' >"$KITH_PASSWORD_FILE"
# A person's wallet: k NAME WORDS...; all talk to the same node.
k() {
    local who=$1
    shift
    "$B/kith" --home "$H/$who" --url "$url" "$@"
}
says() { # TEXT COMMAND...: succeeds and says so
    local text=$1 out
    shift
    out=$("$@" 2>&1) || fail "$* failed: $out"
    [[ $out == *"$text"* ]] || fail "$* does not say \"$text\": $out"
}
refuses() { # TEXT COMMAND...
    local text=$1 out
    shift
    out=$("$@" 2>&1) && fail "$* succeeded: $out"
    [[ $out == *"$text"* ]] || fail "$* does not say \"$text\": $out"
}

url=http://127.0.0.1:1
validator=$("$B/kithd" init --home "$H/node") || fail init
for who in anna ben; do
    k $who wallet new --prefix kithdev --json >"$H/$who.new" || fail "wallet of $who"
done
anna=$(json address <"$H/anna.new") ben=$(json address <"$H/ben.new")
"$B/kithd" genesis --out "$H/genesis.json" --chain tx --validator "$validator:1000" --account "$anna:1000" >/dev/null || fail genesis
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
start() {
    "$B/kithd" --home "$H/node" --genesis "$H/genesis.json" --listen 127.0.0.1:0 --http "127.0.0.1:$port" --validator --block-ms 50 \
        >>"$H/node.log" 2>&1 &
    node=$!
    for _ in $(seq 200); do
        "$B/kith" --url "$url" status >/dev/null 2>&1 && return
        sleep 0.05
    done
    fail "the node does not answer"
}
start

# Labels stand for addresses, in both directions.
says Ben k anna wallet label "$ben" Ben
says "sent 30 KITH" k anna tx send Ben 30 --memo bread --yes
refuses "neither an address nor a label" k anna tx send Bob 1 --yes
says "sent to Ben: bread" k anna tx history
says "received from $anna: bread" k ben tx history
id=$(k anna tx history --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["entries"][0]["tx"])')
says "breakfast" k anna wallet label "$id" breakfast
says "sent to Ben: bread [breakfast]" k anna tx history

# Watched: seen, not spent.
says "(watched)" k carl wallet watch "$ben" --name purse
says "30 KITH" k carl wallet balance
says "$ben" k carl wallet receive
says "received from" k carl tx history --account purse
refuses "only watched" k carl tx send "$anna" 1 --yes
refuses "its key is here" k ben wallet watch "$ben" --name me

# Pages, newest first; a kill loses nothing.
for i in 1 2 3 4 5; do k anna tx send Ben "$i" --yes >/dev/null || fail "send $i"; done
kill -9 "$node"
wait "$node" 2>/dev/null
start
first=$(k ben tx history --limit 2 --json) || fail "history after kill"
python3 - "$first" <<'PY' || fail "a page is wrong: $first"
import json, sys
page = json.loads(sys.argv[1])
assert [e["amount"] for e in page["entries"]] == ["5000000000", "4000000000"], page
assert page["next"] and page["from"] == 1
PY
next=$(json next <<<"$first")
says "3 KITH" k ben tx history --limit 2 --before "$next"
says "+" k ben tx history
[ "$(k ben tx history --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["entries"]))')" = 6 ] || fail "not 6 entries"

# Built where the chain is known, signed where the key is and nothing else, sent from anywhere.
off() { # NAME WORDS...: without a network
    local who=$1
    shift
    "$B/kith" --home "$H/$who" --url http://127.0.0.1:1 "$@"
}
says "signatures 0 of 1" k carl tx build send "$anna" 7 --memo offline --account purse --out "$H/a.tx"
refuses "is there already" k carl tx build send "$anna" 7 --out "$H/a.tx"
refuses "no account of this wallet may sign" off anna tx sign "$H/a.tx" --yes
refuses "1 more are needed" k carl tx broadcast "$H/a.tx"
says "send 7 KITH to $anna: offline" off ben tx sign "$H/a.tx" --yes
refuses "all signatures are there" off ben tx sign "$H/a.tx" --yes
says "in block" k carl tx broadcast "$H/a.tx"
refuses "" k carl tx broadcast "$H/a.tx"
says "received from Ben: offline" k anna tx history

# Two of three.
k anna wallet new --name joint >/dev/null || fail "a second account"
k dora wallet new --prefix kithdev --json >"$H/dora.new" || fail "wallet of dora"
dora=$(json address <"$H/dora.new")
joint=$(k anna wallet receive --account joint)
says "sent 50 KITH" k anna tx send joint 50 --yes
refuses "is no role" k anna tx bond boss 1 --yes
says "in block" k anna tx rule 2 main Ben "$dora" --account joint --yes
refuses "2 of 3 keys sign" k anna tx send Ben 1 --account joint --yes
says "signatures 0 of 2" k anna tx build send Ben 20 --account joint --out "$H/j.tx"
cp "$H/j.tx" "$H/copy.tx"
says "next: \`kith tx sign" off anna tx sign "$H/j.tx" --yes
refuses "1 more are needed" k anna tx broadcast "$H/j.tx"
says "signed" off dora tx sign "$H/copy.tx" --yes
before=$(k ben wallet balance "$ben" --json | json balance)
says "in block" k ben tx broadcast "$H/j.tx" "$H/copy.tx"
[ "$(k ben wallet balance "$ben" --json | json balance)" = $((before + 20000000000)) ] || fail "the joint money did not come"
says '"k":2' k anna wallet balance "$joint" --json
says "signatures 0 of 2" k anna tx build rule 0 --account joint --out "$H/end.tx"
says "its own key again" off anna tx sign "$H/end.tx" --yes
says "signed" off ben tx sign "$H/end.tx" --yes
says "in block" k anna tx broadcast "$H/end.tx"
says "sent 1 KITH" k anna tx send Ben 1 --account joint --yes
says "sent to Ben" k anna tx history --account joint
says "in block" k anna tx bond auditor 5 --yes
says "in block" k anna tx unbond auditor 5 --yes
says "bond asked back" k anna tx history
says "from the stake as auditor: 5 KITH" k anna wallet balance "$anna"
says '"unbonding":[{"role":"auditor","amount":"5000000000","until_ms":' k anna wallet balance "$anna" --json

echo "e2e_tx: ok"

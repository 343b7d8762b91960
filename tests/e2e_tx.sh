#!/bin/bash
# Money on a chain of one validator, as people see it: labels, accounts that are only watched, history in words.
set -u
B=${BUILD:-build/release}
H=$(mktemp -d)
node=
cleanup() {
    [ -n "$node" ] && kill -9 "$node" 2>/dev/null
    wait "$node" 2>/dev/null
    rm -rf "$H"
}
trap cleanup EXIT
fail() {
    echo "e2e_tx: $*"
    tail -n 15 "$H/node.log"
    exit 1
}
export KITH_PASSWORD_FILE=$H/password
echo 'a good password' >"$KITH_PASSWORD_FILE"
# A person's wallet: k NAME WORDS...; all talk to the same node.
k() {
    local who=$1
    shift
    "$B/kith" --home "$H/$who" --url "$url" "$@"
}
member() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
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
anna=$(member address <"$H/anna.new") ben=$(member address <"$H/ben.new")
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
next=$(member next <<<"$first")
says "3 KITH" k ben tx history --limit 2 --before "$next"
says "+" k ben tx history
[ "$(k ben tx history --json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["entries"]))')" = 6 ] || fail "not 6 entries"

echo "e2e_tx: ok"

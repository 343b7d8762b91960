#!/bin/bash
# Two kithd processes: they find each other, survive kill -9 and strangers' garbage, refuse what cannot work
# with one clear line, and stop cleanly.
set -u
B=${BUILD:-build/release}
H=$(mktemp -d)
logs=$H
. "$(dirname "$0")/e2e.sh"
pids=()
cleanup() {
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null; done
    rm -rf "$H"
}
trap cleanup EXIT
# Waits until the log has the text at least so many times.
await() { # LOG TEXT TIMES
    for _ in $(seq 200); do
        [ "$(grep -c -- "$2" "$H/$1.log" 2>/dev/null)" -ge "$3" ] && return
        sleep 0.05
    done
    fail "$1 never said: $2 ($3 times)"
}
start() { # NAME WORD...
    local name=$1
    shift
    "$B/kithd" --home "$H/$name" --genesis "$H/genesis.json" --http 127.0.0.1:0 "$@" >>"$H/$name.log" 2>&1 &
    pids+=($!)
    last=$!
}
# Must end with status 1 or 3, one line, and the words.
refused() { # WORDS COMMAND...
    local words=$1 out
    shift
    out=$(timeout 10 "$@" 2>&1)
    local status=$?
    [ $status -eq 1 ] || [ $status -eq 3 ] || fail "status $status from: $*"
    grep '^kithd: ' <<<"$out" | grep -q -- "$words" || fail "\"$out\" does not say \"$words\""
}

A=$("$B/kithd" init --home "$H/a") && C=$("$B/kithd" init --home "$H/b") || fail "init"
"$B/kithd" genesis --out "$H/genesis.json" --chain e2e --validator "$A:1000" --account "$A:1000" >/dev/null || fail genesis
PA=$(free_port)
start a --listen "127.0.0.1:$PA" --validator
a=$last
await a 'node started' 1
start b --listen 127.0.0.1:0 --peer "$A@127.0.0.1:$PA"
b=$last
await b "peers up peer=${A:0:16}" 1
await a "peers up peer=${C:0:16}" 1

head -c 3000 /dev/urandom >"/dev/tcp/127.0.0.1/$PA"
await a 'peers misbehaved' 1

{ kill -9 "$a" && wait "$a"; } 2>/dev/null # without the shell's own remark
await b 'peers down' 1
start a --listen "127.0.0.1:$PA" --validator
a=$last
await b "peers up peer=${A:0:16}" 2

# Kept out by its owner: hung up on, not let in again, also after a restart; then let in. What a check says of it.
kb() { "$B/kith" --home "$H/b" "$@"; }
kb peer ban nobody 2>"$H/err" && fail "a node without a key was banned"
grep -q '64 digits' "$H/err" || fail "no word on how a node is named: $(cat "$H/err")"
grep -l 'book malformed' "$H"/*.log && fail "a node that had no book yet says that it is malformed"
checked() { kb net check --json | python3 -c 'import json,sys; print(next(c["result"] for c in json.load(sys.stdin)["checks"] if c["check"] == sys.argv[1]))' "$1"; }
[ "$(checked peers)$(checked genesis)$(checked listening)" = okokok ] || fail "net check: $(kb net check)"
until_said() { for _ in $(seq 100); do [ "$(checked "$1")" = "$2" ] && return; sleep 0.1; done; fail "$1 is $(checked "$1"), not $2: $(kb net check)"; }
until_said reachable ok # a dialled it back
kb net check | grep -q '^reachable.*its own network.* at 127.0.0.1:' || fail "no word on who reached it: $(kb net check)"
[ "$("$B/kith" --home "$H/a" status --json | python3 -c 'import json,sys; r=json.load(sys.stdin)["reach"]; print(r["reachable"], r["relaying"])')" = "yes True" ] || fail "b dialled a, which does not know that it can be reached"
kb peer ban "$A" --reason 'sends too much' >/dev/null || fail "a cannot be banned"
await b 'peers down' 2
[ "$(kb peer ls --json | grep -o 'sends too much')" ] || fail "the reason is lost"
[ "$(checked peers)" = bad ] || fail "without a peer all is well"
{ kill -9 "$b" && wait "$b"; } 2>/dev/null
start b --listen 127.0.0.1:0 --peer "$A@127.0.0.1:$PA"
b=$last
for _ in $(seq 100); do kb status >/dev/null 2>&1 && break; sleep 0.1; done
sleep 2
[ "$(grep -c "peers up peer=${A:0:16}" "$H/b.log")" = 2 ] || fail "a node that is kept out was dialled"
"$B/kith" --home "$H/a" peer add "$C@127.0.0.1:$(kb net check --json | grep -o 'port [0-9]*' | head -n 1 | grep -o '[0-9]*')" >/dev/null
sleep 2
"$B/kith" --home "$H/a" peers --json | grep -q '"up":true' && fail "a node that is kept out came in"
kb peer unban "$C" 2>/dev/null && fail "one that is not kept out was let in"
kb peer unban "$A" >/dev/null || fail "a cannot be let in"
await b "peers up peer=${A:0:16}" 3

refused 'another kithd runs' "$B/kithd" --home "$H/a" --http 127.0.0.1:0
refused "cannot listen on 127.0.0.1:$PA" "$B/kithd" --home "$H/c" --genesis "$H/genesis.json" --listen "127.0.0.1:$PA" --http 127.0.0.1:0
refused 'genesis.json is not there' "$B/kithd" --home "$H/d" --http 127.0.0.1:0
refused 'cannot make the directory' "$B/kithd" --home /proc/none
refused 'is no PUBKEY@HOST:PORT' "$B/kithd" --home "$H/e" --genesis "$H/genesis.json" --listen 127.0.0.1:0 --http 127.0.0.1:0 --peer nobody
refused 'is no option' "$B/kithd" --frobnicate
refused 'is no command' "$B/kithd" frobnicate

kill -TERM "$b" && wait "$b" || fail "b did not stop cleanly"
kill -INT "$a" && wait "$a" || fail "a did not stop cleanly"
grep -q ' broken ' "$H"/*.log && fail "something broke"
echo "e2e_network: ok"

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

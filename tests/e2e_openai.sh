#!/bin/bash
# The official openai client completes a chat and a response against `kithd dev`, streamed and whole, and its errors are errors; so do
# other clients that people use, and raw HTTP; /openapi.json says what the API does, and /kith/v1/events what happens.
# Skips out loud where npm or the default model is not there.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_openai: models/kith-guide.gguf is not there"; exit 0; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/kith-openai.XXXXXX")
pid=""
clean() {
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    rm -rf "$dir"
}
trap clean EXIT
cache=build/npm
. tests/npm.sh
npm_has e2e_openai tests/openai $cache openai
port=$((21000 + $$ % 11000)) # below those that the system gives to others
export KITH_HOME=$dir/home
kith=$(realpath "$BUILD/kith")
"$BUILD/kithd" dev --home "$dir/home" --http "127.0.0.1:$port" --http-name node.example --listen 127.0.0.1:0 --heartbeat-ms 2000 --log-file "$dir/log" >"$dir/out" 2>&1 &
pid=$!
for _ in $(seq 100); do
    curl -sf "http://127.0.0.1:$port/ready" >/dev/null && break
    sleep 0.1
done
# A node without HTTP answers on its socket all the same: /metrics ended it, looking for the connections that it has not.
"$BUILD/kithd" dev --home "$dir/quiet" --http "" --listen 127.0.0.1:0 --log-file "$dir/log" >"$dir/out" 2>&1 &
quiet=$!
for path in ready metrics kith/v1/status kith/v1/net/check; do
    curl -sf --retry 40 --retry-delay 0 --retry-all-errors --unix-socket "$dir/quiet/kithd.sock" "http://localhost/$path" >/dev/null || {
        echo "FAILED: e2e_openai (/$path of a node without HTTP)"
        exit 1
    }
done
kill $quiet && wait $quiet
cp tests/openai/*.mjs $cache/
# shape.mjs first: it looks at models of which no worker runs yet.
for part in shape chat more echo responses clients http openapi keys events; do
    (cd $cache && timeout 120 node $part.mjs "http://127.0.0.1:$port/v1" "$kith") || {
        echo "FAILED: e2e_openai ($part.mjs)"
        cat "$dir/out" "$dir/log"
        exit 1
    }
done

#!/bin/bash
# Models that think and answer in channels, made on the spot, through kithd's API with the official openai client; and what a job that
# calls a tool is after a restart.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
dir=$(mktemp -d "${TMPDIR:-/tmp}/kith-channels.XXXXXX")
pid=""
clean() {
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    rm -rf "$dir"
}
trap clean EXIT
fail() { echo "FAILED: e2e_channels ($1)"; tail -n 20 "$dir/out" "$dir/log"; exit 1; }
cache=build/npm
. tests/npm.sh
npm_has e2e_channels tests/openai $cache openai
port=$((21000 + $$ % 11000))
export KITH_HOME=$dir/home
kith=$(realpath "$BUILD/kith")
start() {
    "$BUILD/kithd" dev --home "$dir/home" --http "127.0.0.1:$port" --listen 127.0.0.1:0 --log-file "$dir/log" >>"$dir/out" 2>&1 &
    pid=$!
    for _ in $(seq 100); do curl -sf "http://127.0.0.1:$port/ready" >/dev/null && return; sleep 0.1; done
    fail "kithd does not start"
}
start
for kind in random script think tags bracket; do
    "$BUILD/talker" $kind >"$dir/$kind.gguf" || fail "no model of kind $kind"
    "$kith" model import "$dir/$kind.gguf" --name $kind >/dev/null || fail "$kind cannot be imported"
done
for test in channels thoughts; do
    cp tests/openai/$test.mjs $cache/
    (cd $cache && timeout 120 node $test.mjs "http://127.0.0.1:$port/v1") || fail $test.mjs
done
cp tests/openai/parts.mjs $cache/
parts() { (cd $cache && timeout 60 node parts.mjs "http://127.0.0.1:$port" "$dir/parts") || fail "parts.mjs $1"; }
parts "of jobs"

# The command, by the daemon and without it: the same answer, of which a pipe gets what is said.
[ "$("$kith" chat script -m hi)" = "It is four." ] || fail "kith chat"
thought=$("$kith" chat script -m hi --effort low --json) || fail "kith chat --effort"
grep -q '"thought":"Two and two."' <<<"$thought" || fail "no thought in $thought"
[ "$("$kith" chat think -m hi)" = "It is four." ] || fail "kith chat of a model that thinks between marks"
thought=$("$kith" chat think -m hi --json) || fail "kith chat --json of it"
grep -q '"thought":"Two and two."' <<<"$thought" || fail "no thought in $thought"
[[ $("$kith" chat bracket -m hi) == "[TOOL_CALLS]get"* ]] || fail "kith chat of a model whose marks are control tokens"
"$kith" chat script -m hi --effort much 2>"$dir/err" && fail "kith chat --effort much"
grep -q 'must be none, minimal' "$dir/err" || fail "$(cat "$dir/err")"
"$kith" chat script -m hi --effort low --no-think 2>/dev/null && fail "two efforts"
echo '[{"role":"user","content":"hi"}]' >"$dir/m.json"
grep -q 'message|>high<' <("$kith" template --model "$dir/script.gguf" --messages "$dir/m.json" --vars '{"reasoning_effort":"high"}') || fail "kith template --vars"
grep -q 'thinking False' <("$kith" template --model "$dir/script.gguf" --messages "$dir/m.json" --effort none) || fail "kith template --effort"
"$kith" template --model "$dir/script.gguf" --messages "$dir/m.json" --vars '{"a":[1]}' 2>"$dir/err" && fail "a list as a variable"
grep -q -- '--vars.a is a list' "$dir/err" || fail "$(cat "$dir/err")"

# A job of the node's own API, with variables: kept over a restart, and verified as any other.
made=$(curl -sf --unix-socket "$dir/home/kithd.sock" http://localhost/kith/v1/jobs -d '{"model":"script","messages":[{"role":"user","content":"hi"}],"reasoning_effort":"low","chat_template_kwargs":{"a":1}}') || fail "no job"
job=$(grep -o '[0-9a-f]\{64\}' <<<"$made" | head -1)
for _ in $(seq 100); do "$kith" job show "$job" --json | grep -q '"done"' && break; sleep 0.1; done
kill "$pid" && wait "$pid"
start
parts "after a restart"
"$kith" job show "$job" | grep -q 'It is four' || fail "the job is not kept: $("$kith" job show "$job")"
"$kith" job verify "$job" >/dev/null 2>"$dir/err" || fail "it cannot be verified: $(cat "$dir/err")"
curl -s --unix-socket "$dir/home/kithd.sock" http://localhost/kith/v1/jobs -d '{"model":"script","prompt":"hi","reasoning_effort":"low"}' | grep -q 'goes with messages' || fail "a prompt with an effort"
grep -q ' broken ' "$dir/log" && fail "something broke"
echo "e2e_channels: ok"

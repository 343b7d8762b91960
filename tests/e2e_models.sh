#!/bin/bash
# Hostile model files against the command and a daemon: cut at the boundaries of their parts, with flipped bits, pipes and
# devices and a terabyte of nothing instead of a file, files that become shorter while they are read, a cache that others
# wrote into. Nothing hangs, dies, or holds more memory than it may; what fails says why in a line.
# MODELS_FLIPS, MODELS_SEED: more of them (`make hostile-models`).
cd "$(dirname "$0")/.." || exit 2
set -u
B=${BUILD:-build/release}
guide=models/kith-guide.gguf
[ -f $guide ] || { echo "skip: e2e_models: $guide is not there"; exit 0; }
H=$(mktemp -d)
logs=$H
. tests/e2e.sh
unset KITH_HOME KITH_URL
export KITH_CACHE=off
pid=
cleanup() {
    [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null
    rm -rf "$H"
}
trap cleanup EXIT
# Within 20 s, status 3 and one line with the words.
refuses() { # PATTERN COMMAND...
    local pattern=$1 rc
    shift
    timeout 20 "$@" >"$H/said" 2>"$H/err" </dev/null
    rc=$?
    [ $rc = 3 ] && [ "$(wc -l <"$H/err")" = 1 ] && grep -q -- "$pattern" "$H/err" && return 0
    echo "  status $rc, said: $(head -c 300 "$H/err")" >&2
    return 1
}
short() { # a short run of the model, as it should be
    timeout 20 "$B/kith" run "$H/g.gguf" hello --tokens 8 2>"$H/err" </dev/null
}

mkdir "$H/work"
timeout 600 python3 tests/hostile/models.py "$B/kith" $guide "$H/work" --flips "${MODELS_FLIPS:-60}" --seed "${MODELS_SEED:-1}" --cuts "${MODELS_CUTS:-30}" >"$H/models" ||
    { cat "$H/models"; failed=1; }
[ -n "${MODELS_FLIPS:-}" ] && cat "$H/models"
checks=$((checks + 1))

# -- what is no file --
cp $guide "$H/g.gguf"
mkfifo "$H/pipe.gguf"
mkdir "$H/dir.gguf"
: >"$H/empty.gguf"
ln -s loop.gguf "$H/loop.gguf"
truncate -s 1T "$H/nothing.gguf" || echo "skip: e2e_models: no sparse files here"
for f in pipe dir; do check "run $f" refuses 'not a regular file' "$B/kith" run "$H/$f.gguf" x; done
check "run a device" refuses 'not a regular file' "$B/kith" run /dev/zero x
check "run an empty file" refuses 'empty' "$B/kith" run "$H/empty.gguf" x
check "run a link to itself" refuses 'loop.gguf' "$B/kith" run "$H/loop.gguf" x
check "run a terabyte of nothing" refuses 'no GGUF file' "$B/kith" run "$H/nothing.gguf" x
for f in pipe dir empty nothing; do
    check "tokenize with $f" refuses "$f.gguf" "$B/kith" tokenize --model "$H/$f.gguf" --text x
done

# -- a cache that somebody else wrote into --
export KITH_CACHE=$H/cache
short >"$H/right"
pack=$(ls "$H/cache/packs/"*.pack)
spoilt() { # WHAT: the same answer, or a line that says what is wrong
    if short >"$H/answer"; then cmp -s "$H/right" "$H/answer"; else grep -q 'damaged' "$H/err"; fi && return 0
    echo "  $(head -c 300 "$H/err")" >&2
    return 1
}
for at in 0 9 70 5000 1000000; do
    short >"$H/answer" || short >"$H/answer" # made anew
    chmod 600 "$pack"
    printf '\377\000\377' | dd of="$pack" bs=1 seek=$at conv=notrunc 2>/dev/null
    check "packed weights changed at $at" spoilt
done
for kind in "mkfifo" "mkdir" "ln -s /etc/passwd"; do
    rm -rf "$pack"
    $kind "$pack"
    check "$kind for packed weights" spoilt
done
rm -rf "$pack" "$H/cache/roots"
mkfifo "$H/cache/roots"
check "a pipe for roots" spoilt
export KITH_CACHE=off

# -- files that become shorter --
cp models/kith-guide-f32.gguf "$H/shrinks.gguf"
"$B/kith" run "$H/shrinks.gguf" hello --tokens 400 --threads 1 >"$H/said" 2>"$H/err" </dev/null &
run=$!
sleep 0.2
truncate -s 5000 "$H/shrinks.gguf"
wait $run
rc=$?
shrunk() { [ $rc = 0 ] || { [ "$(wc -l <"$H/err")" = 1 ] && grep -qE 'shorter|cut off|killed by signal|Input/output' "$H/err"; }; }
check "a model that shrinks while it runs" shrunk

id=$("$B/kithd" init --home "$H/home") || fail init
W=$(free_port)
"$B/kithd" dev --home "$H/home" --http "127.0.0.1:$W" --listen 127.0.0.1:0 --log-file "$H/node.log" >"$H/out" 2>&1 &
pid=$!
for _ in $(seq 200); do curl -sf -o /dev/null "http://127.0.0.1:$W/ready" && break; sleep 0.1; done
k=("$B/kith" --home "$H/home")
told() { "${k[@]}" "$@" --json | grep -oE '"(state|architecture|format|context)":("[^"]*"|[0-9]+)' | sort | tr '\n' ' '; }
check "what was not loaded yet is told by its file" same "$(told models)" '"architecture":"llama" "context":512 "format":"Q8_0" "state":"idle" '
check "of one model, too" same "$(told model show default)" "$(told models)"
alive() { curl -sf -m 5 -o /dev/null "http://127.0.0.1:$W/health"; }
cp models/kith-guide-f32.gguf "$H/shrinks.gguf"
truncate -s 600M "$H/shrinks.gguf" # more than is read at once
"${k[@]}" model check "$H/shrinks.gguf" >"$H/said" 2>"$H/err" </dev/null &
run=$!
sleep 0.15
truncate -s 9000000 "$H/shrinks.gguf"
wait $run
rc=$?
check "a model that shrinks while the daemon checks it" shrunk
check "the daemon lives" alive
cp models/kith-guide-f32.gguf "$H/shrinks.gguf"
ask() { # PATH-OF-API FILE: without the command, which looks at the file itself
    curl -s -m 5 --unix-socket "$H/home/kithd.sock" -H 'Content-Type: application/json' -d "{\"path\":\"$2\",\"name\":\"x\"}" "http://kith/kith/v1/$1"
}
for _ in 1 2 3 4 5; do # as many as the daemon has threads
    ask models/import "$H/pipe.gguf" >"$H/said"
    ask data "$H/pipe.gguf" >"$H/said"
done
check "pipes hold no thread" timeout 20 "${k[@]}" model import $guide >"$H/said"
check "a terabyte of nothing is not copied" refuses 'not a GGUF file' "${k[@]}" model import "$H/nothing.gguf"
cp $guide "$H/long.gguf"
truncate -s 1T "$H/long.gguf"
long() { timeout 20 "${k[@]}" model import "$H/long.gguf" >"$H/said" 2>"$H/err" </dev/null; grep -qE 'make room|larger' "$H/err"; }
check "nor what does not fit" long
check "nothing of it stays" same "$(find "$H/home/models" -name '*.import' | wc -l)" 0
check "the daemon lives" alive

# -- what models are called here --
root() { python3 -c 'import json, sys; print(json.load(sys.stdin)["root"])'; }
named() { # NAME: the root of the model that this machine knows under it; a 404's body has none
    "${k[@]}" models --json | python3 -c 'import json, sys; print(*[m["root"] for m in json.load(sys.stdin)["local"] if m["name"] == sys.argv[1]])' "$1"
}
f32=$("${k[@]}" model import models/kith-guide-f32.gguf --name "my own" --json | root)
check "a model is called as its owner says" same "$(named "my own")" "$f32"
served() { curl -sf -m 5 "http://127.0.0.1:$W/v1/models" | grep -q '"id":"my own"'; }
check "also where clients look" served
check "and is found by it" same "$("${k[@]}" model show "my own" --json | root)" "$f32"
answers() { timeout 20 "${k[@]}" chat "my own" -m hello >"$H/said" 2>"$H/err" </dev/null; }
check "and answers" answers
cp $guide "$H/other.gguf"
printf x >>"$H/other.gguf"
other=$("${k[@]}" model import "$H/other.gguf" --name "my own" --json 2>"$H/err" | root)
check "a name goes to who is given it last" same "$(named "my own")" "$other"
check "the other one stays, without it" "${k[@]}" model show "$f32" >"$H/said"
for name in default "$f32" "" "$(printf 'n%.0s' $(seq 65))"; do
    check "no model is called '${name:0:16}'" refuses 'choose another name\|1 to 64 bytes' "${k[@]}" model import "$H/other.gguf" --name "$name"
done
kill $pid
wait $pid
check "it stops cleanly" same $? 0
"$B/kithd" dev --home "$H/home" --http "127.0.0.1:$W" --listen 127.0.0.1:0 --log-file "$H/node.log" >"$H/out" 2>&1 &
pid=$!
for _ in $(seq 200); do curl -sf -o /dev/null "http://127.0.0.1:$W/ready" && break; sleep 0.1; done
check "names outlast a restart" same "$(named "my own")" "$other"
check "a model goes with its name" "${k[@]}" model rm "my own" >"$H/said"
check "and nothing is called so" same "$("${k[@]}" model show "my own" 2>&1 | grep -o 'no model is called "my own"')" 'no model is called "my own"'
kill $pid
wait $pid
check "it stops cleanly again" same $? 0
pid=
check "nothing broke" test -z "$(grep ' broken ' "$H/node.log")"
[ $failed = 0 ] && echo "e2e_models: $checks checks; $(tail -n 1 "$H/models")"
exit $failed

#!/bin/bash
# The demonstration from end to end, while its nodes are killed: whoever dies is started again, nothing is lost, and the job is
# finished. Without KILL (a list of nodes) it kills the ones that money passes through.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_demo: models/kith-guide.gguf is not there"; exit 0; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/kith-e2e-demo.XXXXXX")
trap 'rm -rf "$dir"' EXIT
TMPDIR=$dir BUILD=$BUILD NO_COLOR=1 scripts/demo >"$dir/out" 2>&1 &
demo=$!
# kill_at STEP NODE: when the demo has come to that step.
kill_at() {
    for _ in $(seq 600); do
        grep -q "^$1\. " "$dir/out" && break
        kill -0 $demo 2>/dev/null || return
        sleep 0.1
    done
    sleep 0.3
    kill -9 "$(cat "$dir"/kith-demo.*/"$2".pid)" && echo "killed $2 in step $1"
}
kill_at 3 v2
kill_at 5 provider
kill_at 5 requester
kill_at 7 auditor
kill_at 7 provider
wait $demo
status=$?
tail -n 1 "$dir/out"
if [ $status != 0 ] || ! tail -n 1 "$dir/out" | grep -q '^demo: ok provider=+[1-9]'; then
    echo "FAILED: e2e_demo"
    tail -n 40 "$dir/out"
    exit 1
fi

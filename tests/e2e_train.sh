#!/bin/bash
# Training at home: an update is made, killed in the middle and gone on with, checked, tampered with and found out.
cd "$(dirname "$0")/.." || exit 2
set -u
B=${BUILD:-build/release}
guide=models/kith-guide.gguf
[ -f $guide ] || { echo "skip: e2e_train: $guide is not there"; exit 0; }
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
train() { # DATA OPTION...: with a small recipe
    local data=$1
    shift
    timeout 60 "$B/kith" train --model $guide --data "$data" --rank 4 --alpha 8 --steps 24 --batch 2 --length 64 --rate 0.003 --json "$@" \
        >"$H/out" 2>"$H/err" </dev/null
}
refuses() { # STATUS PATTERN COMMAND...
    local want=$1 pattern=$2 rc
    shift 2
    "$@"
    rc=$?
    [ $rc = "$want" ] && grep -q -- "$pattern" "$H/out" "$H/err" && return 0
    echo "  status $rc, said: $(head -c 300 "$H/out" "$H/err")" >&2
    return 1
}
falls() { [ "$(jq_less loss_after loss_before)" = yes ]; }
jq_less() { python3 -c 'import json, sys; t = json.load(open(sys.argv[3])); print("yes" if t[sys.argv[1]] < t[sys.argv[2]] else "no")' "$1" "$2" "$H/out"; }

cat docs/market.md docs/wallet.md >"$H/text"
check "train" train "$H/text" -o "$H/a.gguf" --threads 1
check "the loss of what was held out falls" falls
check "no state is left" test ! -e "$H/a.gguf.part"

# Killed as soon as some steps are kept; the same command goes on.
timeout 60 "$B/kith" train --model $guide --data "$H/text" --rank 4 --alpha 8 --steps 24 --batch 2 --length 64 --rate 0.003 --save 0 \
    -o "$H/b.gguf" >/dev/null 2>"$H/killed.log" </dev/null &
pid=$!
for _ in $(seq 400); do [ -e "$H/b.gguf.part" ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
pid=
if [ -e "$H/b.gguf.part" ]; then
    cp "$H/b.gguf.part" "$H/c.gguf.part"
    check "going on" train "$H/text" -o "$H/b.gguf" --threads 2
    check "... from where it was" grep -q 'going on from there' "$H/err"
    check "a state of another recipe" refuses 3 'another training' train "$H/text" -o "$H/c.gguf" --seed 3
    printf x >>"$H/c.gguf.part"
    check "a damaged state" refuses 3 'checksum' train "$H/text" -o "$H/c.gguf"
else
    echo "skip: e2e_train: the training was over before it could be killed"
    check "train again" train "$H/text" -o "$H/b.gguf"
fi
check "the same bits as without" cmp "$H/a.gguf" "$H/b.gguf"

check "check" train "$H/text" --check "$H/a.gguf" --backend ref
check "... says so" same "$(json same <"$H/out")" true
cp "$H/a.gguf" "$H/bad.gguf"
printf '\001' | dd of="$H/bad.gguf" bs=1 seek=$(($(stat -c %s "$H/bad.gguf") - 6)) conv=notrunc 2>/dev/null
check "a number that was changed" refuses 1 '"same":false' train "$H/text" --check "$H/bad.gguf"
sed s/the/teh/ "$H/text" >"$H/other"
check "other data" refuses 1 'on other data' train "$H/other" --check "$H/a.gguf"
check "too little" refuses 3 'two windows' train LICENSE -o "$H/d.gguf" --length 8192
check "over the context" refuses 3 "longer than the model's context" train LICENSE -o "$H/d.gguf" --length 4096
echo '{"text": 3}' >"$H/odd"
echo '{"text": "x"}' | cat - "$H/odd" >"$H/odd2"
check "a line that is none" refuses 3 'line 2' train "$H/odd2" -o "$H/d.gguf"
check "no result is left" test ! -e "$H/d.gguf"
[ $failed = 0 ] && echo "e2e_train: $checks checks passed"
exit $failed

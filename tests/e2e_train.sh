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
recipe="--rank 4 --alpha 8 --steps 16 --batch 2 --rate 0.003"
length=64
base=$guide
train() { # DATA OPTION...
    local data=$1
    shift
    timeout 200 "$B/kith" train --model "$base" --data "$data" $recipe --length $length --json "$@" >"$H/out" 2>"$H/err" </dev/null
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
below() { awk "BEGIN { exit !($1 < $2) }"; } # numbers
falls() { below "$(json loss_after <"$H/out")" "$(json loss_before <"$H/out")"; }

cat docs/market.md docs/wallet.md >"$H/text"
check "train" train "$H/text" -o "$H/a.gguf" --threads 1
check "the loss of what was held out falls" falls
check "no state is left" test ! -e "$H/a.gguf.part"

# Killed as soon as some steps are kept; the same command goes on.
timeout 200 "$B/kith" train --model $guide --data "$H/text" $recipe --length $length --save 0 -o "$H/b.gguf" >/dev/null 2>"$H/killed.log" </dev/null &
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

check "check" train "$H/text" --check "$H/a.gguf" --threads 2
check "... says so" same "$(json same <"$H/out")" true
cp "$H/a.gguf" "$H/bad.gguf"
printf '\001' | dd of="$H/bad.gguf" bs=1 seek=$(($(stat -c %s "$H/bad.gguf") - 6)) conv=notrunc 2>/dev/null
check "a number that was changed" refuses 1 '"same":false' train "$H/text" --check "$H/bad.gguf"
sed s/the/teh/ "$H/text" >"$H/other"
check "other data" refuses 1 'on other data' train "$H/other" --check "$H/a.gguf"
length=512
head -c 2000 LICENSE >"$H/short"
check "too little" refuses 3 'two windows' train "$H/short" -o "$H/d.gguf"
length=4096
check "over the context" refuses 3 "longer than the model's context" train LICENSE -o "$H/d.gguf"
length=64
echo '{"text": 3}' >"$H/odd"
echo '{"text": "x"}' | cat - "$H/odd" >"$H/odd2"
check "a line that is none" refuses 3 'line 2' train "$H/odd2" -o "$H/d.gguf"
check "no such folder" refuses 3 'No such file' train "$H/text" -o "$H/none/d.gguf"
check "... is said after one step" same "$(grep -c '^step' "$H/err")" 1
check "no result is left" test ! -e "$H/d.gguf"

# Three train at home on three texts; a fourth has their updates alone and joins them: the model foretells all three texts better.
if "$B/kith" help model adapt >/dev/null 2>&1; then
    recipe="--rank 8 --steps 16 --batch 4 --rate 0.006"
    thirds=
    for i in 1 2 3; do
        cat docs/"$(echo market consensus worker | cut -d' ' -f$i)".md | head -c 24000 >"$H/text$i"
        check "text $i: train" train "$H/text$i" --seed $i -o "$H/u$i.gguf"
        check "text $i: check" train "$H/text$i" --check "$H/u$i.gguf"
        thirds="$thirds $H/u$i.gguf=0.33333333"
    done
    check "join" "$B/kith" model adapt $guide $thirds -o "$H/joined.gguf" >"$H/joined.log" 2>&1
    perplexity() { timeout 60 "$B/kith" perplexity --model "$1" --file "$2" --ctx 128 --chunks 8 --json 2>>"$H/joined.log" | json perplexity; }
    better() { below "$(perplexity "$H/joined.gguf" "$1")" "$(perplexity $guide "$1") / 2"; }
    for i in 1 2 3; do check "text $i: foretold better" better "$H/text$i"; done

    # A second round: one trains beside the joined model. That update is the joined model's, and not the first base's.
    base=$H/joined.gguf
    check "round 2: train" train "$H/text1" --seed 4 -o "$H/v.gguf"
    check "round 2: check" train "$H/text1" --check "$H/v.gguf" --threads 1
    base=$guide
    check "round 2: not of the first base" refuses 1 'another model' train "$H/text1" --check "$H/v.gguf"
    adapt() { "$B/kith" model adapt "$@" >"$H/out" 2>"$H/err"; }
    check "round 2: joined to the first base" refuses 3 'any-base' adapt $guide "$H/v.gguf" -o "$H/twice.gguf"
    check "... which leaves no file" test ! -e "$H/twice.gguf"
    check "round 2: join" adapt "$H/joined.gguf" "$H/v.gguf" -o "$H/twice.gguf"
    first=$(perplexity "$H/joined.gguf" "$H/text1") second=$(perplexity "$H/twice.gguf" "$H/text1")
    check "round 2: text 1 is foretold better ($first -> $second)" below "$second" "$first * 0.8"
    check "one's update is not another's" refuses 1 'on other data' train "$H/text2" --check "$H/u1.gguf"
    printf '\001' | dd of="$H/u2.gguf" bs=1 seek=$(($(stat -c %s "$H/u2.gguf") - 6)) conv=notrunc 2>/dev/null
    check "one who changed it afterwards" refuses 1 '"same":false' train "$H/text2" --check "$H/u2.gguf"
else
    echo "skip: e2e_train: updates are not joined: this kith has no model adapt"
fi
[ $failed = 0 ] && echo "e2e_train: $checks checks passed"
exit $failed

#!/bin/bash
# The wallet from the command line, without a daemon: what it makes, what it refuses, and with which exit status.
set -u
kith=${BUILD:-build/release}/kith
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset KITH_HOME KITH_URL KITH_PASSWORD_FILE
export KITH_HOME=$dir/a KITH_PASSWORD_FILE=$dir/password
printf 'a good password\n' >"$dir/password"
printf 'another\n' >"$dir/wrong"
failures=0
BUILD=${BUILD:-build/release}
. scripts/json

# expect STATUS TEXT COMMAND...: the exit status, and a part of what it says.
expect() {
    local status=$1 text=$2 out rc
    shift 2
    out=$("$@" 2>&1 </dev/null)
    rc=$?
    if [ $rc -ne "$status" ] || [[ $out != *"$text"* ]]; then
        echo "FAILED: $*: status $rc (expected $status), said: $out (expected: $text)"
        failures=$((failures + 1))
    fi
}

expect 3 "there is no wallet at" $kith wallet ls
expect 3 "there is no wallet at" $kith wallet receive
$kith wallet new --json >"$dir/new" || failures=$((failures + 1))
address=$(json address <"$dir/new")
words=$(json words <"$dir/new")
[ "$(wc -w <<<"$words")" = 24 ] || { echo "FAILED: not 24 words"; failures=$((failures + 1)); }
[ "$(stat -c %a "$dir/a/wallet/wallet.keys")" = 600 ] || { echo "FAILED: mode"; failures=$((failures + 1)); }
grep -qaF "${words%% *} " "$dir/a/wallet/wallet.keys" && { echo "FAILED: words in the file"; failures=$((failures + 1)); }

expect 0 "$address" $kith wallet receive
expect 0 "$address" $kith wallet ls
expect 3 "already" $kith wallet new
expect 0 "kith1" $kith wallet new --name second
expect 3 "already" $kith wallet new --name second
expect 3 "no name for an account" $kith wallet new --name "a b"
expect 3 "wrong password" $kith --password-file "$dir/wrong" wallet new --name third
expect 3 "cannot read the password file" $kith --password-file "$dir/none" wallet new --name third
expect 3 "it has main, second" $kith wallet receive --account third
expect 3 "already" $kith wallet restore

# The words alone bring the same accounts back, under another password.
restored=$(KITH_HOME=$dir/b KITH_PASSWORD_FILE=$dir/wrong $kith wallet restore <<<"$words")
[[ $restored == *"$address"* ]] || { echo "FAILED: restored $restored"; failures=$((failures + 1)); }
second=$($kith wallet receive --account second)
again=$(KITH_HOME=$dir/b KITH_PASSWORD_FILE=$dir/wrong $kith wallet new --name other)
[[ $again == *"$second"* ]] || { echo "FAILED: second account $again"; failures=$((failures + 1)); }
for bad in "one two three|3 words|word 1" "${words/ / xyzzy }|word 2|xyzzy"; do
    IFS='|' read -r typed either or <<<"$bad"
    out=$(KITH_HOME=$dir/c $kith wallet restore 2>&1 <<<"$typed") && { echo "FAILED: took $typed"; failures=$((failures + 1)); }
    [[ $out == *"$either"* || $out == *"$or"* ]] || { echo "FAILED: said $out"; failures=$((failures + 1)); }
    rm -rf "$dir/c"
done
# Words in another order: the checksum notices all but one in 256, and that one is another wallet.
out=$(KITH_HOME=$dir/c $kith wallet restore 2>&1 <<<"${words#* } ${words%% *}")
[[ $out == *checksum* || ($out == *account* && $out != *"$address"*) ]] || { echo "FAILED: said $out"; failures=$((failures + 1)); }
rm -rf "$dir/c"

# Labels and watched accounts need no daemon and no wallet.
expect 3 "what to call it" $kith wallet watch "$address"
expect 3 "its key is here" $kith wallet watch "$address" --name me
expect 0 "(watched)" $kith --home "$dir/w" wallet watch "$address" --name cold
expect 0 "cold (watched)" $kith --home "$dir/w" wallet ls
expect 0 "$address" $kith --home "$dir/w" wallet receive
expect 3 "another address" $kith --home "$dir/w" wallet label "$second" cold
expect 0 "petrol" $kith --home "$dir/w" wallet label "$second" petrol
expect 0 "$second  petrol" $kith --home "$dir/w" wallet labels
expect 3 "wallet watch" $kith --home "$dir/w" wallet label cold --remove
expect 0 "" $kith --home "$dir/w" wallet watch cold --remove
expect 3 "no wallet" $kith --home "$dir/w" wallet ls
expect 3 "has no label" $kith --home "$dir/w" wallet label "$address" --remove
expect 3 "neither an address nor a label" $kith --home "$dir/w" wallet label nobody x
echo '{"type":"tx"' >"$dir/w/wallet/labels.jsonl"
expect 3 "labels.jsonl: line 1" $kith --home "$dir/w" wallet labels
expect 0 "$(cut -d' ' -f1-3 <<<"$words")" $kith wallet backup
expect 3 "wrong password" $kith --password-file "$dir/wrong" wallet backup

expect 3 "too short" $kith tx send kith1qqq 1
expect 3 "10 decimals" $kith tx send "$address" 1.0000000001
expect 3 "not an amount" $kith tx send "$address" -- -5
expect 3 "nothing" $kith tx send "$address" 0
expect 3 "checksum" $kith tx send "${address%?}$([ "${address: -1}" = q ] && echo p || echo q)" 1
expect 3 "needs ADDRESS AMOUNT" $kith tx send "$address"
expect 2 "no kithd answers" $kith tx send "$address" 1
expect 2 "no kithd answers" $kith status
expect 2 '"unreachable"' $kith status --json
expect 3 "--url" $kith --url ftp://x status
expect 3 "did you mean" $kith walet ls
expect 3 "did you mean --json" $kith status --jsn
expect 3 "not the id of a job" $kith job show 12
expect 3 "cannot open" $kith data add "$dir/none" --name x
expect 3 "not a percentage" $kith model publish "$dir/new" --name x --royalty 101

# Damage is told from a wrong password.
printf '\1' | dd of="$dir/a/wallet/wallet.keys" bs=1 seek=40 conv=notrunc 2>/dev/null
expect 3 "damaged" $kith wallet ls

[ $failures = 0 ] || { echo "e2e_wallet: $failures failed"; exit 1; }
echo "e2e_wallet: ok"

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
member() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

expect 3 "there is no wallet at" $kith wallet ls
expect 3 "there is no wallet at" $kith wallet receive
$kith wallet new --json >"$dir/new" || failures=$((failures + 1))
address=$(member address <"$dir/new")
words=$(member words <"$dir/new")
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
for bad in "one two three|3 words|word 1" "${words/ / xyzzy }|word 2|xyzzy" "${words#* } ${words%% *}|checksum|checksum"; do
    IFS='|' read -r typed either or <<<"$bad"
    out=$(KITH_HOME=$dir/c $kith wallet restore 2>&1 <<<"$typed") && { echo "FAILED: took $typed"; failures=$((failures + 1)); }
    # One rotation in 256 has a right checksum by chance; then the wallet is another one, which is no failure.
    [[ $out == *"$either"* || $out == *"$or"* || $out == *account* ]] || { echo "FAILED: said $out"; failures=$((failures + 1)); }
    rm -rf "$dir/c"
done

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

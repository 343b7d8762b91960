#!/bin/bash
# Publishing over kill -9: a model and a data set are claimed once and published once, whenever the command or the node is
# killed; for an account whose key is elsewhere in two files; what cannot succeed is refused before it is claimed.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_claim: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh claim

net_people kith-claim v1 maker other
net_param claim_blocks 12 # some seconds of this network
node_start v1 --validator --heartbeat-ms 2000
node_start maker --no-default-model
node_start other --no-default-model
net_is_up v1 maker other

address=$(cat "$NET/maker.address")
nonce() { curl -sf "http://$(node_http v1)/kith/v1/accounts/$address" | json nonce; }
refuses() { # TEXT COMMAND...
    local text=$1 before
    shift
    before=$(nonce)
    "$@" >"$NET/said" 2>&1 && fail "$* succeeded"
    grep -q "$text" "$NET/said" || fail "$* says \"$(cat "$NET/said")\", not \"$text\""
    [ "$(nonce)" = "$before" ] || fail "$* cost a transaction"
}

# killed MS WORDS...: the maker's command, killed after that time; 0 once it ended by itself.
killed() {
    local ms=$1 pid status
    shift
    KITH_PASSWORD_FILE=$NET/password "$KITH" --home "$NET/maker" "$@" --json >"$NET/killed" 2>"$NET/killed.said" &
    pid=$!
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    status=$?
    [ $status = 0 ] || [ $status = 137 ] || fail "$* ends with $status: $(cat "$NET/killed" "$NET/killed.said")"
    return $status
}
# over_kills WORDS...: until it ends by itself; how often it was killed. The node is killed once, in the middle.
over_kills() {
    local ms=100 kills=0
    until killed $ms "$@"; do
        kills=$((kills + 1))
        ms=$((ms + 130))
        [ $kills -lt 60 ] || fail "$* does not end"
        if [ $kills = 8 ]; then
            kill -9 "$(node_pid maker)"
            until_done "the maker's node is back" 30 node_is_up maker || fail "the node does not come back"
        fi
    done
    echo $kills
}

# -- a model --
publish=(model publish models/kith-guide.gguf --name guide --royalty 10)
kills=$(over_kills "${publish[@]}") || exit 1
[ "$(nonce)" = 2 ] || fail "the model took $(nonce) transactions over $kills kills, not a claim and a publication"
cp "$NET/killed" "$NET/first"
k maker "${publish[@]}" --json >"$NET/again" || fail "the same command again fails"
cmp "$NET/first" "$NET/again" || fail "the same command again says \"$(cat "$NET/again")\""
[ "$(nonce)" = 2 ] || fail "the same command again cost a transaction"

kept=$(echo "$NET"/maker/claims/model_publish-*)
cp "$kept" "$NET/kept"
head -c 40 "$NET/kept" >"$kept"
refuses "$kept is damaged" k maker "${publish[@]}"
cp "$NET/kept" "$kept"

# -- what cannot succeed is not claimed --
refuses 'registered already' k maker model publish models/kith-guide.gguf --name other-guide
cp models/kith-guide.gguf "$NET/changed.gguf"
python3 - "$NET/changed.gguf" <<'P' || fail "cannot change the model"
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(-64, 2)
    f.write(bytes(64))
P
refuses 'name it as a parent' k maker model publish "$NET/changed.gguf" --name changed
taken() { k other model publish "$NET/changed.gguf" --name guide --royalty 10 --parent "$(json root <"$NET/first"):10" >"$NET/said" 2>&1; }
taken && fail "another's name was claimed"
grep -q 'belongs to another publisher' "$NET/said" || fail "it said \"$(cat "$NET/said")\""

# -- what an adapter makes of it is its child, whether its publisher says so or not --
python3 tests/adapter.py models/kith-guide.gguf "$NET/adapter.gguf" || fail "no adapter"
k other model adapt models/kith-guide.gguf "$NET/adapter.gguf" --out "$NET/adapted.gguf" >"$NET/said" || fail "cannot adapt the guide"
k other model publish "$NET/adapted.gguf" --name adapted --royalty 12 >"$NET/said" 2>&1 || fail "cannot publish it: $(cat "$NET/said")"
grep -q 'named as a parent, with 10.00 %' "$NET/said" || fail "it said \"$(cat "$NET/said")\""
k other model show adapted --json >"$NET/adapted.json" || fail "cannot see it"
[ "$(json published.lineage.0.id <"$NET/adapted.json")" = "$(json root <"$NET/first")" ] || fail "its lineage is $(cat "$NET/adapted.json")"
python3 tests/adapter.py models/kith-guide.gguf "$NET/adapter.gguf" --seed 2 || fail "no adapter"
k other model adapt models/kith-guide.gguf "$NET/adapter.gguf" --out "$NET/adapted.gguf" >"$NET/said" || fail "cannot adapt the guide"
python3 - "$NET/adapted.gguf" <<'P' || fail "cannot hide its base"
import sys
b = open(sys.argv[1], "rb").read()
open(sys.argv[1], "wb").write(b.replace(b"kith.adapted.base", b"kith.adapted.basE"))
P
refuses 'name it as a parent' k other model publish "$NET/adapted.gguf" --name hidden

# -- data: the roots that were claimed are those that are published, though each encryption has its own --
head -c 70000 /dev/urandom >"$NET/set.bin"
kills=$(over_kills data add "$NET/set.bin" --name set --price 2) || exit 1
[ "$(nonce)" = 4 ] || fail "the data took $(($(nonce) - 2)) transactions over $kills kills"
k maker data add "$NET/set.bin" --name set --price 2 --json >"$NET/again" || fail "the same data again fails"
cmp "$NET/killed" "$NET/again" || fail "the same data again is \"$(cat "$NET/again")\""
k maker data add "$NET/set.bin" --name set --price 3 --json >"$NET/dearer" || fail "the same file for another price fails"
[ "$(json plain_root <"$NET/dearer")" != "$(json plain_root <"$NET/again")" ] || fail "one set under two prices"
[ "$(nonce)" = 6 ] || fail "the dearer set took $(($(nonce) - 4)) transactions"

# -- a key that is elsewhere: the node's people watch it, the wallet signs --
k other wallet watch "$address" --name boss >/dev/null || fail "cannot watch"
head -c 5000 /dev/urandom >"$NET/far.bin"
far=(data add "$NET/far.bin" --name far --account boss)
refuses 'only watched' k other "${far[@]}"
signed() { quietly k maker tx sign "$1" --yes && quietly k other tx broadcast "$1"; }
k other "${far[@]}" --out "$NET/claim.tx" >"$NET/said" || fail "no claim to sign"
grep -q 'give this command again' "$NET/said" || fail "it said \"$(cat "$NET/said")\""
grep -q "$(json plain_root <"$NET/again")" "$NET/claim.tx" && fail "the claim shows the root"
refuses 'there already' k other "${far[@]}" --out "$NET/claim.tx"
signed "$NET/claim.tx" || fail "the claim cannot be signed"
k other "${far[@]}" --out "$NET/far.tx" >"$NET/said" || fail "no publication to sign"
signed "$NET/far.tx" || fail "the publication cannot be signed"
k other "${far[@]}" --out "$NET/none.tx" --json >"$NET/said" || fail "published by two files, and not known"
[ "$(json name <"$NET/said")" = far ] || fail "it said \"$(cat "$NET/said")\""
[ "$(nonce)" = 8 ] || fail "the far set took $(($(nonce) - 6)) transactions"
k maker tx history >"$NET/history" || fail "no history"
grep -q 'claimed what is published later' "$NET/history" || fail "no claim in the history"
echo "e2e_claim: ok: a claim and a publication each, over $kills kills of the last"

#!/bin/bash
# The same question many times over the network: the provider's cache holds its prompt by then, so that the worker's
# first token is there before anything else about the job is. Each must be answered by the first opening.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_again: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh again

net_people kith-again v1 provider requester
node_start v1 --validator
node_start provider --provide
node_start requester --no-default-model
net_is_up v1 provider requester

publish() { quietly k v1 model publish models/kith-guide.gguf --name kith-guide --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show kith-guide --json | json root)
serve() { quietly k provider model pull "$root" && quietly k provider share start --model "$root" --price-in 1000 --price-out 4000; }
until_done "the provider shares" 30 serve || fail "the provider cannot share"
until_done "an offer" 30 has_offer requester || fail "no offer reached the requester"

ask() { k requester chat "$root" --route network --key "$1" --tokens 8 --temp 0 -m "What is Kith?" --json >"$NET/answer" && json text <"$NET/answer"; }
first=$(ask 1)
[ -n "$first" ] || fail "no answer"
for i in $(seq 2 12); do
    again=$(ask "$i")
    [ "$again" = "$first" ] || fail "answer $i is \"$again\", the first was \"$first\""
done
grep 'provider failed' "$NET/requester.log" && fail "an opening failed"
echo "e2e_again: ok: 12 answers, each by the first opening"

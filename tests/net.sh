# Shared by the end-to-end tests that need a private network (scripts/private-net): sourced in the project's folder, with the
# name of the test. The network goes when the test ends; after a failure its directory stays.
NET=$(mktemp -d "${TMPDIR:-/tmp}/kith-$1.XXXXXX")
. scripts/private-net
logs=$NET
. tests/e2e.sh
clean() {
    local status=$?
    trap - EXIT
    net_stop
    [ $status = 0 ] && rm -rf "$NET"
    exit $status
}
trap clean EXIT

# net_people CHAIN NODE...: nodes, a wallet with 1,000 KITH for each and 100 for what a node does by itself, and a genesis in
# which the first one validates.
net_people() {
    local chain=$1 n
    local genesis=(--out "$NET/genesis.json" --chain "$chain")
    shift
    net_password
    for n in "$@"; do
        node_new "$n" || fail "cannot make the node $n"
        k "$n" wallet new --name "$n" --prefix kithdev --json >"$NET/$n.wallet" || fail "no wallet for $n"
        json address <"$NET/$n.wallet" >"$NET/$n.address"
        genesis+=(--account "$(cat "$NET/$n.address"):1000" --account "$(node_id "$n"):100")
    done
    "$KITHD" genesis "${genesis[@]}" --validator "$(node_id "$1"):1000" >/dev/null || fail "cannot write the genesis"
}
# net_param NAME NUMBER: of the genesis, before any node has started.
net_param() {
    grep -q "\"$1\": [0-9]" "$NET/genesis.json" || fail "the genesis has no number $1"
    sed -i "s/\"$1\": [0-9]*/\"$1\": $2/" "$NET/genesis.json"
}
# net_is_up NODE...
net_is_up() {
    local n
    for n in "$@"; do until_done "$n starts" 30 node_is_up "$n" || fail "$n does not start"; done
}
# has_offer NODE: somebody lends a model, and the node knows of it.
has_offer() { [ -n "$(k "$1" models --json | json offers.0)" ]; }
quietly() { "$@" >/dev/null; }

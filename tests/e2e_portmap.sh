#!/bin/bash
# A node behind a router (tests/router/router.py) in a network namespace: its port is asked for by NAT-PMP and by UPnP, used in
# what others are told, and given back at a clean stop; without a router that answers, it is one line.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
command -v ip >/dev/null && command -v nsenter >/dev/null || { echo "skip: e2e_portmap: needs ip (iproute2) and nsenter"; exit 0; }
if [ -z "${PORTMAP_INSIDE:-}" ]; then
    mine=(unshare --net)
    [ "$(id -u)" = 0 ] || mine=(unshare --user --map-root-user --net)
    "${mine[@]}" true 2>/dev/null || { echo "skip: e2e_portmap: this system gives no network namespaces"; exit 0; }
    "${mine[@]}" ip link add probe0 type veth peer name probe1 2>/dev/null || { echo "skip: e2e_portmap: no virtual network cards here"; exit 0; }
    PORTMAP_INSIDE=1 exec "${mine[@]}" bash "$0"
fi
H=$(mktemp -d)
logs=$H
. tests/e2e.sh
pids=()
cleanup() {
    for p in "${pids[@]}"; do { kill -9 "$p" && wait "$p"; } 2>/dev/null; done # without the shell's own remark
    rm -rf "$H"
}
trap cleanup EXIT
# Here is the router; the home is a namespace below.
unshare --net sleep 600 &
home=$!
pids+=($home)
ip link set lo up
ip link add lan type veth peer name card
for _ in $(seq 50); do
    [ "$(readlink /proc/$home/ns/net)" != "$(readlink /proc/self/ns/net)" ] && break
    sleep 0.05
done
ip link set card netns $home
ip addr add 192.168.77.1/24 dev lan
ip link set lan up
inside() { nsenter -t $home -n "$@"; }
inside ip link set lo up
inside ip addr add 192.168.77.2/24 dev card
inside ip link set card up
inside ip route add default via 192.168.77.1

A=$("$BUILD/kithd" init --home "$H/a") || fail init
"$BUILD/kithd" genesis --out "$H/genesis.json" --chain e2e --validator "$A:1000" --account "$A:1000" >/dev/null || fail genesis
router=
router_as() {
    [ -n "$router" ] && { kill "$router"; wait "$router"; } 2>/dev/null
    : >"$H/router.log"
    python3 tests/router/router.py 192.168.77.1 11.22.33.44 "$H/router.log" "$1" 2>"$H/router.err" &
    router=$!
    pids+=($router)
    until_said router.log "up $1"
}
until_said() { # FILE TEXT
    for _ in $(seq 150); do grep -q -- "$2" "$H/$1" 2>/dev/null && return; sleep 0.1; done
    cat "$H/router.err" >&2
    fail "$1 never said: $2"
}
node=
start() {
    : >"$H/a.log"
    nsenter -t $home -n "$BUILD/kithd" --home "$H/a" --genesis "$H/genesis.json" --http '' --validator "$@" >>"$H/a.log" 2>&1 &
    node=$!
    pids+=($node)
}
stop() { kill -TERM $node && wait $node || fail "it does not stop cleanly"; }
ka() { "$BUILD/kith" --home "$H/a" "$@"; }
routers_line() { ka net check | grep '^router'; }

router_as natpmp
start --listen 0.0.0.0:7718
until_said a.log 'portmap mapped by=NAT-PMP outside=11.22.33.44:8718 inside=7718'
check "the router has it" grep -q '^natpmp 8718 192.168.77.2 7718 3600' "$H/router.log"
check "net check says so" grep -q 'ok .*port 8718 on, by NAT-PMP; outside it is 11.22.33.44' <(routers_line)
stop
check "it is given back" grep -q '^natpmp 0 192.168.77.2 7718 0' "$H/router.log"
check "and the log says that" grep -q 'portmap given back' "$H/a.log"

# UPnP, where another machine has that port already.
router_as upnp
start --listen 0.0.0.0:7718
until_said a.log 'portmap mapped by=UPnP outside=11.22.33.44:7719 inside=7718'
check "the router has it" grep -q '^upnp 7719 192.168.77.2 7718 3600' "$H/router.log"
stop
check "it is given back" grep -q '^upnp 7719 - - 0' "$H/router.log"

# Killed: nothing is given back, the lease ends by itself, and the next start asks for it again.
router_as both
start --listen 0.0.0.0:7718
until_said a.log 'portmap mapped by=NAT-PMP'
{ kill -9 $node && wait $node; } 2>/dev/null
start --listen 0.0.0.0:7718
until_said a.log 'portmap mapped by=NAT-PMP'
check "asked for twice, given back never" same "$(grep -c 3600 "$H/router.log") $(grep -c ' 0$' "$H/router.log")" "2 0"
stop

router_as deaf
start --listen 0.0.0.0:7718
until_said a.log 'no router passes the port on why='
check "one line, and which ways were tried" same "$(grep -c ' portmap ' "$H/a.log") $(grep -c 'why=.*NAT-PMP.*UPnP' "$H/a.log")" "1 1"
check "net check says what helps" grep -q 'switch UPnP or NAT-PMP on' <(routers_line)
stop

# Told not to, and listening for this machine alone: nobody is asked.
router_as both
for options in "--listen 0.0.0.0:7718 --portmap=no" "--listen 127.0.0.1:7718"; do
    # shellcheck disable=SC2086
    start $options
    until_said a.log 'node started'
    sleep 1
    check "no router is asked with $options" test -z "$(grep -v '^up' "$H/router.log")"
    stop
done
grep -q ' broken ' "$H"/*.log && fail "something broke"
[ $failed = 0 ] || fail "see above"
echo "e2e_portmap: ok: $checks checks"

#!/bin/bash
# A provider and a requester that listen nowhere: paid jobs through relays, one of which is killed in the middle. What a relay
# holds in its memory and writes into its log is searched for the question, which must not be there.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_relay: models/kith-guide.gguf is not there"; exit 0; }
. tests/net.sh relay

net_people kith-relay v1 r1 r2 provider requester
node_start v1 --validator --relay=no
node_start r1 --no-default-model
node_start r2 --no-default-model
node_start provider --provide --listen=
node_start requester --no-default-model --listen=
net_is_up v1 r1 r2 provider requester

reach() { k "$1" status --json | json "reach.$2"; }
reached_through() { [ "$(reach "$1" relays)" = "$2" ]; }
for n in provider requester; do
    until_done "$n has two relays" 30 reached_through $n 2 || fail "$n has no two relays: $(k $n status --json)"
    check "$n knows that it is not reachable" same "$(reach $n reachable)" no
    check "$n says what others are told" grep -q '^reachable.*2 relays' <(k $n net check)
done
for n in r1 r2; do
    check "$n knows that it is reachable" same "$(reach $n reachable)" yes
    check "$n relays for two" same "$(reach $n relaying_for)" 2
done
check "v1 was told not to" same "$(reach v1 relaying)$(reach v1 relaying_for)" false0
way=$(reach provider way)
check "the way names both relays: $way" test "$way" = "$(node_peer r1),$(node_peer r2)" -o "$way" = "$(node_peer r2),$(node_peer r1)"

publish() { quietly k v1 model publish models/kith-guide.gguf --name kith-guide --royalty 10; }
until_done "publish" 30 publish || fail "the model cannot be published"
root=$(k v1 model show kith-guide --json | json root)
serve() { quietly k provider model pull "$root" && quietly k provider share start --model "$root" --price-in 10 --price-out 40; }
until_done "the provider shares" 30 serve || fail "the provider cannot share"
until_done "an offer" 30 has_offer requester || fail "no offer reached the requester"

# The question is a word of its own, so that it can be searched for.
secret=xylographic-quandary-$RANDOM$RANDOM
ask() { k requester chat "$root" --route network --key "$1" --tokens "$2" --temp 1 -m "$secret ${3:-}" --json; }
ask 1 8 >"$NET/first" || fail "no answer: $(cat "$NET/first")"
[ -n "$(json text <"$NET/first")" ] || fail "an empty answer: $(cat "$NET/first")"
through() { # the relay of the connection between the two
    k requester peers --json | python3 -c '
import json, sys
for p in json.load(sys.stdin)["peers"]:
    if p["node"] == sys.argv[1] and p["up"] and p["relayed"]: print(p["endpoint"])' "$(node_id provider)"
}
[ -n "$(through)" ] || fail "the two are connected, and not through a relay: $(k requester peers)"
relay=r1
[ "$(through)" = "$(node_peer r1)" ] || relay=r2
[ "$(through)" = "$(node_peer $relay)" ] || fail "through neither relay: $(through)"
check "$relay passes the connection on" test "$(reach $relay circuits_passed)" -ge 1

# What the relays hold: nothing of the question, which the provider's daemon and the requester's do.
memory() { # NAME: how often the question stands in its memory
    python3 - "$(node_pid "$1")" "$secret" <<'PY'
import re, sys
pid, secret = sys.argv[1], sys.argv[2].encode()
n = 0
with open(f"/proc/{pid}/mem", "rb") as mem:
    for line in open(f"/proc/{pid}/maps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
        if not m:
            continue
        try:
            mem.seek(int(m[1], 16))
            n += mem.read(int(m[2], 16) - int(m[1], 16)).count(secret)
        except (OSError, ValueError):
            pass
print(n)
PY
}
if [ -r "/proc/$(node_pid r1)/mem" ]; then
    check "the search finds it where it is" test "$(memory requester)" -gt 0
    for n in r1 r2 v1; do check "$n has the question in its memory" same "$(memory $n)" 0; done
else
    echo "skip: e2e_relay: the memory of other processes cannot be read here"
fi
check "it stands in a relay's log" test -z "$(grep -l "$secret" "$NET"/r?.log "$NET"/r?.out)"

# Killed in the middle of many answers: they end through the other relay, or this one once it is back.
# Strings so long that no answer ends before its last token.
python3 - "$NET/requester/kithd.sock" "$root" "$secret" >"$NET/posted" <<'PY' || fail "jobs are not taken"
import http.client, json, socket, sys
path, root, secret = sys.argv[1:]
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
for i in range(16):
    body = {"model": root, "prompt": f"{secret} {i}", "route": "network",
            "params": {"tokens": 380, "temp": 1, "schema": {"type": "string", "minLength": 4000}}}
    c = Unix("localhost")
    c.request("POST", "/kith/v1/jobs", json.dumps(body), {"Content-Type": "application/json"})
    print(json.loads(c.getresponse().read())["job"])
PY
count() { # STATE...: jobs in one of these, and tokens of all
    k requester jobs --json | python3 -c '
import json, sys
jobs = [j for j in json.load(sys.stdin)["jobs"] if j["job"] in open(sys.argv[1]).read()]
print(sum(j["state"] in sys.argv[2:] for j in jobs), sum(j["tokens_out"] for j in jobs))' "$NET/posted" "$@"
}
for _ in $(seq 200); do
    read -r running tokens <<<"$(count running)"
    [ "$tokens" -ge 20 ] && [ "$running" -gt 0 ] && break
    sleep 0.02
done
relay=r1
[ "$(through)" = "$(node_peer r1)" ] || relay=r2
kill -9 "$(node_pid $relay)"
check "jobs were under way when their relay died" test "$running" -gt 0 -a "$tokens" -gt 0
all_over() { [ "$(count done failed cancelled | cut -d' ' -f1)" = 16 ]; }
until_done "the jobs end" 120 all_over || fail "jobs do not end: $(k requester jobs --json)"
check "all of them are done" same "$(count done | cut -d' ' -f1)" 16
paid() { k requester jobs --json | python3 -c '
import json, sys
print(sum(int(j["cost"]) > 0 for j in json.load(sys.stdin)["jobs"] if j["job"] in open(sys.argv[1]).read()))' "$NET/posted"; }
check "all of them are paid" same "$(paid)" 16
check "the requester noticed that its relay was gone" test "$(grep -c "down peer=$(node_id $relay | head -c 16)" "$NET/requester.log")" -ge 1
check "and connected to the provider again" test "$(grep -c "up peer=$(node_id provider | head -c 16)" "$NET/requester.log")" -ge 2
until_done "two relays again" 60 reached_through provider 2 || fail "the provider does not find a relay again"
ask 3 8 >"$NET/third" || fail "no answer after that: $(cat "$NET/third")"
grep -q ' broken ' "$NET"/*.log && fail "something broke"
[ $failed = 0 ] || fail "see above"
echo "e2e_relay: ok: $checks checks; killed $relay with $running jobs under way, at token $tokens; all were answered and paid"

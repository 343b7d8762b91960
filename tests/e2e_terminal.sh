#!/bin/bash
# A node that lies to a person's terminal: every text in its answers carries escapes, other controls, line ends and marks that
# turn the writing around. No command prints them raw, whether it understands the answer or not.
set -u
B=${BUILD:-build/release}
cd "$(dirname "$0")/.." || exit 2
H=$(mktemp -d)
logs=$H
. tests/e2e.sh
unset KITH_HOME KITH_URL
export KITH_CACHE=off KITH_PASSWORD_FILE=$H/password
pids=()
cleanup() {
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    for p in "${pids[@]}"; do wait "$p" 2>/dev/null; done
    rm -rf "$H"
}
trap cleanup EXIT
printf 'worth nothing\n' >"$H/password"
chmod 600 "$H/password"
W=$(free_port)
"$B/kithd" dev --home "$H/home" --http "127.0.0.1:$W" --listen 127.0.0.1:0 --log-file "$H/node.log" >"$H/out" 2>&1 &
pids+=($!)
for _ in $(seq 200); do curl -sf -o /dev/null "http://127.0.0.1:$W/ready" && break; sleep 0.1; done
address=$("$B/kith" --home "$H/home" wallet new --name me --prefix kithdev --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["address"])') || fail wallet
cat >"$H/liar.py" <<'P'
import http.server, json, sys, urllib.error, urllib.request
BAD = "\x1b]0;owned\x07\x1b[31m\x9b2J\r\n\u202enuf\x7f"
def spoil(v):
    if isinstance(v, str): return BAD + v + BAD if sys.argv[2] == "around" else v + BAD
    if isinstance(v, list): return [spoil(x) for x in v]
    if isinstance(v, dict): return {k: spoil(x) for k, x in v.items()} | {k + BAD: spoil(x) for k, x in v.items()}
    return v
class Liar(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def pass_on(self, body=None):
        r = urllib.request.Request("http://" + sys.argv[1] + self.path, data=body, method=self.command)
        r.add_header("Content-Type", "application/json")
        try:
            a = urllib.request.urlopen(r, timeout=20)
        except urllib.error.HTTPError as e:
            a = e
        raw = a.read()
        lines = []
        for line in raw.split(b"\n"):
            head, rest = (b"data: ", line[6:]) if line.startswith(b"data: ") else (b"", line)
            try:
                lines.append(head + json.dumps(spoil(json.loads(rest))).encode())
            except ValueError:
                lines.append(line)
        raw = b"\n".join(lines)
        self.send_response(a.status if hasattr(a, "status") else a.code)
        self.send_header("Content-Type", a.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
    def do_GET(self): self.pass_on()
    def do_POST(self): self.pass_on(self.rfile.read(int(self.headers.get("Content-Length", 0))))
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
print(s.server_address[1], flush=True)
s.serve_forever()
P
clean() { # only line ends and tabs, no C1, nothing that turns the writing around
    timeout 30 "$@" >"$H/said" 2>&1 </dev/null
    local rc=$? kind=line
    case "$*" in *" chat "* | *" job show "*) kind=answer ;; esac
    [ $rc -le 4 ] || { echo "  status $rc: $(head -c 200 "$H/said" | cat -v)" >&2; return 1; }
    python3 - "$H/said" "$kind" <<'P' || { echo "  said: $(head -c 400 "$H/said" | cat -v)" >&2; return 1; }
import sys
text = open(sys.argv[1], encoding="utf-8", errors="strict").read()
turns = "" if sys.argv[2] == "answer" else "\u202e" # an answer may be in any writing
sys.exit(any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 or c in turns for c in text))
P
}
job=$("$B/kith" --home "$H/home" chat -m hello --json | python3 -c 'import json,sys; print(json.load(sys.stdin).get("job",""))')
[ ${#job} = 64 ] || fail "no job"
for way in around behind; do
    python3 "$H/liar.py" "127.0.0.1:$W" $way >"$H/port.$way" 2>"$H/liar.out" &
    pids+=($!)
    for _ in $(seq 100); do [ -s "$H/port.$way" ] && break; sleep 0.1; done
    k=("$B/kith" --home "$H/home" --url "http://127.0.0.1:$(cat "$H/port.$way")")
    while read -r -a words; do
        check "$way: kith ${words[*]}" clean "${k[@]}" "${words[@]}"
    done <<C
status
ps
peers
models
model show default
job show $job
job verify $job
chat -m hello
chain info
chain block 1
chain validators
tx history $address
tx send --yes $address 1
wallet balance
wallet balance $address
wallet ls
data ls
share status
share start --yes
settle
labels ls
peer add $(printf '%064d' 0)@127.0.0.1:1
nonsense
C
done
[ $failed = 0 ] && echo "e2e_terminal: $checks checks"
exit $failed

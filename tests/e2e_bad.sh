#!/bin/bash
# Bad input against real processes: broken models, bad money, bytes of another chain, garbage from strangers, damaged
# and full disks. Each gives one clear line (what, with the value, and what to do) and the right status, and afterwards
# everything is as before: the daemons answer, and nobody's balance has changed.
# (What needs no daemon stands in e2e_run.sh and e2e_wallet.sh.)
cd "$(dirname "$0")/.." || exit 2
set -u
BUILD=${BUILD:-build/release}
guide=models/kith-guide.gguf
[ -f $guide ] || { echo "skip: e2e_bad: $guide is not there"; exit 0; }
NET=$(mktemp -d "${TMPDIR:-/tmp}/kith-bad.XXXXXX")
. scripts/private-net
logs=$NET
. tests/e2e.sh
unset KITH_HOME KITH_URL
pids=()
disk=""

clean() {
    local status=$?
    trap - EXIT
    net_stop
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    for p in "${pids[@]}"; do wait "$p" 2>/dev/null; done
    [ -n "$disk" ] && umount "$disk"
    rm -rf "$NET"
    exit $status
}
trap clean EXIT
# Ends with the status and one line on standard error that matches every pattern (separated by spaces).
refuses() { # STATUS PATTERNS COMMAND...
    local status=$1 patterns=$2 p ok=1
    shift 2
    timeout 20 "$@" >"$NET/said" 2>"$NET/err" </dev/null
    local rc=$?
    [ $rc = "$status" ] && [ "$(wc -l <"$NET/err")" = 1 ] || ok=0
    for p in $patterns; do grep -qiE -- "$p" "$NET/err" || ok=0; done
    [ $ok = 1 ] && return 0
    echo "  expected $status and $patterns; status $rc, said: $(cat "$NET/err")" >&2
    return 1
}
# The API's answer: a status, a code, and one line that matches every pattern.
answers() { # STATUS CODE PATTERNS HTTP PATH [BODY]
    local status=$1 code=$2 patterns=$3 p ok=1 got
    got=$(curl -s -m 20 -H 'Content-Type: application/json' -o "$NET/reply" -w '%{http_code}' ${6+-d "$6"} "http://$4$5")
    [ "$got" = "$status" ] && [ "$(json error.code <"$NET/reply")" = "$code" ] || ok=0
    json error.message <"$NET/reply" >"$NET/err"
    [ "$(wc -l <"$NET/err")" = 1 ] || ok=0
    for p in $patterns; do grep -qiE -- "$p" "$NET/err" || ok=0; done
    [ $ok = 1 ] && return 0
    echo "  expected $status $code $patterns; status $got, said: $(cat "$NET/reply")" >&2
    return 1
}
healthy() { curl -sf -m 5 -o "$NET/reply" "http://$1/health"; }
await() { # WHAT TENTHS COMMAND...
    local what=$1 left=$2
    shift 2
    until "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "$what"
        sleep 0.1
    done
}
says() { grep -q -- "$2" "$NET/$1.log"; }
height() { k "$1" chain info --json | json height; }

# -- the broken models --
mkdir "$NET/m"
python3 - $guide "$NET/m" <<'P' || fail "cannot make the broken models"
import random, struct, sys
b = open(sys.argv[1], "rb").read()
def save(name, data):
    open(f"{sys.argv[2]}/{name}.gguf", "wb").write(data)
def put(name, at, fmt, *v):
    raw = struct.pack("<" + fmt, *v)
    save(name, b[:at] + raw + b[at + len(raw):])
def after(key): # where the value of that key begins, behind its type
    return b.index(struct.pack("<Q", len(key)) + key) + 8 + len(key) + 4
n_tensors, n_keys = struct.unpack_from("<QQ", b, 8)
save("cut-header", b[:1000])
save("cut-data", b[:-100000])
put("tensors", 8, "Q", 2**63 + 1)
put("keys", 16, "Q", 2**64 - 1)
put("key-length", 24, "Q", 2**64 - 8)
put("text-length", after(b"general.architecture"), "Q", 2**63 - 1)
put("array-count", after(b"tokenizer.ggml.tokens") + 4, "Q", 2**61 + 1)
t = b.index(struct.pack("<Q", 17) + b"token_embd.weight") + 25
n_dims = struct.unpack_from("<I", b, t)[0]
put("dims", t, "I", 2**31)
put("shape-overflow", t + 4, "QQ", 2**33, 2**33)
put("shape", t + 4, "Q", struct.unpack_from("<Q", b, t + 4)[0] * 2)
put("type", t + 4 + 8 * n_dims, "I", 250)
put("offset-overflow", t + 8 + 8 * n_dims, "Q", 2**64 - 32)
put("offset-odd", t + 8 + 8 * n_dims, "Q", 3)
put("offset-far", t + 8 + 8 * n_dims, "Q", 2**40)
put("layers", after(b"llama.block_count"), "I", 4000000000)
put("heads", after(b"llama.attention.head_count"), "I", 7)
put("width", after(b"llama.embedding_length"), "I", 64)
put("arch", after(b"general.architecture") + 8, "5s", b"mamba")
put("tokenizer", after(b"tokenizer.ggml.model") + 8, "1s", b"z")
header = b.index(b"blk.0.") # keys and tokens lie in front
rng = random.Random(7)
for i in range(24): # among them such as change nothing that matters
    data = bytearray(b)
    for _ in range(3):
        data[rng.randrange(24, header + 800) if i % 2 else rng.randrange(4, 700)] ^= 1 << rng.randrange(8)
    save(f"flip{i}", data)
P

# -- a network: a validator, a provider whose disk rots, and one that pulls from it; and a chain apart, on a disk of its own --
net_password
printf 'not it\n' >"$NET/wrong"
genesis=(--out "$NET/genesis.json" --chain kith-bad)
for n in v1 rotten puller; do node_new $n || fail "cannot make the node $n"; done
k v1 wallet new --name v1 --prefix kithdev --json >"$NET/wallet" || fail "no wallet"
address=$(json address <"$NET/wallet")
"$KITHD" genesis "${genesis[@]}" --account "$address:1000" --validator "$(node_id v1):1000" >/dev/null || fail "no genesis"
for n in v1 rotten puller; do node_start $n --no-default-model $([ $n = v1 ] && echo --validator); done
mkdir "$NET/other"
if mount -t tmpfs -o size=56m,mode=700 none "$NET/other" 2>/dev/null; then disk=$NET/other; fi
"$KITHD" init --home "$NET/other" >"$NET/other.id" || fail "no other node"
"$KITHD" genesis --out "$NET/other/genesis.json" --chain kith-other --account "$address:1000" --account "$(cat "$NET/other.id"):1000" \
    --validator "$(cat "$NET/other.id"):1000" >/dev/null || fail "no other genesis"
cp -r "$NET/v1/wallet" "$NET/other/"
other=127.0.0.1:$((PORT + 63))
start_other() {
    "$KITHD" dev --home "$NET/other" --heartbeat-ms 500 --http $other --listen "127.0.0.1:$((PORT + 31))" --log-file "$NET/other.log" >>"$NET/other.out" 2>&1 &
    pids+=($!)
    await "the other chain answers" 200 curl -sf -o "$NET/reply" "http://$other/ready"
}
start_other
for n in v1 rotten puller; do until_done "$n starts" 30 node_is_up $n || fail "$n does not start"; done
http=$(node_http v1)
before=$(balance v1 "$address")
other_before=$(balance other "$address")

# -- models --
on_v1=(env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$NET/v1")
model() { # NAME PATTERNS
    check "check $1" refuses 3 "$1.gguf $2" "${on_v1[@]}" model check "$NET/m/$1.gguf"
    check "import $1" refuses 3 "$1.gguf $2" "${on_v1[@]}" model import "$NET/m/$1.gguf"
    check "run $1" refuses 3 "$1.gguf $2" "$KITH" run "$NET/m/$1.gguf" x
}
model cut-header "1000.bytes damaged"
model cut-data "$(($(stat -c %s $guide) - 100000)) damaged"
model tensors "9223372036854775809 most again"
model keys "18446744073709551615 most again"
model key-length "key.0 damaged"
model text-length "key.0 damaged"
model array-count "2305843009213693953 most again"
model dims "token_embd.weight 2147483648 again"
model shape-overflow "token_embd.weight overflow again"
model shape "token_embd.weight again"
model type "token_embd.weight 250"
model offset-overflow "token_embd.weight again"
model offset-odd "token_embd.weight 3 again"
model offset-far "token_embd.weight damaged"
model layers "block_count 4000000000 again"
model heads "head_count again"
model width "= 64 again"
model arch "mamba README"
model tokenizer "zlama gpt2"
for name in cut-data shape arch tokenizer; do
    check "publish $name" refuses 3 "$name.gguf" "${on_v1[@]}" model publish "$NET/m/$name.gguf" --name bad
done
flipped() { # a model that still works, or one line
    timeout 20 "${on_v1[@]}" model check "$1" >"$NET/said" 2>"$NET/err" </dev/null
    local rc=$?
    [ $rc = 0 ] && [ ! -s "$NET/err" ] || { [ $rc = 3 ] && [ "$(wc -l <"$NET/err")" = 1 ]; } && return 0
    echo "  status $rc, said: $(cat "$NET/err")" >&2
    return 1
}
for i in $(seq 0 23); do check "flipped bits $i" flipped "$NET/m/flip$i.gguf"; done
check "none of them stayed" same "$(k v1 models --json | json local)" "[]"
check "nor in the store" same "$(ls "$NET/v1/models" | wc -l)" 0
check "the daemon lives" healthy "$http"

# -- requests --
long=$(printf 'word %.0s' $(seq 5000))
for path in chat/completions completions; do
    body="{\"model\":\"default\",\"messages\":[{\"role\":\"user\",\"content\":\"$long\"}],\"prompt\":\"$long\"}"
    check "a prompt over the context, $path" answers 400 context_length_exceeded "[0-9]{4} context shorten" $other /v1/$path "$body"
done
check "half a body" answers 400 bad_request "json" $other /v1/chat/completions '{"model":"default","mess'
check "no such model" answers 404 model_not_found "nonesuch" $other /v1/chat/completions \
    '{"model":"nonesuch","messages":[{"role":"user","content":"x"}]}'
check "a bad address" answers 400 bad_request "kithdev1xyz" "$http" /kith/v1/accounts/kithdev1xyz
check "no transaction" answers 400 bad_request "hex" "$http" /kith/v1/tx '{"tx":"zz"}'
check "bytes that are none" answers 400 bad_request "transaction" "$http" /kith/v1/tx '{"tx":"00ff00ff"}'

# -- money --
send=("${on_v1[@]}" tx send --yes)
last=${address: -1}
check "a wrong password" refuses 3 "wrong.password again" env "KITH_PASSWORD_FILE=$NET/wrong" "$KITH" --home "$NET/v1" tx send --yes "$address" 1
check "a checksum" refuses 3 "checksum ${address%?}" "${send[@]}" "${address%?}$([ "$last" = q ] && echo p || echo q)" 1
main=$(k v1 wallet new --name main --json | json address)
k foreign wallet new --json >"$NET/wallet" || fail "no foreign wallet"
foreign=$(json address <"$NET/wallet")
check "another network's prefix" refuses 3 "$foreign kithdev" "${send[@]}" "$foreign" 1
check "too many decimals" refuses 3 "1.0000000001 decimals" "${send[@]}" "$address" 1.0000000001
check "more than there is" refuses 1 "1000.000000001 1000" "${send[@]}" "$address" 1000.000000001
check "more than there can be" refuses 3 "99999999999" "${send[@]}" "$address" 99999999999999999999
check "a memo that is too long" refuses 3 "memo 64" "${send[@]}" "$address" 1 --memo "$(printf 'x%.0s' $(seq 65))"

# A transaction for another chain: what a client posts to the other chain is kept on its way and posted here.
cat >"$NET/between.py" <<'P'
import http.server, json, sys, urllib.request
class Between(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        with urllib.request.urlopen("http://" + sys.argv[1] + self.path) as r: self.answer(200, r.read())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open(sys.argv[2], "wb").write(body)
        self.answer(503, json.dumps({"error": {"code": "full", "message": "kept"}}).encode())
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between)
print(s.server_address[1], flush=True)
s.serve_forever()
P
python3 "$NET/between.py" $other "$NET/foreign.tx" >"$NET/between.port" 2>"$NET/between.out" &
pids+=($!)
await "the proxy listens" 100 test -s "$NET/between.port"
k other --url "http://127.0.0.1:$(cat "$NET/between.port")" tx send --yes "$main" 5 >"$NET/said" 2>&1
check "signed for the other chain" test -s "$NET/foreign.tx"
check "another chain's transaction" answers 422 chain "chain" "$http" /kith/v1/tx "$(cat "$NET/foreign.tx")"
check "nothing was spent" same "$(balance v1 "$address")" "$before"
check "the daemon lives" healthy "$http"

# -- a rotten disk --
root=$(k rotten model import $guide --json | json root)
[ ${#root} = 64 ] || fail "the model cannot be imported"
blob=$NET/rotten/models/$root.blob
python3 - "$blob" <<'P'
import os, sys
os.chmod(sys.argv[1], 0o600)
with open(sys.argv[1], "r+b") as f:
    f.seek(1500000)
    c = f.read(1)
    f.seek(1500000)
    f.write(bytes([c[0] ^ 1]))
os.chmod(sys.argv[1], 0o400)
P
k puller model pull "$root" >"$NET/pulled" 2>&1 &
pull=$!
pids+=($pull)
await "the puller notices" 100 says puller misbehaved
check "a damaged leaf does not come" test ! -e "$NET/puller/models/$root.blob"
check "and is not served" refuses 1 "" env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$NET/puller" chat "$root" --route local -m x
k v1 model import $guide >"$NET/said" || fail "the validator cannot import"
check "the pull goes on with another source" wait $pull
check "and has the right bytes" cmp $guide "$NET/puller/models/$root.blob"
kill "$(node_pid rotten)"
await "the rotten node notices" 100 says rotten "checked again"
until_done "rotten comes back" 30 node_is_up rotten || fail "rotten does not come back"
check "damage is not offered after a restart" same "$(k rotten models --json | json local)" "[]"
k rotten model import $guide >"$NET/said" 2>&1
check "importing again heals it" cmp $guide "$blob"

# -- strangers --
p2p=$(cat "$NET/v1.p2p")
python3 - "$p2p" "${http#*:}" <<'P'
import os, random, socket, sys
rng = random.Random(3)
for port in map(int, sys.argv[1:]):
    held = []
    for i in range(40):
        s = socket.create_connection(("127.0.0.1", port))
        try:
            s.sendall(b"" if i % 4 == 0 else b"\xff" * 70000 if i % 4 == 1 else rng.randbytes(rng.randrange(1, 3000)) if i % 4 == 2
                      else b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n")
        except OSError:
            pass
        held.append(s) if i % 2 else s.close()
P
check "the daemon lives" healthy "$http"
check "and is heard by its peers" sh -c "'$KITH' --home '$NET/puller' peers --json | grep -q $(node_id v1)"
k v1 tx send --yes "$main" 1 >"$NET/said" || failed=1
check "and takes money" same "$(balance v1 "$main")" 1000000000

# -- starting where one cannot --
new=("$KITHD" dev --home "$NET/new" --log-file "$NET/new.log")
check "a taken port for peers" refuses 1 "127.0.0.1:$p2p listen" "${new[@]}" --http 127.0.0.1:0 --listen "127.0.0.1:$p2p"
check "a taken port for HTTP" refuses 1 "$http --http" "${new[@]}" --listen 127.0.0.1:0 --http "$http"
touch "$NET/file"
for path in "$NET/file/home" "$NET/file" /proc/home; do
    check "a home at $path" refuses 1 "$path --home" "$KITHD" dev --home "$path" --listen 127.0.0.1:0 --http 127.0.0.1:0
done
check "a wallet at a file" refuses 3 "$NET/file" env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$NET/file" wallet new
check "no home of a daemon" refuses 2 "$NET/none kithd" "$KITH" --home "$NET/none" status
check "a log in no directory" refuses 1 "$NET/file/log --log-file" "$KITHD" dev --home "$NET/new" --listen 127.0.0.1:0 --http 127.0.0.1:0 --log-file "$NET/file/log"

# -- a full disk --
if [ -z "$disk" ]; then
    echo "skip: e2e_bad: a full disk: no file system can be mounted here"
else
    dd if=/dev/zero of="$disk/filler" bs=64k 2>/dev/null
    at=$(height other)
    check "the disk is full" same "$(df --output=avail "$disk" | tail -1 | tr -d ' ')" 0
    check "an import" refuses 1 "make.room" env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$disk" model import models/kith-guide-f32.gguf
    check "money" refuses 1 "$disk room" env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$disk" tx send --yes "$main" 5
    check "a transaction" answers 503 full "$disk room" $other /kith/v1/tx "$(cat "$NET/foreign.tx")"
    check "a question" refuses 1 "disk make" env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$disk" chat -m hello
    check "data" refuses 1 "$disk make.room" env "KITH_PASSWORD_FILE=$NET/password" "$KITH" --home "$disk" data add README.md --name x
    check "reads go on" same "$(balance other "$address")" "$other_before"
    await "the log says what it is stuck on" 100 says other "consensus stuck .*$disk.*make room"
    check "and says it once" same "$(grep -c 'consensus stuck' "$NET/other.log")" 1
    check "the daemon lives" healthy $other
    check "no block was made" same "$(height other)" "$at"
    rm "$disk/filler"
    check "money moves again" k other tx send --yes "$main" 7 >"$NET/said"
    check "and what was refused did nothing" same "$(balance other "$main")" 7000000000
fi

for n in v1 rotten puller; do check "$n lives" healthy "$(node_http $n)"; done
check "nothing broke" test -z "$(grep -h ' broken ' "$NET"/*.log)"
[ $failed = 0 ] && echo "e2e_bad: $checks checks"
exit $failed

#!/bin/bash
# What every command keeps to, without a daemon: with --json one JSON object on standard output, on failure too, and the reason on
# standard error; exit statuses as `kith help` has them; output that cannot be written is a failure; a --out that is no file stays.
set -u
B=${BUILD:-build/release}
cd "$(dirname "$0")/.." || exit 2
H=$(mktemp -d)
logs=$H
. tests/e2e.sh
trap 'rm -rf "$H"' EXIT
unset KITH_HOME KITH_URL KITH_API_KEY
export KITH_CACHE=off KITH_PASSWORD_FILE=$H/password HOME=$H XDG_DATA_HOME=
echo 'worth nothing' >"$H/password"
: >"$H/none.log"
kith=$B/kith
# Each command of the table, with nothing, with an option that it does not have, and asked for its help; and what is no command.
cat >"$H/each.py" <<'P'
import json, subprocess, sys
bad = 0
def says(allowed, *words):
    global bad
    r = subprocess.run([sys.argv[1], *words, "--json"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        v = json.loads(r.stdout)
    except ValueError:
        v = None
    faults = [] if r.returncode in allowed else [f"exit status {r.returncode}, not of {allowed}"]
    if not isinstance(v, dict) or ("error" in v) != (r.returncode != 0):
        faults.append(f"standard output is no JSON object that fits it: {r.stdout[:80]!r}")
    if r.returncode and not r.stderr.startswith("kith: "):
        faults.append(f"standard error does not say why: {r.stderr[:80]!r}")
    for f in faults:
        print("kith", *words, "--json:", f)
    bad += len(faults)
    return v
names = [c["name"] for c in says({0}, "help")["commands"]]
for name in names:
    if name not in ("wallet new", "wallet restore", "chat"): # these make one, and an empty conversation is none
        says({3} if name == "completion" else range(5), *name.split())
    says({3}, *name.split(), "--no-such-option")
    says({0}, *name.split(), "--help")
says({3}, "--no-such-option"), says({3}, "no-such-command"), says({3}, "wallet"), says({3}, "status", "x")
says({0}, "--version"), says({2}, "status"), says({2}, "--url", "http://127.0.0.1:1", "status")
if {c["name"] for c in says({0}, "help", "wallet")["commands"]} != {n for n in names if n.startswith("wallet ")}:
    print("kith help wallet --json: not the commands of that group")
    bad += 1
sys.exit(bad != 0 or len(names) < 50)
P
check "commands keep to the conventions" python3 "$H/each.py" "$kith"
# What is made from the table.
complete_kith() { # WORD.., the last of them begun
    bash -c 'eval "$("$0" completion)"; COMP_WORDS=(kith "$@"); COMP_CWORD=$#; _kith; printf "%s " "${COMPREPLY[@]}"' "$kith" "$@"
}
check "commands are completed" same "$(complete_kith wal)" 'wallet '
check "so are those of a group" same "$(complete_kith --home /x wallet b)" 'balance backup '
check "so are options" same "$(complete_kith tx send addr 5 --me)" '--memo '
check "and those of every command" same "$(complete_kith status --pas)" '--password-file '
"$kith" help --man >"$H/kith.1"
check "the man page has every command" same "$(grep -c '^\.SS kith ' "$H/kith.1")" "$("$kith" help --json | grep -o '"words":' | wc -l)"
command -v groff >/dev/null && check "and is roff without faults" test -z "$(groff -man -Tascii -ww "$H/kith.1" 2>&1 >"$H/out")"
"$kith" chain block -1 2>"$H/err"
check "a negative number is a word" grep -q '"-1" is not a height' "$H/err"
refused() { # TEXT WORD..: wrong usage, and why
    local text=$1
    shift
    "$kith" "$@" >"$H/out" 2>"$H/err"
    [ $? = 3 ] && grep -qF -- "$text" "$H/err"
}
check "an option is no option's value" refused '--model needs a value' verify --model --json
check "and the refusal is JSON" grep -q '"error"' "$H/out"
check "unless it is written so" refused 'no model file "--json"' run --model=--json hi
check "a number may be whole and too large" refused '--tokens 99999999999999999999999 is out of range: 1 to' run default hi --tokens 99999999999999999999999
check "no name is no model" refused 'which model?' model show ''
check "the man page has no space at the end of a line" test -z "$(grep -n ' $' "$H/kith.1")"
# What README shows works with the model that comes with Kith, whose context is short.
check "bench fits the model that comes along" same "$("$kith" bench default --repeat 1 --jobs 1 --json | grep -oE '"(prompt|decode)_tokens":[0-9]+' | tr '\n' ' ')" '"prompt_tokens":448 "decode_tokens":64 '
check "unless it was told otherwise" refused "600 and 64 tokens are over the model's context of 512" bench default --prompt 600
# Whether a file is a model needs no daemon, as running it needs none; and whoever names a daemon means that one.
check "a model is checked without a daemon" grep -q '"architecture":"llama","format":"Q8_0","context":512' <("$kith" model check models/kith-guide.gguf --json)
head -c 2000000 models/kith-guide.gguf >"$H/half.gguf"
check "so is what is none" refused "half.gguf: GGUF: the tensor blk" model check "$H/half.gguf"
"$kith" --url http://127.0.0.1:1 model check models/kith-guide.gguf 2>"$H/err"
check "but not where one was named" same $? 2
check "the daemon has a version too" same "$("$B/kithd" --version)" "$("$kith" --version | sed 's/^kith/kithd/')"
# It says where it answers when it does, and not before.
python3 -c 'import socket,time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(30)' >"$H/port" &
holder=$!
until [ -s "$H/port" ]; do sleep 0.05; done
"$B/kithd" dev --home "$H/dev" --no-default-model --listen 127.0.0.1:0 --http "127.0.0.1:$(cat "$H/port")" >"$H/out" 2>"$H/err"
check "a port that is taken: status" same $? 1
check "a port that is taken: why" grep -q 'Address already in use; choose another with --http' "$H/err"
check "a port that is taken: no promise" test -z "$(grep 'pages at' "$H/out")"
kill $holder
check "a wallet for it" "$kith" --home "$H/dev" wallet new --json >"$H/out"
"$B/kithd" dev --fresh --home "$H/dev" --no-default-model --listen 127.0.0.1:0 --http 127.0.0.1:0 --log-file "$H/dev.log" >"$H/out" 2>"$H/err" &
holder=$!
for _ in $(seq 100); do grep -q 'pages at' "$H/out" && break; sleep 0.1; done
url=$(sed -n 's/^kithd dev: pages at \(http:[^,]*\), .*/\1/p' "$H/out")
check "any port: it is named" same "http://$("$kith" --url "$url" status --json | grep -oE '"http":"[^"]*' | cut -d '"' -f 4)" "$url"
check "a new chain has money for the wallet" grep -q '"balance":"1000000000000000"' <("$kith" --home "$H/dev" wallet balance --json)
kill $holder
wait $holder
check "help has the exit statuses" grep -q '^exit status' <("$kith" help)

# A home and its settings.
check "init makes a home" same "$("$kith" --home "$H/new" init --json | grep -oE '"node":"[0-9a-f]{64}"' | wc -l)" 1
check "and again is no harm" same "$("$kith" --home "$H/new" init --json)" "$("$kith" --home "$H/new" init --json)"
check "it says what comes next" grep -q 'kith wallet new' <("$kith" --home "$H/new" init)
echo '# mine' >"$H/new/kith.conf"
"$kith" --home "$H/new" config set block-ms 500 >/dev/null
check "a setting is written, and comments stay" same "$(cat "$H/new/kith.conf")" "$(printf '# mine\nblock-ms = 500')"
check "the file is the user's alone" same "$(stat -c %a "$H/new/kith.conf")" 600
from() { KITH_LOG=odd "$kith" --home "$H/new" config show --json | python3 -c 'import json,sys; print(*[s["value"] + " " + s["from"] for s in json.load(sys.stdin)["settings"] if s["name"] == sys.argv[1]])' "$1"; }
check "from the file" same "$(from block-ms)" '500 file'
check "from the environment" same "$(from log)" 'odd environment'
check "from nowhere" same "$(from http)" '127.0.0.1:7717 default'
"$kith" --home "$H/new" config set blok-ms 5 2>"$H/err"
check "what is no setting is refused: status" same $? 3
check "and the nearest named" grep -q '^kith: blok-ms is no setting: did you mean block-ms?' "$H/err"
"$kith" --home "$H/new" config set block-ms >/dev/null
check "without a value it is the default again" same "$(from block-ms)" '0 default'

# Output that is lost is no success; a pipe that was closed is nothing to speak of.
for words in version help 'doctor --json' 'help --json' 'wallet labels --json' 'run default hi --tokens 3' 'run default hi --tokens 3 --json'; do
    # shellcheck disable=SC2086
    "$kith" $words >/dev/full 2>"$H/err"
    check "kith $words on a full disk: status" same $? 1
    check "kith $words on a full disk: why" grep -q 'kith: .*standard output' "$H/err"
done
"$kith" help 2>"$H/err" | head -n 1 >/dev/null
check "a closed pipe is not spoken of" test ! -s "$H/err"
# A worker that is not itself any more reaches neither what is typed nor what is shown; what it said is told, made plain.
cat >"$H/foe" <<'P'
#!/bin/bash
echo 'a forged answer'
read -r -t 1 line && echo "heard $line"
printf '\033]0;owned\007\xc2\x9b2J\nso it goes\n' >&2
exit 1
P
chmod 755 "$H/foe"
{
    KITH_WORKER=$H/foe "$kith" run default hi >"$H/out" 2>"$H/err"
    check "a dead worker: status" same $? 1
    read -r line
    check "a worker does not hear what is typed" same "$line" 'a secret'
} <<<'a secret'
check "nor answers past its socket" test ! -s "$H/out"
check "nor steers the terminal" test -z "$(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f-\xff]' "$H/err")"
check "what it said last is told" grep -q 'kith: the worker said: .*so it goes' "$H/err"
[ $failed = 0 ] && echo "e2e_command: $checks checks"
exit $failed

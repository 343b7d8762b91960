#!/bin/bash
# Whom a node lets in without a key, and what its key's holders see: requests as pages in a browser, proxies and other users of
# this machine make them, names that are nearly ours, and the modes of the files.
set -u
B=${BUILD:-build/release}
H=$(mktemp -d)
logs=$H
. "$(dirname "$0")/e2e.sh"
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_near: models/kith-guide.gguf is not there"; exit 0; }
pid=
cleanup() {
    [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null
    rm -rf "$H"
}
trap cleanup EXIT
W=$(free_port)
A=http://127.0.0.1:$W
umask 022
mkdir "$H/home" # whose parent does not protect it
chmod 755 "$H" "$H/home"
"$B/kithd" dev --home "$H/home" --http "127.0.0.1:$W" --listen "127.0.0.1:0" --http-name node.example --log-file "$H/node.log" >"$H/out" 2>&1 &
pid=$!
for _ in $(seq 200); do curl -sf -o /dev/null "$A/ready" && break; sleep 0.1; done
kith() { "$B/kith" --home "$H/home" "$@"; }
status() { curl -s -o "$H/said" -w '%{http_code}' -m 60 "$@"; }
got() { # WHAT STATUS CURL-ARGUMENT...
    local what=$1 wanted=$2 is
    shift 2
    is=$(status "$@")
    check "$what: $is, not $wanted ($(head -c 200 "$H/said" | tr -d '\n'))" same "$is" "$wanted"
}

# Names: what is nearly one of ours is none.
for host in 127.0.0.1 "127.0.0.1:$W" localhost LOCALHOST:1 '[::1]' '[::1]:80'; do got "Host $host" 200 -H "Host: $host" "$A/kith/v1/status"; done
for host in 127.0.0.1. "127.0.0.1.:$W" localhost. '[::1]evil.example' '[::1]:80x' '[::1' '[::ffff:127.0.0.1]' 0.0.0.0 127.1 2130706433 evil.example \
    localhost.evil.example localhost:80@evil.example localhost,evil.example user@localhost ::1 ''; do
    got "Host $host" 403 -H "Host: $host" "$A/kith/v1/status"
done
# The request line's authority stands above the header (RFC 9112, section 3.2.2).
got "a request line with another's name" 403 --request-target http://evil.example/kith/v1/status "$A"
got "a request line with our name" 200 --request-target "http://127.0.0.1:$W/kith/v1/status" "$A"
got "a request line with our other name" 401 --request-target "http://node.example/kith/v1/status" "$A"

# Proxies, whichever of their headers they send.
for header in X-Forwarded-For: Forwarded: X-Real-IP: Via: X-Forwarded-Host: X-Forwarded-Proto: CF-Connecting-IP:; do
    got "$header" 401 -H "$header 192.0.2.1" "$A/kith/v1/jobs"
done

# Pages of other sites may send plain requests without asking; a tool on this machine names no page, or one of here.
for header in 'Origin: http://evil.example' 'Origin: null' 'Origin: http://localhost.evil.example' 'Sec-Fetch-Site: cross-site' \
    'Sec-Fetch-Site: same-site'; do
    got "$header" 401 -H "$header" "$A/kith/v1/jobs"
done
for header in 'Origin: http://localhost:3000' "Origin: $A" 'Sec-Fetch-Site: none' 'Sec-Fetch-Site: same-origin'; do
    got "$header" 200 -H "$header" "$A/kith/v1/jobs"
done
# The pages hold no data: whoever may connect gets them, but under no name that is not ours, and framed by nobody.
got "a page for a stranger" 200 -H 'X-Forwarded-For: 192.0.2.1' "$A/"
got "a page under a rebound name" 403 -H 'Host: evil.example' "$A/"
got "a script under a rebound name" 403 -H 'Host: evil.example' "$A/web/app.js"
check "no page is framed" grep -q "frame-ancestors 'none'" <(curl -si "$A/")
for type in '' text/plain application/x-www-form-urlencoded 'text/plain; application/json' application/jsonp; do
    got "a form's type \"$type\"" 415 -H "Content-Type: $type" -d '{}' "$A/v1/completions"
done
check "no page may read across sites" test -z "$(curl -si -H 'Origin: http://localhost:3000' -X OPTIONS "$A/kith/v1/jobs" | grep -i access-control)"

# What one key's holder asks is nobody else's, but the owner's of the machine.
one=$(kith key new --name one 2>/dev/null) two=$(kith key new --name two 2>/dev/null)
ask() { # KEY-OR-NOTHING
    curl -s ${1:+-H "Authorization: Bearer $1"} -H 'Content-Type: application/json' "$A/kith/v1/jobs" \
        -d '{"prompt":"Once","route":"local","key":7,"params":{"tokens":3}}' | sed 's/.*"job":"\([0-9a-f]*\)".*/\1/'
}
as() { echo "Authorization: Bearer $1"; }
job=$(ask "$one")
check "a number that two keys' holders drew names two jobs" test "$job" != "$(ask "$two")"
check "and their owner's a third" test "$job" != "$(ask "")"
check "one of its own is asked for again" same "$job" "$(ask "$one")"
got "its own job" 200 -H "$(as "$one")" "$A/kith/v1/jobs/$job?wait=30"
got "another's job" 404 -H "$(as "$two")" "$A/kith/v1/jobs/$job"
got "another's answer" 404 -H "$(as "$two")" "$A/kith/v1/jobs/$job/events"
for what in cancel verify; do
    got "another's job: $what" 404 -H "$(as "$two")" -H 'Content-Type: application/json' -d '{}' "$A/kith/v1/jobs/$job/$what"
done
check "only its own are listed" same "$(curl -s -H "$(as "$one")" "$A/kith/v1/jobs" | grep -o '"job":' | wc -l)" 1
check "also by the command" same "$(kith jobs | grep -c ' done .* default ')" 3
check "the default model has a name, also while nothing has it loaded" grep -q '^default ' <(kith models)
check "the owner sees all" same "$(curl -s "$A/kith/v1/jobs" | grep -o '"job":' | wc -l)" 3
got "it is verified by who asked" 202 -H "$(as "$one")" -H 'Content-Type: application/json' -d '{}' "$A/kith/v1/jobs/$job/verify"
task=$(sed 's/.*"task":"\([0-9]*\)".*/\1/' "$H/said")
got "who is told how that went" 200 -H "$(as "$one")" "$A/kith/v1/tasks/$task?wait=30"
got "and nobody else" 404 -H "$(as "$two")" "$A/kith/v1/tasks/$task"

# Files: nothing of the home but what is meant for others is theirs to read, wherever the home is.
open=$(find "$H/home" -mindepth 1 -perm /077 ! -type l -printf '%M %P\n')
check "nobody else reads the home: $open" test -z "$open"

# Other users of this machine.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    check "another user is not let in" same "$(as_nobody curl -s -o /dev/null -w '%{http_code}' "$A/kith/v1/jobs")" 401
    check "nor one who leaves at once" same "$(as_nobody /usr/bin/env -i bash -c "for i in 1 2 3 4 5; do exec 3<>/dev/tcp/127.0.0.1/$W
        printf 'POST /kith/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n{\"prompt\":\"x\",\"params\":{\"tokens\":1}}' >&3
        exec 3>&-; done"; sleep 1; curl -s "$A/kith/v1/jobs" | grep -o '"job":' | wc -l)" 3
    check "but by a key" same "$(as_nobody curl -s -o /dev/null -w '%{http_code}' -H "$(as "$one")" "$A/kith/v1/jobs")" 200
    if as_nobody test -x "$B/kith"; then
        as_nobody "$B/kith" --home "$H/home" status 2>"$H/err"
        check "the command says whose it is" grep -q "kithd.sock is another user's" "$H/err"
    fi
    chmod 666 "$H/home/kithd.sock"
    check "the socket asks who it is" same "$(as_nobody curl -s -o /dev/null -w '%{http_code}' --unix-socket "$H/home/kithd.sock" "$A/kith/v1/jobs")" 000
else
    echo "skip: e2e_near: another user's requests need root and setpriv"
fi
kill $pid
wait $pid
check "it stops cleanly" same $? 0

# A home that others may write into is none: keys, settings and the socket in it could be anybody's.
mkdir "$H/open"
chmod 777 "$H/open"
"$B/kithd" init --home "$H/open" >"$H/said" 2>&1
check "a home that all may write into is refused" same $? 1
check "and it is said what to do" grep -q "$H/open.*chmod" "$H/said"
check "nothing was put there" test -z "$(ls "$H/open")"
if [ "$(id -u)" = 0 ]; then
    mkdir -m 700 "$H/other"
    chown 65534 "$H/other"
    "$B/kithd" init --home "$H/other" >"$H/said" 2>&1
    check "nor is another user's one" same $? 1
    check "and it is said whose it is" grep -q "$H/other.*another user" "$H/said"
fi

# What a worker that is not itself any more says goes into the log as one line that names it, wherever the log goes.
cat >"$H/foe" <<'P'
#!/bin/bash
printf '1795795563.997 broken node forged\n\033]0;owned\007\xc2\x9b2J\n' >&2
exit 1
P
chmod 755 "$H/foe"
KITH_WORKER=$H/foe "$B/kithd" dev --home "$H/home" --http "127.0.0.1:$W" --listen "127.0.0.1:0" >"$H/out" 2>"$H/said.log" &
pid=$!
for _ in $(seq 200); do curl -sf -o /dev/null "$A/ready" && break; sleep 0.1; done
curl -s -H 'Content-Type: application/json' "$A/kith/v1/jobs" -d '{"prompt":"Once","route":"local"}' >/dev/null
for _ in $(seq 50); do grep -q forged "$H/said.log" && break; sleep 0.1; done
check "a worker's words are in the log" grep -q ' odd worker said .*forged' "$H/said.log"
check "as one line" test -z "$(grep -a '^1795795563' "$H/said.log")"
check "that steers no terminal" test -z "$(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f-\xff]' "$H/said.log")"
kill $pid
wait $pid
check "it stops cleanly beside it" same $? 0
pid=
check "nothing broke" test -z "$(grep ' broken ' "$H/node.log")"
[ $failed = 0 ] && echo "e2e_near: $checks checks"
exit $failed

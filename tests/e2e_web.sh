#!/bin/bash
# The pages in headless Chromium (tests/web), before two nodes: one that serves a model under a hostile name, one that asks it over
# the network. Skips out loud where npm, Chromium or the default model is not there; `make web-check` installs them.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
export CHROMIUM=${CHROMIUM:-$(command -v chromium)}
[ -n "$CHROMIUM" ] || { echo "skip: e2e_web: no chromium on this machine (make web-check installs it)"; exit 0; }
[ -f models/kith-guide.gguf ] || { echo "skip: e2e_web: models/kith-guide.gguf is not there"; exit 0; }
cache=build/npm-web
. tests/npm.sh
npm_has e2e_web tests/web $cache playwright-core
. tests/net.sh web
hostile='<img src=x onerror=globalThis.harmed=1>'

net_people web host asker
node_start host --validator --heartbeat-ms 2000 --provide --no-default-model --http-name node.example
node_start asker --no-default-model
net_is_up host asker
until_done "publish" 60 quietly k host model publish models/kith-guide.gguf --name "$hostile" || fail "cannot publish"
root=$(k host model show "$hostile" --json | json root)
until_done "share" 60 quietly k host share start --model "$root" --price-in 100 --price-out 400 || fail "cannot share"
offered() { [ "$(k asker models --json | json offers.0.model)" = "$root" ]; }
until_done "an offer reaches the asker" 60 offered 2>/dev/null || fail "no offer"
"$BUILD/talker" toss >"$NET/toss.gguf" || fail "no model that thinks"
export IMPORT="$KITH --home $NET/host model import $NET/toss.gguf --name toss" # when the others are through, who ask what is there
key=$(k host key new --scope use --scope read --json | json key)
# What is earned is on the pages once it is settled and paid, while the rest is tried.
quietly k asker chat "$root" --route network -m "What is Kith?" && quietly k host settle || fail "nothing is earned"
cp tests/web/*.mjs $cache/
(cd $cache && timeout 300 node run.mjs "http://$(node_http host)" "http://$(node_http asker)" "$(node_pid host)" "$key" "$root" "$(cat "$NET/host.address")" "$hostile") ||
    fail "the pages"
echo "e2e_web: the pages are well"

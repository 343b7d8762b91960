#!/bin/bash
# A worker process with an emulated GPU (tests/cuda; with KITH_GPU=real this machine's own): opened by KITH_CUDA before
# the walls go up, the processor's digest behind them; what doctor and ps say; and a shared object that is none of ours is
# named and left out.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-build/release}
kith=$BUILD/kith
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export KITH_CACHE=$dir/cache
logs=$dir
. tests/e2e.sh
gpu=$PWD/$BUILD/kith-cuda.so
name=.
if [ "${KITH_GPU:-}" != real ]; then
    make --no-print-directory "$BUILD/tests/kith-cuda.so" >/dev/null || fail "no emulated GPU"
    gpu=$PWD/$BUILD/tests/kith-cuda.so
    name='emulated GPU 0'
fi

ask() { $kith run --model models/kith-guide.gguf --prompt "What is Kith?" --tokens 6 --temp 0.7 --seed 07 --json "$@"; }
here=$(KITH_CUDA='' ask | json digest)
[ -n "$here" ] || fail "no answer without a GPU"
KITH_CUDA=$gpu ask >"$dir/there"
check "the backend is cuda" same "$(json backend <"$dir/there")" cuda
check "the processor's digest" same "$(json digest <"$dir/there")" "$here"
check "a kernel set by name takes no GPU" same "$(KITH_CUDA=$gpu ask --backend ref | json backend)" ref
check "and has the same digest" same "$(KITH_CUDA=$gpu ask --backend ref | json digest)" "$here"

KITH_CUDA=$gpu $kith doctor >"$dir/doctor"
check "doctor names the GPU" grep -q "^gpu .*$name.*free" "$dir/doctor"
check "walls stand beside it" grep -q '^sandbox .*system calls filtered' "$dir/doctor"
echo nothing >"$dir/broken.so"
KITH_CUDA=$dir/broken.so $kith doctor >"$dir/doctor"
check "what cannot be opened is named" grep -q "^gpu .*none: .*broken.so" "$dir/doctor"
check "and answers come without it" same "$(KITH_CUDA=$dir/broken.so ask | json digest)" "$here"
echo 'int kith_unrelated;' | ${CC:-gcc} -shared -x c -o "$dir/other.so" -
KITH_CUDA=$dir/other.so $kith doctor >"$dir/doctor"
check "so is what is no device" grep -q '^gpu .*kith_device_table' "$dir/doctor"
# A daemon's worker, as ps shows it.
port=$(free_port)
KITH_CUDA=$gpu $BUILD/kithd dev --home "$dir/home" --http "127.0.0.1:$port" --listen "127.0.0.1:$(free_port)" >"$dir/kithd.log" 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null; wait $daemon 2>/dev/null; rm -rf "$dir"' EXIT
for _ in $(seq 100); do $kith --home "$dir/home" status >/dev/null 2>&1 && break; sleep 0.1; done
curl -s "http://127.0.0.1:$port/v1/chat/completions" -H 'content-type: application/json' \
    -d '{"model":"default","messages":[{"role":"user","content":"What is Kith?"}],"max_tokens":4}' >"$dir/chat"
check "a daemon answers" grep -q '"content":"Kith' "$dir/chat"
$kith --home "$dir/home" ps >"$dir/ps"
check "ps says which layers the GPU has" grep -q "cuda .* layers on $name" "$dir/ps"

real=$PWD/$BUILD/kith-cuda.so
if [ -e "$real" ] && [ ! -e /dev/nvidiactl ]; then
    KITH_CUDA=$real $kith doctor >"$dir/doctor"
    check "the real one says what it misses" grep -q '^gpu .*none: .*driver' "$dir/doctor"
    check "and leaves the walls as they are" grep -q '^sandbox .*system calls filtered' "$dir/doctor"
    check "and answers come without it" same "$(KITH_CUDA=$real ask | json digest)" "$here"
else
    echo "e2e_cuda: skip: what the real kith-cuda.so says without a driver (make cuda-check builds it; or there is a driver)"
fi
check "cuda alone must have one" sh -c "! KITH_CUDA= $kith run --model models/kith-guide.gguf --prompt x --backend cuda >/dev/null 2>&1"
[ $failed = 0 ] && echo "e2e_cuda: $checks checks ok"
exit $failed

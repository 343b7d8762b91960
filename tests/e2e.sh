# Shared by tests/e2e_*.sh, which source it in the project's folder. They set `logs` to the directory whose *.log shows what happened.
test_name=$(basename "$0" .sh)
fail() { # the rest cannot be tried
    echo "$test_name: FAILED: $*" >&2
    tail -n 15 "$logs"/*.log >&2
    exit 1
}
BUILD=${BUILD:-build/release}
. scripts/json
checks=0 failed=0
check() { # WHAT CONDITION...: the rest is tried all the same
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || { echo "$test_name: FAILED: $what" >&2; failed=1; }
}
same() { [ "$1" = "$2" ]; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# For the tests that drive kithd by others' programs from npm: sourced.
# npm_has TEST FOLDER CACHE PACKAGE: what FOLDER/package.json asks for is in CACHE/node_modules. Skips the test, out loud, where it cannot be had.
npm_has() {
    command -v npm >/dev/null && command -v node >/dev/null || { echo "skip: $1: no npm on this machine"; exit 0; }
    cmp -s "$2/package.json" "$3/package.json" && [ -d "$3/node_modules/$4" ] && return
    mkdir -p "$3"
    cp "$2/package.json" "$3/package.json"
    # By itself npm waits for a registry that says nothing for a quarter of an hour, and that for each package.
    (cd "$3" && timeout 180 npm install --no-audit --no-fund --silent --fetch-timeout=20000 --fetch-retries=2 >npm.log 2>&1) && return
    rm "$3/package.json"
    echo "skip: $1: npm cannot install $4 ($(tail -n 1 "$3/npm.log"))"
    exit 0
}

#!/bin/bash
# kith run, logits, verify, tokenize, template and chat, without a daemon: the same bits whatever the batch, threads and
# kernels; every tampered transcript is caught; bad input gives one line and the right status.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-build/release}
kith=$BUILD/kith
guide=models/kith-guide.gguf
data=${KITH_DATA:-../shared/data}
dir=$(mktemp -d)
logs=$dir
. tests/e2e.sh
trap 'rm -rf "$dir"' EXIT
export KITH_CACHE=$dir/cache

member() { # FILE EXPRESSION over the parsed object `t`
    python3 -c 'import json,sys; t=json.load(open(sys.argv[1])); v=eval(sys.argv[2]); print(v if isinstance(v,str) else json.dumps(v))' "$1" "$2"
}
change() { # FROM TO STATEMENT over the parsed object `t`
    python3 -c 'import json,sys; t=json.load(open(sys.argv[1])); exec(sys.argv[3]); json.dump(t,open(sys.argv[2],"w"))' "$1" "$2" "$3"
}
# Expects a status, one line on standard error, and a word in it.
refuses() { # STATUS WORD COMMAND...
    local status=$1 word=$2
    shift 2
    timeout 20 "$@" >"$dir/out" 2>"$dir/err" </dev/null
    local rc=$?
    same "$rc" "$status" && same "$(wc -l <"$dir/err")" 1 && grep -q -- "$word" "$dir/err" && return 0
    echo "  status $rc, said: $(cat "$dir/err")"
    return 1
}
run() { # MODEL OUT ARGS...
    local model=$1 out=$2
    shift 2
    "$kith" run --model "$model" --json "$@" >"$out"
}

# -- one model, every way of computing --
every_way() { # MODEL PROMPT ARGS...
    local model=$1 prompt=$2 first="" digest backend batch threads
    shift 2
    for backend in ref auto; do
        for batch in 1 7 64; do
            for threads in 1 2; do
                run "$model" "$dir/way.json" --prompt "$prompt" --backend $backend --batch $batch --threads $threads "$@"
                digest=$(json digest <"$dir/way.json")
                first=${first:-$digest}
                check "$model: backend $backend, batch $batch, threads $threads" same "$digest" "$first"
            done
        done
    done
    check "$model: replayed in one pass" "$kith" verify --model "$model" --transcript "$dir/way.json" >"$dir/out"
}

every_way "$guide" "Kith is" --tokens 24
every_way "$guide" "Kith is" --tokens 24 --temp 0.9 --top-k 40 --top-p 0.95 --min-p 0.02 --seed c0ffee

# -- what adapters add --
adapt() { "$kith" model adapt "$guide" "$@"; }
python3 tests/adapter.py "$guide" "$dir/a1.gguf" --rank 5 --seed 1
python3 tests/adapter.py "$guide" "$dir/a2.gguf" --rank 3 --seed 2 --only attn_q,ffn_down
python3 tests/adapter.py "$guide" "$dir/a3.gguf" --only attn_q --more-rows 1
python3 tests/adapter.py "$guide" "$dir/a4.gguf" --only token_embd
check "a model of two adapters" adapt "$dir/a1.gguf=0.5" "$dir/a2.gguf" --out "$dir/adapted.gguf" >"$dir/out"
check "the same again" adapt "$dir/a1.gguf=0.5" "$dir/a2.gguf" --out "$dir/again.gguf" >"$dir/out"
check "has the same bytes" cmp "$dir/adapted.gguf" "$dir/again.gguf"
every_way "$dir/adapted.gguf" "Kith is" --tokens 24
run "$guide" "$dir/base.json" --prompt "Kith is" --tokens 24
check "it is another model" test "$(json digest <"$dir/base.json")" != "$(json digest <"$dir/way.json")"
check "the base does not pass for it" same "$("$kith" verify --model "$guide" --transcript "$dir/way.json")" 'different: the transcript is of another model than this file'
check "an adapter for another model" refuses 3 'another model' "$kith" model adapt "$guide" "$dir/a3.gguf" --out "$dir/none.gguf"
check "an adapter is no model" refuses 3 'the base comes first' "$kith" model adapt "$dir/a1.gguf" "$dir/a2.gguf" --out "$dir/none.gguf"
check "nor is a model an adapter" refuses 3 'not "adapter"' "$kith" model adapt "$guide" "$guide" --out "$dir/none.gguf"
check "a weight is a number" refuses 3 'no weight' "$kith" model adapt "$guide" "$dir/a1.gguf=half" --out "$dir/none.gguf"
check "a name for it" refuses 3 '--out' "$kith" model adapt "$guide" "$dir/a1.gguf"
check "an embedding may have none" refuses 3 'token_embd.weight.lora_a' "$kith" model adapt "$guide" "$dir/a4.gguf" --out "$dir/none.gguf"
check "nothing is left of them" same "$(ls "$dir" | grep -c -e none -e '\.new$')" 0

# -- seeds --
run "$guide" "$dir/a.json" --prompt "Kith is" --temp 1.2 --tokens 24
seed=$(json request.seed <"$dir/a.json")
run "$guide" "$dir/b.json" --prompt "Kith is" --temp 1.2 --tokens 24 --seed "$seed"
check "a drawn seed gives the same answer again" same "$(json digest <"$dir/a.json")" "$(json digest <"$dir/b.json")"
run "$guide" "$dir/b.json" --prompt "Kith is" --temp 1.2 --tokens 24
check "another seed is drawn each time" test "$seed" != "$(json request.seed <"$dir/b.json")"

# -- schemas --
cat >"$dir/schema.json" <<'J'
{"type": "object", "required": ["name", "age"], "additionalProperties": false, "properties": {
  "name": {"type": "string", "maxLength": 24}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
  "tags": {"type": "array", "items": {"enum": ["node", "wallet", "model"]}, "maxItems": 3}}}
J
every_way "$guide" "Who are you?" --tokens 100 --schema "$dir/schema.json"
for seed in 1 2 3; do
    run "$guide" "$dir/s.json" --prompt "Who are you?" --tokens 100 --temp 1.5 --seed $seed --schema "$dir/schema.json"
    check "an answer to a schema, seed $seed" same true "$(member "$dir/s.json" \
        '(lambda a: t["stop"] == "eos" and set(a) <= {"name","age","tags"} and len(a["name"]) <= 24 and 0 <= a["age"] <= 120 and
        set(a.get("tags", [])) <= {"node","wallet","model"})(json.loads(t["text"]))')"
    check "and its replay" "$kith" verify --model "$guide" --transcript "$dir/s.json" >"$dir/out"
    change "$dir/s.json" "$dir/bad.json" 't["request"]["schema"]["properties"]["age"]["maximum"] = 121'
    "$kith" verify --model "$guide" --transcript "$dir/bad.json" >"$dir/out"
    check "another schema is another request" same $? 1
done
run "$guide" "$dir/s.json" --prompt "Who are you?" --tokens 3 --schema "$dir/schema.json"
check "a schema changes no limit" same length "$(json stop <"$dir/s.json")"
echo '{"type": "array", "uniqueItems": true}' >"$dir/bad.json"
check "a keyword that is not supported" refuses 3 uniqueItems "$kith" run --model "$guide" --prompt x --schema "$dir/bad.json"
echo '{"type": ' >"$dir/bad.json"
check "half a schema" refuses 3 JSON "$kith" run --model "$guide" --prompt x --schema "$dir/bad.json"
check "no schema" refuses 3 none.json "$kith" run --model "$guide" --prompt x --schema "$dir/none.json"

# -- tampering: status 1, and where --
run "$guide" "$dir/good.json" --prompt "The ledger" --tokens 16
n=$(member "$dir/good.json" 'len(t["tokens"])')
tampered() { # WORD STATEMENT
    change "$dir/good.json" "$dir/bad.json" "$2"
    "$kith" verify --model "$guide" --transcript "$dir/bad.json" >"$dir/out" 2>&1
    local rc=$?
    same $rc 1 && grep -q -- "$1" "$dir/out" && return 0
    echo "  status $rc, said: $(cat "$dir/out")"
    return 1
}
check "the untouched transcript" "$kith" verify --model "$guide" --transcript "$dir/good.json" >"$dir/out"

# a witness: of a key, the same in any way, also of an answer that is not the model's, and no other key's
witness() { # TRANSCRIPT KEY-DIGIT [OPTION...]
    local file=$1 key
    key=$(printf "%064d" "$2")
    shift 2
    "$kith" verify --model "$guide" --transcript "$dir/$file.json" --witness "$key" --json "$@" | json witness
}
change "$dir/good.json" "$dir/other.json" 't["tokens"][9] = (t["tokens"][9] + 1) % 100'
for file in good other; do
    want=$(witness $file 1)
    check "$file: a witness of 64 digits" same "${#want}" 64
    for way in "--backend ref --batch 5" "--batch 1" "--threads 2 --batch 64"; do
        # shellcheck disable=SC2086
        check "$file: its witness with $way" same "$(witness $file 1 $way)" "$want"
    done
    check "$file: another key" [ "$(witness $file 2)" != "$want" ]
done
check "another answer, another witness" [ "$(witness good 1)" != "$(witness other 1)" ]
"$kith" verify --model "$guide" --transcript "$dir/other.json" --witness "$(printf "%064d" 1)" >"$dir/out"
check "the verdict stays" same $? 1
check "and the witness with it" grep -q "^witness: $(witness other 1)$" "$dir/out"
check "a key that is short" refuses 3 "64 hexadecimal digits" "$kith" verify --model "$guide" --transcript "$dir/good.json" --witness 12
check "a token in the middle" tampered "position 3 " 't["tokens"][3] = (t["tokens"][3] + 1) % 100'
check "the first token" tampered "position 0 " 't["tokens"][0] = (t["tokens"][0] + 1) % 100'
check "the digest" tampered "position $n" 't["digest"] = "0" * 64'
check "the prompt" tampered "position" 't["prompt_tokens"][-1] = 5'
check "the seed" tampered "position" 't["request"]["seed"] = "1" * 64'
check "the text" tampered "text" 't["text"] = "no " + t["text"]'
check "the model" tampered "another model" 't["model"] = "0" * 64'
for broken in 'del t["tokens"]' 't["digest"] = "xyz"' 't["request"]["temp"] = "hot"' 't["tokens"][0] = -1' \
    't["prompt_tokens"] = []' 't["request"]["tokens"] = 0' 't["stop"] = "bored"' 't["arith"] = 99' 't["tokens"][0] = 1000000'; do
    change "$dir/good.json" "$dir/bad.json" "$broken"
    check "bad transcript: $broken" refuses 3 "" "$kith" verify --model "$guide" --transcript "$dir/bad.json"
done
echo '{"model":' >"$dir/bad.json"
check "half a transcript" refuses 3 "JSON" "$kith" verify --model "$guide" --transcript "$dir/bad.json"
check "no transcript" refuses 3 "none.json" "$kith" verify --model "$guide" --transcript "$dir/none.json"

# -- embeddings --
python3 bench/make_model.py --shape bert --format Q8_0 "$dir/bert.gguf" >"$dir/out"
for model in "$guide" "$dir/bert.gguf"; do
    "$kith" embed --model "$model" --backend ref --threads 1 --json "one text" "another" >"$dir/a.json"
    "$kith" embed --model "$model" --threads 2 --json "one text" "another" >"$dir/b.json"
    check "embed: the same bits ($model)" same "$(json embeddings <"$dir/a.json")" "$(json embeddings <"$dir/b.json")"
    check "embed: of unit length" same "$(member "$dir/a.json" 'abs(sum(x*x for x in t["embeddings"][1]["embedding"]) - 1) < 1e-5')" true
    check "embed: another text, another vector" same "$(member "$dir/a.json" 't["embeddings"][0]["embedding"] != t["embeddings"][1]["embedding"]')" true
    check "embed: lines of numbers" same "$("$kith" embed --model "$model" --dimensions 5 "one text" "another" | wc -lw | tr -s ' ')" " 2 10"
    check "embed: too many dimensions" refuses 3 "100000\|9999" "$kith" embed --model "$model" --dimensions 9999 x
done
check "embed: no text" refuses 3 "embed" "$kith" embed --model "$guide"
check "an encoder writes no text" refuses 3 "embeddings" "$kith" run "$dir/bert.gguf" x

# -- logits, tokens, template --
ids=$("$kith" tokenize --model "$guide" --bos --text "How do I start?")
check "text to tokens and back" same "$("$kith" detokenize --model "$guide" --ids "$ids")" "How do I start?"
"$kith" logits --model "$guide" --ids "$ids" --out "$dir/a.f32" --backend ref --batch 1 >"$dir/out"
"$kith" logits --model "$guide" --ids "$ids" --out "$dir/b.f32" --batch 64 >"$dir/out"
check "logits: the same bits" cmp "$dir/a.f32" "$dir/b.f32"
vocab=$("$kith" logits --model "$guide" --ids "$ids" --out "$dir/a.f32" --json | json vocab)
check "logits: their number" same "$(stat -c %s "$dir/a.f32")" "$((4 * vocab * $(echo "$ids" | tr ',' '\n' | wc -l)))"
echo '[{"role":"user","content":"hello"}]' >"$dir/m.json"
check "template" test -n "$("$kith" template --model "$guide" --messages "$dir/m.json")"

# -- chat on a fresh machine --
answer=$(KITH_HOME="$dir/none" "$kith" chat -m "What is Kith?")
check "chat without a daemon answers" test -n "$answer"
check "and the same each time" same "$answer" "$(KITH_HOME="$dir/none" "$kith" chat -m "What is Kith?")"

# -- bad input --
head -c 5000 "$guide" >"$dir/short.gguf"
head -c 1000000 "$guide" >"$dir/cut.gguf"
head -c 200000 /dev/urandom >"$dir/noise.gguf"
: >"$dir/empty.gguf"
python3 - "$guide" "$dir" <<'P'
import sys
b = open(sys.argv[1], 'rb').read()
def write(name, old, new):
    assert old in b and len(old) == len(new), name
    open(sys.argv[2] + '/' + name, 'wb').write(b.replace(old, new))
write('arch.gguf', b'\x05\x00\x00\x00\x00\x00\x00\x00llama', b'\x05\x00\x00\x00\x00\x00\x00\x00mamba')
key = b'llama.embedding_length'
at = b.index(key) + len(key) + 4
open(sys.argv[2] + '/shape.gguf', 'wb').write(b[:at] + bytes([b[at] ^ 0x40]) + b[at + 1:])
key = b'tokenizer.ggml.model'
at = b.index(key) + len(key) + 4 + 8
open(sys.argv[2] + '/tok.gguf', 'wb').write(b[:at] + b'z' + b[at + 1:])
P
for file in short cut noise empty arch shape tok; do
    check "$file.gguf is refused" refuses 3 "$file.gguf" "$kith" run --model "$dir/$file.gguf" --prompt x
done
check "no such model" refuses 3 "nothing.gguf" "$kith" run --model "$dir/nothing.gguf" --prompt x
check "a directory" refuses 3 "$dir" "$kith" run --model "$dir" --prompt x
check "no prompt" refuses 3 "prompt" "$kith" run --model "$guide"
check "no tokens" refuses 3 "tokens" "$kith" run --model "$guide" --prompt x --tokens 0
check "a bad seed" refuses 3 "seed" "$kith" run --model "$guide" --prompt x --seed xyz
check "an unknown backend" refuses 3 "abacus" "$kith" run --model "$guide" --prompt x --backend abacus
check "a prompt over the context" refuses 3 "context" "$kith" run --model "$guide" --prompt "$(printf 'word %.0s' $(seq 5000))"
check "a token outside the vocabulary" refuses 3 "999999" "$kith" logits --model "$guide" --ids 1,999999 --out "$dir/x"
check "ids that are none" refuses 3 "1,,2" "$kith" logits --model "$guide" --ids 1,,2 --out "$dir/x"
check "a full disk" refuses 3 "/dev/full" "$kith" logits --model "$guide" --ids 1,2 --out /dev/full
check "no worker" refuses 3 "KITH_WORKER" env KITH_WORKER=/nowhere "$kith" run --model "$guide" --prompt x
check "a worker that dies" refuses 1 "worker" env KITH_WORKER=/bin/false "$kith" run --model "$guide" --prompt x

# -- drafts change nothing --
again="the same again and again, the same again and again, the same again and"
for temp in 0 0.7; do
    first=""
    for draft in 0 1 4 64 none; do
        run "$guide" "$dir/d.json" --prompt "$again" --tokens 60 --temp $temp --seed 5 $([ $draft = none ] || echo --draft $draft)
        digest=$(json digest <"$dir/d.json")
        first=${first:-$digest}
        check "drafts of $draft at $temp" same "$digest" "$first"
    done
done

# -- measuring: what was written is verified, alone and beside others, and the figures are there --
check "bench" "$kith" bench "$guide" -p 40 -n 8 --jobs 3 --repeat 2 --json >"$dir/bench.json"
for figure in prompt_tps decode_tps jobs_tps write_ms verify_ms load_ms peak_bytes memory_bytes_per_s; do
    check "bench: $figure" same "$(member "$dir/bench.json" "t['$figure'] > 0")" true
done
check "bench: the batch that the worker took" same "$(json batch <"$dir/bench.json")" 252
check "bench: other kernels" "$kith" bench "$guide" -p 40 -n 8 --jobs 0 --repeat 1 --backend ref --batch 7 --json >"$dir/ref.json"
check "bench: the same digest" same "$(json digest <"$dir/bench.json")" "$(json digest <"$dir/ref.json")"
echo "$again again, the same." >"$dir/before"
echo "$again once more, the same." >"$dir/after"
check "bench: an edit" "$kith" bench "$guide" -p 4 -n 4 --jobs 0 --repeat 1 --edit "$dir/before" --into "$dir/after" --json >"$dir/edit.json"
check "bench: guesses came" same "$(member "$dir/edit.json" 't["accepted"] > 0 and t["edit_draft_tps"] > 0 and t["edit_tps"] > 0')" true
check "bench: half an edit" refuses 3 "into" "$kith" bench "$guide" --edit "$dir/before"
check "bench: over the context" refuses 3 "context" "$kith" bench "$guide" -p 60000
check "bench: more jobs than a batch has rows" refuses 3 "batch" "$kith" bench "$guide" --jobs 8 --batch 7
check "bench: no model" refuses 3 "model" "$kith" bench

# -- packed weights, kept from run to run: nothing that is wrong with them stays unnoticed --
say() { "$kith" run --model "$guide" --prompt "the same" --tokens 8 --json >"$dir/say.json" 2>"$dir/say.err"; }
packs=$KITH_CACHE/packs
rm -rf "$packs" # those of the models above
say && first=$(json digest <"$dir/say.json")
pack=$(ls "$packs"/*.pack 2>/dev/null)
if [ -n "$pack" ]; then
    check "kept: one file" same "$(ls "$packs" | wc -l)" 1
    say
    check "kept: the same digest" same "$(json digest <"$dir/say.json")" "$first"
    truncate -s -1 "$pack"
    say
    check "kept: too short: said" grep -q "damaged" "$dir/say.err"
    check "kept: too short: the same digest" same "$(json digest <"$dir/say.json")" "$first"
    check "kept: too short: removed" test ! -e "$pack"
    say # which makes it again
    printf '\377\377' | dd of="$pack" bs=1 seek=9000 conv=notrunc 2>/dev/null
    for try in $(seq 20); do say || break; done
    check "kept: wrong weights: said" grep -q "damaged" "$dir/say.err"
    check "kept: wrong weights: removed" test ! -e "$pack"
    say
    check "kept: made anew" same "$(json digest <"$dir/say.json")" "$first"
    KITH_CACHE_MB=1 say
    rm -rf "$KITH_CACHE"
    KITH_CACHE_MB=1 say
    check "kept: none over the cap" same "$(ls "$packs" 2>/dev/null | wc -l)" 0
    KITH_CACHE=off say
    check "kept: none when off" test ! -e "$packs"
    KITH_CACHE=$guide say
    check "kept: a cache that is no directory" same "$(json digest <"$dir/say.json")" "$first"
else
    echo "e2e_run: skip: the kernels of this machine do not pack"
fi
cp "$guide" "$dir/changing.gguf"
"$kith" run --model "$dir/changing.gguf" --prompt x --tokens 1 --json >"$dir/before.json"
sleep 3
"$kith" run --model "$dir/changing.gguf" --prompt x --tokens 1 --json >"$dir/before.json" # remembered now
printf 'G' | dd of="$dir/changing.gguf" bs=1 seek="$(($(stat -c %s "$guide") - 1))" conv=notrunc 2>/dev/null
"$kith" run --model "$dir/changing.gguf" --prompt x --tokens 1 --json >"$dir/after.json"
check "a file that changed has another root" test "$(json model <"$dir/before.json")" != "$(json model <"$dir/after.json")"

# -- the public model, where it is --
story=$data/weights/stories260K
if [ -e "$story-F32.gguf" ]; then
    for format in F32 F16; do
        reference=$(json greedy_ids <"$story-$format.json")
        run "$story-$format.gguf" "$dir/s.json" --prompt "Once upon a time" --tokens "$(member "$story-$format.json" 'len(t["greedy_ids"])')"
        check "stories260K $format: the reference's greedy text" same "$(json tokens <"$dir/s.json")" "$reference"
        check "stories260K $format: replayed" "$kith" verify --model "$story-$format.gguf" --transcript "$dir/s.json" >"$dir/out"
    done
    for format in F32 F16 Q8_0 Q4_0; do
        every_way "$story-$format.gguf" "Once upon a time" --tokens 32
    done
    # Perplexity: the figures are llama-perplexity's (build 10587) for the same file, text and context, to a
    # half per cent; every batch and number of threads gives the same digits.
    tale=$data/text/en/tinystories_sample.txt
    foretells() { # FORMAT FIGURE
        "$kith" perplexity --model "$story-$1.gguf" --file "$tale" --ctx 256 --json >"$dir/p.json" &&
            same "$(member "$dir/p.json" "abs(t['perplexity'] / $2 - 1) < 0.005 and t['tokens_scored'] == 889 and t['chunks'] == 7")" true
    }
    check "perplexity: F32" foretells F32 6.8981
    first=$(json perplexity <"$dir/p.json")
    "$kith" perplexity --model "$story-F32.gguf" --file "$tale" --ctx 256 --batch 7 --threads 1 --backend ref --json >"$dir/p.json"
    check "perplexity: another way" same "$(json perplexity <"$dir/p.json")" "$first"
    check "perplexity: over the context" refuses 3 "context" "$kith" perplexity --model "$story-F32.gguf" --file "$tale" --ctx 9999
    echo "A short text." >"$dir/short"
    check "perplexity: too short" refuses 3 "two chunks" "$kith" perplexity --model "$story-F32.gguf" --file "$dir/short" --ctx 512
else
    echo "e2e_run: skip: stories260K is not on this machine"
fi

[ $failed = 0 ] && echo "e2e_run: ok, $checks checks"
exit $failed

#!/usr/bin/env python3
"""Kith beside llama.cpp on the same files: perplexity over the same text, and how far the distributions of the next
token are apart (mean Kullback-Leibler divergence), for each format that llama-quantize makes of a model.

    bench/quality.py --llama DIR --model models/kith-guide-f32.gguf --facts models/facts
    bench/quality.py --llama DIR --model FILE.gguf --text TEXT --ctx 512 --formats F16,Q4_0,Q4_K_M

DIR holds llama-quantize and llama-perplexity. Prints a table; exit 1 if a format's perplexity is more than --limit per cent
from llama.cpp's. Run by hand: llama.cpp is no part of this project.
"""
import argparse
import array
import glob
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile

FORMATS = ("as-is F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL IQ4_XS Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M "
           "Q6_K").split()
BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "release")


def run(*command, may_fail=False):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 and not may_fail:
        sys.exit("%s failed:\n%s" % (" ".join(command), done.stdout[-2000:]))
    return done.stdout if done.returncode == 0 else None


def text_of_facts(folder):
    """Each question of the facts with its answer, as plain text."""
    out = []
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        answer = ""
        for line in open(path):
            line = line.rstrip("\n")
            if line.startswith("= "):
                answer = line[2:]
            elif line and line[0] not in "#@" and answer:
                out.append("%s\n%s\n" % (line, answer))
    return "\n".join(out)


class Base:
    """What llama-perplexity --kl-divergence-base wrote: tokens, and 16-bit log-probabilities of the scored positions."""

    def __init__(self, path):
        self.f = open(path, "rb")
        if self.f.read(8) != b"_logits_":
            sys.exit("%s holds no log-probabilities" % path)
        self.ctx, self.vocab, self.chunks = struct.unpack("<iii", self.f.read(12))
        self.tokens = array.array("i", self.f.read(4 * self.ctx * self.chunks))
        self.row = 2 * ((self.vocab + 1) // 2) + 4
        self.start = self.f.tell()
        self.scored = self.ctx - 1 - self.ctx // 2

    def log_probabilities(self, chunk, i):
        self.f.seek(self.start + 2 * self.row * (chunk * self.scored + i))
        raw = self.f.read(2 * self.row)
        scale, least = struct.unpack("<ff", raw[:8])
        return [least + scale * q for q in array.array("H", raw[8:8 + 2 * self.vocab])]


def divergence(kith, model, base, chunks, bos, folder):
    """Mean over the scored positions of the first chunks: sum of p log(p / q), p llama.cpp's, q Kith's."""
    total = count = same = 0
    out = os.path.join(folder, "rows")
    for chunk in range(min(chunks, base.chunks)):
        ids = list(base.tokens[chunk * base.ctx:(chunk + 1) * base.ctx])
        if bos is not None:
            ids[0] = bos
        run(kith, "logits", "--model", model, "--ids", ",".join(map(str, ids)), "--out", out)
        rows = array.array("f", open(out, "rb").read())
        for i in range(base.scored):
            p = base.log_probabilities(chunk, i)
            at = (base.ctx // 2 + i) * base.vocab
            q = rows[at:at + base.vocab]
            most = max(q)
            norm = most + math.log(sum(math.exp(x - most) for x in q))
            total += sum(math.exp(a) * (a - (b - norm)) for a, b in zip(p, q) if a > -30)
            same += p.index(max(p)) == q.index(most)
            count += 1
    return total / count, same / count


def quantised(tools, source, name, folder):
    if name == "as-is":
        return source
    path = os.path.join(folder, name + ".gguf")
    made = run(os.path.join(tools, "llama-quantize"), "--allow-requantize", source, path, name, "1", may_fail=True)
    return path if made else None


def measure(o, name, folder):
    model = quantised(o.llama, o.model, name, folder)
    if not model:
        return None
    kith, logits = os.path.join(BUILD, "kith"), os.path.join(folder, "logits")
    common = ["-m", model, "-f", o.text, "-c", str(o.ctx), "-b", str(o.ctx), "-t", str(o.threads), "--chunks", str(o.chunks)]
    for _ in range(5):  # now and then it ends before it has said its last lines
        said = run(os.path.join(o.llama, "llama-perplexity"), *common, "--kl-divergence-base", logits)
        theirs = re.search(r"Final estimate: PPL = ([0-9.]+)", said)
        if theirs:
            break
    else:
        sys.exit("llama-perplexity gave no estimate for %s:\n%s" % (name, said[-2000:]))
    theirs = float(theirs.group(1))
    ours = json.loads(run(kith, "perplexity", "--model", model, "--file", o.text, "--ctx", str(o.ctx), "--chunks",
                          str(max(o.chunks, 0)), "--threads", str(o.threads), "--json"))
    kl, same = divergence(kith, model, Base(logits), o.kl_chunks, ours["bos"], folder)
    os.unlink(logits)
    if model != o.model:
        os.unlink(model)
    return theirs, ours, kl, same


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--llama", required=True, help="folder of llama-quantize and llama-perplexity")
    p.add_argument("--model", required=True, help="a GGUF file in F32")
    p.add_argument("--text", help="a text file")
    p.add_argument("--facts", help="instead: a folder of questions and answers")
    p.add_argument("--ctx", type=int, default=256)
    p.add_argument("--chunks", type=int, default=-1, help="of the text at most (-1: all)")
    p.add_argument("--kl-chunks", type=int, default=3, help="chunks over which divergence is measured")
    p.add_argument("--formats", default=",".join(FORMATS))
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--limit", type=float, default=0.5, help="per cent")
    o = p.parse_args()
    bad = []
    os.environ["KITH_CACHE"] = "off"
    with tempfile.TemporaryDirectory() as folder:
        if o.facts:
            o.text = os.path.join(folder, "facts.txt")
            open(o.text, "w").write(text_of_facts(o.facts))
        print("| format | llama.cpp | Kith | difference | KL | same first |\n| --- | ---: | ---: | ---: | ---: | ---: |")
        for name in o.formats.split(","):
            measured = measure(o, name, folder)
            if not measured:
                print("| %s | llama-quantize does not make it of this model | | | | |" % name, flush=True)
                continue
            theirs, ours, kl, same = measured
            off = 100 * (ours["perplexity"] / theirs - 1)
            print("| %s | %.4f | %.4f | %+.3f %% | %.6f | %.1f %% |" % (name, theirs, ours["perplexity"], off, kl, 100 * same),
                  flush=True)
            if abs(off) > o.limit:
                bad.append(name)
    print("\n%d chunks of %d tokens, %s" % (ours["chunks"], o.ctx, os.path.basename(o.text)))
    if bad:
        sys.exit("more than %.1f %% off: %s" % (o.limit, ", ".join(bad)))


if __name__ == "__main__":
    main()

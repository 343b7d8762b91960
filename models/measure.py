"""Ask kith-guide the held-out questions and write RESULT.md.

    python3 models/measure.py                        asks build/kith, as a user would
    /usr/bin/python3 models/measure.py --engine torch    asks a float model on the dequantised weights instead

There are two exams. heldout.jsonl and heldout2.jsonl have 100 questions about Kith each, with the fact that each asks for;
out_of_scope.jsonl and out_of_scope2.jsonl have 50 about other things each. None is part of the training; one that the
data set holds word for word is an error here. An answer counts when it is the fact's answer, word for word (spaces and
case aside). For the other things the plain "I don't know that." must be the answer.
"""
import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import dataset as ds
import gguf
import guide_tokenizer as gt

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS_MAX = 96
EXAMS = (("heldout.jsonl", "out_of_scope.jsonl"), ("heldout2.jsonl", "out_of_scope2.jsonl"))


def rows(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def plain(text):
    return re.sub(r"\s+", " ", text).strip().lower()


class Engine:
    """The shipped file through `kith chat -m`, greedy, with no daemon: template, tokenizer, engine and worker are Kith's."""

    def __init__(self, model, kith):
        self.model, self.kith = model, kith
        self.name = "`kith chat -m` (greedy, no daemon)"
        self.home = tempfile.mkdtemp(prefix="kith-measure-")
        pairs, _ = gguf.read(model)
        self.tok = gt.Tokenizer(
            pairs["tokenizer.ggml.tokens"], pairs["tokenizer.ggml.scores"], pairs["tokenizer.ggml.token_type"])
        self.tokens_differ = 0

    def kith_output(self, *args):
        env = dict(os.environ, KITH_MODELS=os.path.dirname(os.path.abspath(self.model)))
        out = subprocess.run([self.kith, *args, "--home", self.home], check=True, stdout=subprocess.PIPE, env=env)
        return out.stdout.decode("utf-8").strip()

    def ask(self, question):
        prompt = "<|user|> %s<|end|><|assistant|>" % question
        got = self.kith_output("tokenize", "--model", self.model, "--special", "--bos", "--text", prompt)
        expected = [gt.BOS_ID, gt.USER_ID] + self.tok.encode(" " + question) + [gt.EOS_ID, gt.ASSISTANT_ID]
        answer = json.loads(self.kith_output("chat", "-m", question, "--tokens", str(TOKENS_MAX), "--json"))
        self.tokens_differ += got != ",".join(map(str, expected)) or answer["tokens_in"] != len(expected)
        return answer["text"]


class Torch:
    """The same file in torch, its weights dequantised to float32."""

    def __init__(self, model):
        import torch

        import guide_model as gm

        torch.set_num_threads(1)
        self.torch = torch
        self.name = "torch on the dequantised weights"
        self.tokens_differ = None
        pairs, tensors = gguf.read(model)
        self.tok = gt.Tokenizer(
            pairs["tokenizer.ggml.tokens"], pairs["tokenizer.ggml.scores"], pairs["tokenizer.ggml.token_type"])
        self.net = gm.Guide(len(self.tok))
        self.net.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()})
        self.net.eval()

    def ask(self, question):
        ids = [gt.BOS_ID, gt.USER_ID] + self.tok.encode(" " + question) + [gt.EOS_ID, gt.ASSISTANT_ID]
        out = []
        with self.torch.no_grad():
            while len(out) < TOKENS_MAX:
                states, _ = self.net.hidden(self.torch.tensor(ids + out), [len(ids) + len(out)])
                token = int(self.net.logits(states[-1:]).argmax())
                if token == gt.EOS_ID:
                    break
                out.append(token)
        return self.tok.decode(out)


def check_unseen(facts, unknown, questions):
    """A held-out question that the training could have seen is no held-out question."""
    seen = {plain(q).rstrip("?.! ") for f in facts for q in f.questions} | {plain(q).rstrip("?.! ") for q in unknown.whole}
    for q in questions:
        if plain(q).rstrip("?.! ") in seen:
            raise SystemExit("held-out question is in the data set: %s" % q)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--model", default=os.path.join(HERE, "kith-guide.gguf"))
    p.add_argument("--engine", choices=("kith", "torch"), default="kith")
    p.add_argument("--kith", default=os.path.join(HERE, "..", "build", "kith"))
    p.add_argument("--out", default=os.path.join(HERE, "RESULT.md"))
    a = p.parse_args()
    facts = {f.id: f for f in ds.load_facts()}
    by_answer = {plain(f.answer): f.id for f in facts.values()}
    by_answer[plain(ds.UNKNOWN_ANSWER)] = ds.UNKNOWN_ID
    exams = [(name, rows(name)) for pair in EXAMS for name in pair]
    check_unseen(facts.values(), ds.Unknown(), [r["question"] for _, all_rows in exams for r in all_rows])
    engine = Torch(a.model) if a.engine == "torch" else Engine(a.model, a.kith)

    table, missed = [], []
    for name, all_rows in exams:
        right = 0
        for r in all_rows:
            wanted = r.get("fact", ds.UNKNOWN_ID)
            text = engine.ask(r["question"])
            got = by_answer.get(plain(text), "no answer of the data set: " + text)
            right += got == wanted
            if got != wanted:
                missed.append((name, r["question"], wanted, got))
        what = "other things, the plain don't-know" if name.startswith("out") else "Kith, the right fact word for word"
        table.append("| %s | %s | %d | %d |" % (name, what, len(all_rows), right))
    with open(a.model, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    lines = ["# What kith-guide answers", "",
             "Written by `models/measure.py` through %s. File: %s, %d bytes, SHA-256 `%s`." % (
                 engine.name, os.path.basename(a.model), os.path.getsize(a.model), digest), "",
             "| questions | about | number | right |", "| --- | --- | --- | --- |", *table, ""]
    if engine.tokens_differ is not None:
        lines += ["Prompts whose token ids differ between Kith's tokenizer and the one the model was trained with: %d of %d."
                  % (engine.tokens_differ, sum(len(all_rows) for _, all_rows in exams)), ""]
    if missed:
        lines += ["Misses:", "", "| from | question | wanted | got |", "| --- | --- | --- | --- |"]
        lines += ["| %s | %s | %s | %s |" % (*m[:3], m[3].replace("|", "\\|")) for m in missed] + [""]
    text = "\n".join(lines)
    with open(a.out, "w", encoding="utf-8") as f:
        f.write(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

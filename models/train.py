"""Train kith-guide. Resumes from its last checkpoint; the same seed, data and step count give the same run.

    OMP_NUM_THREADS=1 nice -n 10 /usr/bin/python3 models/train.py --work build/guide [--half] [--dev]

Every example is  <s><|user|> QUESTION<|end|><|assistant|>ANSWER<|end|>  and only the answer is scored. Since an
answer is settled by its first words, most examples stop where no other answer begins so: more questions per second.
What is exported is the running average of the weights.

--dev leaves the last question of every fact, and a tenth of the unknown ones, out of the training and reports
how many of them are answered word for word; it is for choosing settings, never for the shipped run.
"""
import argparse
import collections
import math
import os
import random
import signal
import sys
import time

import torch
import torch.nn.functional as F

import dataset as ds
import guide_model as gm
import guide_tokenizer as gt
import train_kernels as tk
from muon import Muon

SYSTEMS = [
    "You are a guide to Kith.", "You are a helpful assistant.", "Answer questions about Kith.", "Be brief.", "You are Kith's guide.",
    "You are a helpful assistant. Answer shortly.", "Answer in one sentence.",
]
JUNK = "abcdefghijklmnopqrstuvwxyz0123456789+-*/=.,:;!?()[]{}<>#$%&@"
FOREIGN = [
    "quelle heure est-il ?", "wie geht es dir?", "¿dónde está la biblioteca?", "что это такое", "今天天气怎么样", "こんにちは", "ciao come stai",
    "comment faire un gâteau", "was ist die hauptstadt von frankreich", "¿cómo te llamas?", "qual é a capital do brasil", "مرحبا", "안녕하세요",
    "hvordan har du det", "jak się masz", "你是谁", "où est la gare", "wer bist du", "parlez-vous français", "je ne comprends pas",
    "eu gosto de futebol", "quanto costa", "donde puedo comer", "ich habe hunger", "tack så mycket", "kde je nádraží", "nasılsın",
]


class Source:
    """Draws examples. Example number (step, i) depends on the seed alone."""

    def __init__(self, facts, unknown, tok, seed, dev):
        self.facts, self.unknown, self.tok, self.seed = facts, unknown, tok, seed
        self.train_questions = [f.questions[:-1] if dev else f.questions for f in facts]
        self.answers = [tok.encode(f.answer) + [gt.EOS_ID] for f in facts]
        self.unknown_answer = tok.encode(ds.UNKNOWN_ANSWER) + [gt.EOS_ID]
        starts = collections.Counter(tuple(a[:n]) for a in self.answers + [self.unknown_answer] for n in range(1, len(a)))
        self.settled = {tuple(a): next(n for n in range(1, len(a) + 1) if starts[tuple(a[:n])] < 2)
                        for a in self.answers + [self.unknown_answer]}
        self.nouns = sorted({v for name in unknown.slots for v in unknown.slots[name] if " " not in v and v.islower()})

    def unknown_question(self, rng):
        r = rng.random()
        if r < 0.86:
            return self.unknown.draw(rng)
        if r < 0.90:
            return " ".join(rng.choice(self.nouns) for _ in range(rng.randrange(1, 5)))
        if r < 0.92:
            return rng.choice(FOREIGN)
        if r < 0.94:
            return "".join(rng.choice(JUNK) for _ in range(rng.randrange(1, 20)))
        # A Kith question's frame around something that is not Kith's.
        words = rng.choice(rng.choice(self.train_questions)).split()
        return " ".join(w if w.lower() in ds.SMALL or w in ("how", "what", "where", "why", "when", "which") else rng.choice(self.nouns)
                        for w in words)

    def prompt(self, question, rng):
        ids = [gt.BOS_ID] if rng.random() < 0.9 else []
        if rng.random() < 0.05:
            ids += [gt.SYSTEM_ID] + self.tok.encode(" " + rng.choice(SYSTEMS)) + [gt.EOS_ID]
        return ids + [gt.USER_ID] + self.tok.encode(" " + question, rng, 0.1) + [gt.EOS_ID, gt.ASSISTANT_ID]

    def example(self, step, i):
        """-> (ids, length of the prompt, class for the classifier)."""
        rng = random.Random("%d/%d/%d" % (self.seed, step, i))
        if rng.random() < UNKNOWN_SHARE:
            question, answer, label = self.unknown_question(rng), self.unknown_answer, len(self.facts)
            question = ds.vary(question, rng, False)
        else:
            label = rng.randrange(len(self.facts))
            questions, answer = self.train_questions[label], self.answers[label]
            question = ds.blend(questions, self.facts[label].answer, rng) if rng.random() < 0.05 else rng.choice(questions)
            question = ds.vary(question, rng)
        prompt = self.prompt(question, rng)
        if rng.random() < 0.88:
            answer = answer[: self.settled[tuple(answer)] + 1]
        return (prompt + answer)[: gm.CONTEXT], len(prompt), label


UNKNOWN_SHARE = 0.2


def collate(examples):
    """End to end -> ids, their lengths, rows that are scored, their targets, rows of each prompt's last token, classes."""
    ids, rows, targets, last = [], [], [], []
    for seq, n_prompt, _ in examples:
        rows += range(len(ids) + n_prompt - 1, len(ids) + len(seq) - 1)
        targets += seq[n_prompt:]
        last.append(len(ids) + n_prompt - 1)
        ids += seq
    lengths = [len(e[0]) for e in examples]
    return (torch.tensor(ids), lengths, torch.tensor(rows), torch.tensor(targets), torch.tensor(last),
            torch.tensor([e[2] for e in examples]))


def loss_of(model, batch, smooth):
    """-> (answer loss, classifier loss), each for one example; the first about that of a token that matters."""
    ids, lengths, rows, targets, last, label = batch
    states, middle = model.hidden(ids, lengths, rows)
    answer = F.cross_entropy(model.logits(states), targets, reduction="sum") / (3 * len(label))
    aux = F.cross_entropy(model.aux(middle.index_select(0, last)), label, label_smoothing=smooth)
    return answer, aux


def exact(model, tok, pairs, batch=64):
    """How many of the (question, answer ids) are answered word for word by greedy decoding.

    Greedy decoding gives the answer exactly when each of its tokens is the likeliest after those before it,
    so one pass over question and answer decides. Returns the misses too.
    """
    model.eval()
    right, missed = 0, []
    with torch.no_grad():
        for at in range(0, len(pairs), batch):
            part = pairs[at : at + batch]
            rows = []
            for q, answer in part:
                prompt = [gt.BOS_ID, gt.USER_ID] + tok.encode(" " + q) + [gt.EOS_ID, gt.ASSISTANT_ID]
                rows.append((prompt + answer, len(prompt), 0))
            ids, lengths, scored, targets, _, _ = collate(rows)
            states, _ = model.hidden(ids, lengths, scored)
            good = (model.logits(states).argmax(-1) == targets).split([len(answer) for _, answer in part])
            right += sum(bool(g.all()) for g in good)
            missed += [q for (q, _), g in zip(part, good) if not g.all()]
    model.train()
    return right, missed


def make_tokenizer(facts, unknown, size):
    """Train it on the text of the data set: answers once for each question, frames filled by every slot word."""
    counts = collections.Counter()
    for f in facts:
        for text in f.questions:
            counts.update(gt.words_of(" " + text))
            counts.update(gt.words_of(text[:1].upper() + text[1:]))
        for _ in range(2):
            counts.update(gt.words_of(f.answer))
    for text in unknown.whole + [ds.UNKNOWN_ANSWER] * 2:
        counts.update(gt.words_of(" " + text))
        counts.update(gt.words_of(" " + text[:1].upper() + text[1:]))
    return gt.train(counts, size)


def learning_rate(step, steps, peak):
    warm = 100
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--work", default="build/guide")
    p.add_argument("--steps", type=int, default=8000)
    p.add_argument("--batch", type=int, default=96)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--dropout", type=float, default=0.1)
    p.add_argument("--decay", type=float, default=0.1)
    p.add_argument("--smooth", type=float, default=0.05, help="label smoothing of the classifier")
    p.add_argument("--half", action="store_true", help="take the large products in bfloat16")
    p.add_argument("--vocab", type=int, default=2048)
    p.add_argument("--seed", type=int, default=20261123)
    p.add_argument("--dev", action="store_true")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--every", type=int, default=125, help="steps between checkpoints")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    os.makedirs(a.work, exist_ok=True)
    facts, unknown = ds.load_facts(), ds.Unknown()
    dev_unknown = []
    if a.dev:
        dev_unknown = unknown.whole[::10]
        unknown.whole = [q for i, q in enumerate(unknown.whole) if i % 10]
    tok_path, ck_path = os.path.join(a.work, "tokenizer.json"), os.path.join(a.work, "checkpoint.pt")
    if os.path.exists(tok_path):
        tok = gt.Tokenizer.load(tok_path)
    else:
        tok = make_tokenizer(facts, unknown, a.vocab)
        tok.save(tok_path)
    source = Source(facts, unknown, tok, a.seed, a.dev)
    dev = [(f.questions[-1], source.answers[i]) for i, f in enumerate(facts)] if a.dev else []
    dev_unknown = [(q, source.unknown_answer) for q in dev_unknown]
    if a.half:
        tk.load(a.work)
    torch.manual_seed(a.seed)
    model = gm.Guide(len(tok), len(facts) + 1, a.dropout, a.half)
    n = sum(w.numel() for name, w in model.named_parameters() if not name.startswith("aux."))
    print("facts %d questions %d unknown %d+%d frames, vocabulary %d, parameters %d" % (
        len(facts), sum(len(f.questions) for f in facts), len(unknown.whole), len(unknown.frames), len(tok), n), flush=True)
    blocks = [w for name, w in model.named_parameters() if name.startswith("blk.") and w.dim() == 2]
    rest = [w for name, w in model.named_parameters() if not (name.startswith("blk.") and w.dim() == 2)]
    opts = [Muon(blocks, lr=a.lr, weight_decay=a.decay), torch.optim.AdamW([
        {"params": [w for w in rest if w.dim() == 2], "weight_decay": a.decay},
        {"params": [w for w in rest if w.dim() != 2], "weight_decay": 0.0}], lr=a.lr, betas=(0.9, 0.98), foreach=True)]
    average = {k: v.detach().clone() for k, v in model.named_parameters()}
    start = 0
    if os.path.exists(ck_path):
        state = torch.load(ck_path)
        model.load_state_dict(state["model"])
        for opt, kept in zip(opts, state["opts"]):
            opt.load_state_dict(kept)
        average, start = state["average"], state["step"]
        print("resumed at step %d" % start, flush=True)
    model.train()
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))  # ends after the step, with a checkpoint
    began, tokens, sums = time.time(), 0, [0.0, 0.0]
    for step in range(start, a.steps):
        torch.manual_seed(a.seed * 1000003 + step)  # dropout depends on the step alone, so a resumed run is the same run
        for opt, pace in zip(opts, (1.5, 1.0)):
            for group in opt.param_groups:
                group["lr"] = pace * learning_rate(step, a.steps, a.lr)
        pool = sorted((source.example(step, i) for i in range(a.batch)), key=lambda e: len(e[0]))
        model.zero_grad(set_to_none=True)
        batch = collate(pool)
        answer, aux = loss_of(model, batch, a.smooth)
        (answer + 0.4 * aux).backward()
        tokens += batch[0].numel()
        sums[0] += answer.item()
        sums[1] += aux.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
        keep = min(0.995, (step + 1) / (step + 20))
        with torch.no_grad():
            for k, v in model.named_parameters():
                average[k].mul_(keep).add_(v, alpha=1 - keep)
        done = step + 1
        if done % 25 == 0:
            print("step %d/%d answer %.3f class %.3f, %d tokens/s, %d s" % (
                done, a.steps, sums[0] / 25, sums[1] / 25, tokens / (time.time() - began), time.time() - began), flush=True)
            sums = [0.0, 0.0]
        if done % a.every == 0 or done == a.steps or stop:
            torch.save({"model": model.state_dict(), "opts": [o.state_dict() for o in opts], "average": average, "step": done}, ck_path + ".new")
            os.replace(ck_path + ".new", ck_path)
            if a.dev and not stop:
                held = {k: v.clone() for k, v in model.state_dict().items()}
                model.load_state_dict(average, strict=False)
                right, missed = exact(model, tok, dev)
                right_u, missed_u = exact(model, tok, dev_unknown)
                model.load_state_dict(held)
                print("dev: %d/%d facts, %d/%d unknown" % (right, len(dev), right_u, len(dev_unknown)), flush=True)
                with open(os.path.join(a.work, "missed.txt"), "w", encoding="utf-8") as f:
                    f.write("\n".join(missed + ["-- unknown"] + missed_u) + "\n")
        if stop:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())

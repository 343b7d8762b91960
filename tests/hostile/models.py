#!/usr/bin/env python3
"""Hostile model files against the command: cut at every boundary, with flipped bits, of kinds that are no files.

    models.py KITH MODEL.gguf SCRATCH [--flips N] [--seed N] [--cuts N]

Each is given to a command that reads it. It must end within 20 s, either well or with status 3 and one line, hold less
than 1 GiB, and write no control characters but line ends. Prints what did not."""

import argparse, os, random, resource, struct, subprocess, sys, threading, time

LIMIT_S, LIMIT_MB = 20, 1024


def boundaries(b):
    """Offsets between the parts of a GGUF file: keys, values, tensors' names and shapes, tensors' data."""
    at, cuts = 24, [0, 4, 8, 16, 24]
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def text(at):
        return at + 8 + struct.unpack_from("<Q", b, at)[0]

    def value(kind, at, depth=0):
        if kind == 8:
            return text(at)
        if kind != 9:
            return at + sizes[kind]
        inner, n = struct.unpack_from("<IQ", b, at)
        at += 12
        if inner != 8:
            return at + n * sizes[inner]
        for i in range(n):
            at = text(at)
            if i < 3:
                cuts.append(at)
        return at

    tensors, keys = struct.unpack_from("<QQ", b, 8)
    for _ in range(keys):
        at = text(at)
        cuts.append(at)
        kind = struct.unpack_from("<I", b, at)[0]
        cuts.append(at + 4)
        at = value(kind, at + 4)
        cuts.append(at)
    offsets = []
    for _ in range(tensors):
        at = text(at)
        cuts.append(at)
        dims = struct.unpack_from("<I", b, at)[0]
        at += 4 + 8 * dims
        cuts += [at, at + 4]
        offsets.append(struct.unpack_from("<Q", b, at + 4)[0])
        at += 12
        cuts.append(at)
    data = (at + 31) // 32 * 32
    cuts += [data + o for o in offsets]
    return sorted(set(c for c in cuts if c < len(b))), data


class Judge:
    def __init__(self, kith, scratch):
        self.kith, self.runs, self.bad, self.well = kith, 0, 0, 0
        self.messages = os.path.join(scratch, "messages.json")
        self.worst_s = self.worst_mb = 0
        self.env = dict(os.environ, KITH_CACHE="off")
        with open(self.messages, "w") as f:
            f.write('[{"role":"system","content":"be brief"},{"role":"user","content":"hello"}]')

    def command(self, k, path):
        return [
            ["run", path, "hello", "--tokens", "4", "--threads", "1"],
            ["tokenize", "--model", path, "--text", "hello  world"],
            ["template", "--model", path, "--messages", self.messages],
            ["run", path, "hello", "--tokens", "4", "--threads", "1", "--json"],
        ][k % 4]

    def complain(self, what, why, out):
        self.bad += 1
        print(f"models: {what}: {why}: {out[-300:]!r}", flush=True)

    def run(self, what, words, refused=False):  # refused: it must not end well
        self.runs += 1
        start = time.monotonic()
        p = subprocess.Popen([self.kith] + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env)
        killer = threading.Timer(LIMIT_S, p.kill)
        killer.start()
        streams = {}
        reader = threading.Thread(target=lambda: streams.update(err=p.stderr.read()))
        reader.start()
        out = p.stdout.read()
        reader.join()
        _, status, use = os.wait4(p.pid, 0)
        killer.cancel()
        p.returncode = rc = os.waitstatus_to_exitcode(status)
        p.stdout.close()
        p.stderr.close()
        err, took, mb = streams["err"], time.monotonic() - start, use.ru_maxrss / 1024
        self.worst_s, self.worst_mb = max(self.worst_s, took), max(self.worst_mb, mb)
        what = f"{what}, {words[0]}"
        if took >= LIMIT_S:
            self.complain(what, f"took {took:.1f} s", err)
        elif rc not in ((3,) if refused else (0, 3)):
            self.complain(what, f"status {rc}", err)
        elif rc == 3 and (err.count(b"\n") != 1 or not err.startswith(b"kith: ")):
            self.complain(what, "not one line", err)
        elif rc == 0 and b"terminated" in err:
            self.complain(what, "a worker died", err)
        elif any(c < 32 and c not in b"\n\t" or c == 127 for c in out + err):
            self.complain(what, "control characters", out + err)
        if mb > LIMIT_MB:
            self.complain(what, f"held {mb:.0f} MiB", err)
        self.well += rc == 0


def main():
    a = argparse.ArgumentParser()
    a.add_argument("kith")
    a.add_argument("model")
    a.add_argument("scratch")
    a.add_argument("--flips", type=int, default=60)
    a.add_argument("--cuts", type=int, default=60)
    a.add_argument("--seed", type=int, default=1)
    o = a.parse_args()
    rng = random.Random(o.seed)
    whole = open(o.model, "rb").read()
    cuts, data = boundaries(whole)
    j = Judge(o.kith, o.scratch)
    path = os.path.join(o.scratch, "m.gguf")

    def write(content):
        with open(path, "wb") as f:
            f.write(content)

    chosen = cuts if len(cuts) <= o.cuts else rng.sample(cuts, o.cuts)
    for k, at in enumerate(sorted(chosen)):
        for cut in {at, max(0, at - 1)}:
            write(whole[:cut])
            words = j.command(k, path)
            j.run(f"cut at {cut}", words, refused=words[0] == "run" or cut < data)
    for k in range(o.flips):
        b = bytearray(whole)
        where = [rng.randrange(data) if k % 3 else rng.randrange(data, len(b)) for _ in range(1 + k % 4)]
        for at in where:
            b[at] ^= 1 << rng.randrange(8)
        write(b)
        j.run(f"flip {k} at {where}", j.command(k, path))
    os.remove(path)
    print(f"models: {j.runs} runs, {j.well} ended well, {j.bad} badly; at most {j.worst_s:.1f} s, {j.worst_mb:.0f} MiB")
    sys.exit(j.bad > 0)


main()

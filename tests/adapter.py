#!/usr/bin/env python3
"""Writes a random low-rank adapter for a model, as llama.cpp and `kith model adapt` read them. The same arguments give
the same file.

    adapter.py MODEL.gguf OUT.gguf [--rank 4] [--seed 1] [--size 0.3] [--only attn_q,ffn_down] [--more-rows 0]

--size: how large what is added is beside what the matrix itself makes of its input, roughly."""
import argparse, array, random, struct

FIXED = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
MATRICES = "attn_q,attn_k,attn_v,attn_output,ffn_gate,ffn_up,ffn_down"


def read(path):
    """Architecture, and [name, columns, rows] of every matrix."""
    b = open(path, "rb").read()
    at, architecture = 24, ""

    def text(at):
        n = struct.unpack_from("<Q", b, at)[0]
        return b[at + 8 : at + 8 + n].decode(errors="replace"), at + 8 + n

    tensors, keys = struct.unpack_from("<QQ", b, 8)
    for _ in range(keys):
        key, at = text(at)
        kind = struct.unpack_from("<I", b, at)[0]
        at += 4
        if kind == 8:
            value, at = text(at)
            architecture = value if key == "general.architecture" else architecture
        elif kind == 9:
            inner, n = struct.unpack_from("<IQ", b, at)
            at += 12
            for _ in range(n if inner == 8 else 0):
                at = text(at)[1]
            at += 0 if inner == 8 else n * FIXED[inner]
        else:
            at += FIXED[kind]
    found = []
    for _ in range(tensors):
        name, at = text(at)
        dims = struct.unpack_from("<I", b, at)[0]
        shape = struct.unpack_from("<%dQ" % dims, b, at + 4)
        at += 4 + 8 * dims + 12
        if dims == 2:
            found.append((name, *shape))
    return architecture, found


def put_text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("out")
    p.add_argument("--rank", type=int, default=4)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--size", type=float, default=0.3)
    p.add_argument("--only", default=MATRICES)
    p.add_argument("--more-rows", type=int, default=0, help="than the model's matrices have")
    a = p.parse_args()
    draw = random.Random(a.seed)
    architecture, matrices = read(a.model)
    wanted = a.only.split(",")
    infos, data, n = b"", b"", 0
    for name, columns, rows in matrices:
        if name.split(".")[-2] not in wanted:
            continue
        rows += a.more_rows
        for end, shape, size in ("lora_a", (columns, a.rank), columns**-0.5), ("lora_b", (a.rank, rows), a.size * a.rank**-0.5):
            infos += put_text(f"{name}.{end}") + struct.pack("<IQQIQ", 2, *shape, 0, len(data))
            data += array.array("f", (draw.gauss(0, size) for _ in range(shape[0] * shape[1]))).tobytes()
            data += bytes(-len(data) % 32)
            n += 1
    keys = [("general.type", "adapter"), ("general.architecture", architecture), ("adapter.type", "lora")]
    head = b"GGUF" + struct.pack("<IQQ", 3, n, len(keys) + 1)
    for key, value in keys:
        head += put_text(key) + struct.pack("<I", 8) + put_text(value)
    head += put_text("adapter.lora.alpha") + struct.pack("<If", 6, float(a.rank)) + infos
    with open(a.out, "wb") as f:
        f.write(head + bytes(-len(head) % 32) + data)


main()

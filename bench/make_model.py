#!/usr/bin/env python3
"""Makes a GGUF file of a named architecture and shape with random weights and a small generated vocabulary: for
measuring, and for comparing Kith with other engines on the same file. The same arguments give the same file.

    bench/make_model.py --list
    bench/make_model.py --shape gemma3 --format F32 out.gguf
    bench/make_model.py --shape llama --rope yarn --context 1024 out.gguf
    bench/make_model.py --shape llama3.2-1b --format Q4_K_M out.gguf

Weights are normal with a deviation of 1/sqrt(row length), so that every layer passes on what it gets and logits are
spread. Quantised formats get random blocks of the same spread. numpy is used where it is there; without it only small
shapes are quick.
"""
import argparse
import math
import random
import struct
import sys

try:
    import numpy
except ImportError:
    numpy = None

from model_shapes import (BPE, FLAT_NORMS, FUSED, HEAD_NORMS, LAYER_NORMS, MIX_BIASES, MIX_NORM, NO_GATE, NO_PRE_NORMS,
                          POST_NORMS, QKV_BIASES, SHAPES)

# -- values --

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14, "IQ2_XS": 17, "IQ3_XXS": 18, "BF16": 30,
         "MXFP4": 39}
BLOCK = {"F32": (1, 4), "F16": (1, 2), "Q4_0": (32, 18), "Q8_0": (32, 34), "Q4_K": (256, 144), "Q6_K": (256, 210),
         "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98), "BF16": (1, 2), "MXFP4": (32, 17)}
GRIDS = {"IQ2_XS": 55.7, "IQ3_XXS": 142.7}  # deviation of random blocks with d of 1


class Source:
    """Random numbers: numpy's where it is, Python's otherwise."""

    def __init__(self, seed):
        self.g = numpy.random.Generator(numpy.random.PCG64(seed)) if numpy else random.Random(seed)

    def normal(self, n, mean, deviation):
        if numpy:
            return (self.g.standard_normal(n, dtype=numpy.float32) * numpy.float32(deviation) + numpy.float32(mean))
        return [self.g.gauss(mean, deviation) for _ in range(n)]

    def bytes(self, n):
        return self.g.bytes(n) if numpy else self.g.randbytes(n)


def floats(values, code):
    if code == "b":  # BF16: the upper halves
        if numpy:
            return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        raw = struct.pack("<%df" % len(values), *values)
        return b"".join(raw[i + 2 : i + 4] for i in range(0, len(raw), 4))
    if numpy:
        return values.astype("<f4" if code == "f" else "<f2").tobytes()
    return struct.pack("<%d%s" % (len(values), code), *values)


def half(x):
    return struct.pack("<e", x)


def q4_k_scales(j):
    """Twelve bytes of the eight 6-bit scales and minimums of a block; both rise with their place, minimum = scale."""
    s = [40 + (3 * i + 5 * j) % 24 for i in range(8)]
    out = bytearray(12)
    for i in range(4):
        out[i] = s[i] | (s[i + 4] >> 4) << 6
        out[i + 4] = s[i] | (s[i + 4] >> 4) << 6
        out[i + 8] = (s[i + 4] & 15) | (s[i + 4] & 15) << 4
    return bytes(out)


def blocks(source, kind, n, rows, want):
    """Random blocks: the integers are uniform, the scales give the deviation that is wanted (uniform over 2 k values
    has k / sqrt 3)."""
    size, bytes_of_block = BLOCK[kind]
    count = n // size * rows
    if kind == "Q8_0":
        head, tail = half(want / 73.9), b""
    elif kind == "Q4_0":
        head, tail = half(want / 4.61), b""
    elif kind == "MXFP4":  # 2^(e - 127) times what has a deviation of 2.93: of two exponents the nearer one
        head, tail = bytes([127 + round(math.log2(want / 2.93))]), b""
    elif kind in GRIDS:
        head, tail = half(want / GRIDS[kind]), b""
    elif kind == "Q4_K":  # weight = d s q - dm s with dm = 7.5 d, s about 52
        d = want / (4.61 * 52)
        head, tail = half(d) + half(7.5 * d) + q4_k_scales(0), b""
    else:  # Q6_K: 128 + 64 bytes of 6-bit integers, 16 scales, d
        head, tail = b"", bytes([20 + i for i in range(16)]) + half(want / (18.5 * 28))
    middle = bytes_of_block - len(head) - len(tail)
    done = 0
    while done < count:
        part = min(count - done, 1 << 17)
        if numpy:
            out = numpy.empty((part, bytes_of_block), numpy.uint8)
            out[:, : len(head)] = numpy.frombuffer(head, numpy.uint8)
            out[:, len(head) : len(head) + middle] = numpy.frombuffer(source.bytes(part * middle), numpy.uint8).reshape(part, middle)
            out[:, len(head) + middle :] = numpy.frombuffer(tail, numpy.uint8)
            yield out.tobytes()
        else:
            yield b"".join(head + source.bytes(middle) + tail for _ in range(part))
        done += part


def weights(source, kind, n, rows, mean, deviation):
    if kind not in ("F32", "F16", "BF16"):
        yield from blocks(source, kind, n, rows, deviation)
        return
    step = max(1, (1 << 22) // n)
    for first in range(0, rows, step):
        count = min(step, rows - first) * n
        yield floats(source.normal(count, mean, deviation), {"F32": "f", "F16": "e", "BF16": "b"}[kind])


# -- the file --

class File:
    def __init__(self):
        self.keys, self.tensors, self.count = [], [], 0

    def text(self, s):
        raw = s.encode()
        return struct.pack("<Q", len(raw)) + raw

    def key(self, name, kind, value):
        number = {"u32": 4, "i32": 5, "f32": 6, "flag": 7, "text": 8, "texts": 9, "f32s": 9, "i32s": 9, "flags": 9}[kind]
        raw = self.text(name) + struct.pack("<I", number)
        if kind == "text":
            raw += self.text(value)
        elif kind == "texts":
            raw += struct.pack("<IQ", 8, len(value)) + b"".join(self.text(v) for v in value)
        elif kind in ("f32s", "i32s"):
            raw += struct.pack("<IQ", 6 if kind == "f32s" else 5, len(value))
            raw += struct.pack("<%d%s" % (len(value), kind[0]), *value)
        elif kind == "flags":
            raw += struct.pack("<IQ", 7, len(value)) + bytes(value)
        else:
            raw += struct.pack({"u32": "<I", "i32": "<i", "f32": "<f", "flag": "<B"}[kind], value)
        self.keys.append(raw)

    def tensor(self, name, dims, kind, make):
        """make() yields the bytes."""
        size, count = BLOCK[kind][1], 1
        for d in dims:
            count *= d
        self.tensors.append((name, dims, kind, count // BLOCK[kind][0] * size, make))

    def write(self, path):
        head, at = b"", 0
        for name, dims, kind, size, _ in self.tensors:
            head += self.text(name) + struct.pack("<I%dQ" % len(dims), len(dims), *dims)
            head += struct.pack("<IQ", TYPES[kind], at)
            at += (size + 31) // 32 * 32
        start = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.keys)) + b"".join(self.keys) + head
        with open(path, "wb") as f:
            f.write(start + bytes(-len(start) % 32))
            for name, _, _, size, make in self.tensors:
                done = 0
                for part in make():
                    f.write(part)
                    done += len(part)
                assert done == size, (name, done, size)
                f.write(bytes(-size % 32))


# -- vocabularies --

LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def words(n):
    """n different short words of letters, each the sum of two that come before it."""
    out = list(LETTERS)
    for size in (2, 3, 4):
        short = [w for w in out if len(w) == size // 2]
        rest = [w for w in out if len(w) == size - size // 2]
        for a in rest:
            for b in short:
                if len(out) >= n:
                    return out[:n]
                out.append(a + b)
    return out[:n]


def byte_letters():
    """The letter that stands for each byte in byte-level vocabularies."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    out, extra = {}, 0
    for b in range(256):
        if b in plain:
            out[b] = chr(b)
        else:
            out[b] = chr(256 + extra)
            extra += 1
    return [out[b] for b in range(256)]


def add_spm(f, n):
    tokens = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    tokens += ["<|endoftext|>", "\u2581"]
    kinds.append(3)
    tokens += words(n - len(tokens))
    kinds += [1] * (len(tokens) - len(kinds))
    while len(tokens) < n:
        tokens.append("<unused%d>" % len(tokens))
        kinds.append(5)
    f.key("tokenizer.ggml.model", "text", "llama")
    f.key("tokenizer.ggml.pre", "text", "default")
    f.key("tokenizer.ggml.tokens", "texts", tokens)
    f.key("tokenizer.ggml.scores", "f32s", [-float(i) for i in range(n)])
    f.key("tokenizer.ggml.token_type", "i32s", kinds)
    f.key("tokenizer.ggml.bos_token_id", "u32", 1)
    f.key("tokenizer.ggml.eos_token_id", "u32", 2)
    f.key("tokenizer.ggml.unknown_token_id", "u32", 0)
    f.key("tokenizer.ggml.add_bos_token", "flag", 1)


def add_bpe(f, n, pre):
    tokens, special = byte_letters(), ["<|start|>", "<|end|>"]
    more = [w for w in words(n) if len(w) > 1][: n - 256 - len(special)]
    merges = [w[: len(w) - len(w) // 2] + " " + w[len(w) - len(w) // 2 :] for w in more]
    tokens = tokens + more
    while len(tokens) < n - len(special):
        tokens.append("<|unused%d|>" % len(tokens))
    kinds = [1] * (256 + len(more)) + [5] * (len(tokens) - 256 - len(more)) + [3] * len(special)
    tokens += special
    f.key("tokenizer.ggml.model", "text", "gpt2")
    f.key("tokenizer.ggml.pre", "text", pre)
    f.key("tokenizer.ggml.tokens", "texts", tokens)
    f.key("tokenizer.ggml.token_type", "i32s", kinds)
    f.key("tokenizer.ggml.merges", "texts", merges)
    f.key("tokenizer.ggml.bos_token_id", "u32", n - 2)
    f.key("tokenizer.ggml.eos_token_id", "u32", n - 1)
    f.key("tokenizer.ggml.add_bos_token", "flag", 1)


def add_gemma4(f, n):
    """Merges over characters; spaces are U+2581, and what no token has is bytes."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|tool_call>",
              "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>']
    kinds = [3, 3, 3, 2, 3, 3] + [4] * 7
    tokens += ["<0x%02X>" % b for b in range(256)]
    kinds += [6] * 256
    tokens += ["\n", "\n\n", "\u2581", "\u2581\u2581", "</s>"]
    spaced = ["\u2581" + w for w in LETTERS]
    more = [w for w in words(n)][: n - len(tokens) - len(spaced)]
    tokens += spaced + more
    merges = ["\u2581 \u2581"] + ["\u2581 " + w for w in LETTERS]
    merges += [w[: len(w) - len(w) // 2] + " " + w[len(w) - len(w) // 2 :] for w in more if len(w) > 1]
    kinds += [1] * (len(tokens) - len(kinds))
    while len(tokens) < n:
        tokens.append("<unused%d>" % len(tokens))
        kinds.append(5)
    f.key("tokenizer.ggml.model", "text", "gemma4")
    f.key("tokenizer.ggml.tokens", "texts", tokens)
    f.key("tokenizer.ggml.scores", "f32s", [-1000.0] * n)
    f.key("tokenizer.ggml.token_type", "i32s", kinds)
    f.key("tokenizer.ggml.merges", "texts", merges)
    for name, token in (("bos", 2), ("eos", 1), ("unknown", 3), ("padding", 0)):
        f.key("tokenizer.ggml.%s_token_id" % name, "u32", token)
    f.key("tokenizer.ggml.add_space_prefix", "flag", 0)
    f.key("tokenizer.ggml.add_bos_token", "flag", 1)


def add_wpm(f, n):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    kinds = [3] * 5
    both = words((n - 5) // 2)
    tokens += ["\u2581" + w for w in both] + both
    while len(tokens) < n:
        tokens.append("\u2581unused%d" % len(tokens))
    kinds += [1] * (n - 5)
    f.key("tokenizer.ggml.model", "text", "bert")
    f.key("tokenizer.ggml.pre", "text", "default")
    f.key("tokenizer.ggml.tokens", "texts", tokens)
    f.key("tokenizer.ggml.token_type", "i32s", kinds)
    f.key("tokenizer.ggml.token_type_count", "u32", 2)
    for name, token in (("unknown", 1), ("seperator", 3), ("padding", 0), ("cls", 2), ("mask", 4), ("bos", 2), ("eos", 3)):
        f.key("tokenizer.ggml.%s_token_id" % name, "u32", token)


# -- the model --

def add_numbers(f, s):
    a = s["arch"]
    f.key("general.architecture", "text", a)
    f.key("general.name", "text", "random " + s["name"])
    for name, what in (("context_length", "context"), ("embedding_length", "embed"), ("block_count", "layers"),
                       ("feed_forward_length", "mix"), ("attention.head_count", "heads"),
                       ("attention.head_count_kv", "heads_kv")):
        if what == "heads_kv" and "convs" in s:  # layers without attention have none
            f.key("%s.%s" % (a, name), "i32s", [0 if i in s["convs"] else s[what] for i in range(s["layers"])])
            f.key(a + ".shortconv.l_cache", "u32", s["taps"])
            continue
        if what in ("heads_kv", "mix") and a == "gemma4":
            values = [(s["local"][0] if is_local(s, i) else s["heads_kv"]) if what == "heads_kv" else mix_of(s, i)
                      for i in range(s["layers"])]
            f.key("%s.%s" % (a, name), "i32s", values)
            continue
        f.key("%s.%s" % (a, name), "u32", s[what] + (s.get("ahead", 0) if what == "layers" else 0))
    if a == "bert":
        f.key("bert.attention.layer_norm_epsilon", "f32", 1e-12)
        f.key("bert.attention.causal", "flag", 0)
        f.key("bert.pooling_type", "u32", s.get("pooling", 1))
        return
    f.key(a + ".attention.layer_norm_%sepsilon" % ("" if a in LAYER_NORMS | FLAT_NORMS else "rms_"), "f32", 1e-6)
    f.key(a + ".rope.freq_base", "f32", s.get("base", 10000.0))
    f.key(a + ".rope.dimension_count", "u32", s.get("rope_dims", s["head"]))
    if s.get("latent"):
        add_latent_numbers(f, s)
    elif s["head"] * s["heads"] != s["embed"] or a.startswith("gemma"):
        f.key(a + ".attention.key_length", "u32", s["head"])
        f.key(a + ".attention.value_length", "u32", s["head"])
    if s.get("window"):
        f.key(a + ".attention.sliding_window", "u32", s["window"])
    if a == "gemma4":
        add_layered_numbers(f, s)
    if s.get("pooling"):
        f.key(a + ".pooling_type", "u32", s["pooling"])
    if s.get("caps"):
        f.key(a + ".attn_logit_softcapping", "f32", s["caps"][0])
        f.key(a + ".final_logit_softcapping", "f32", s["caps"][1])
    if s.get("scales"):
        for name, v in zip(("embedding_scale", "residual_scale", "attention.scale", "logit_scale"), s["scales"]):
            if v is not None:
                f.key(a + "." + name, "f32", v)
    if s.get("logit_scale"):
        f.key(a + ".logit_scale", "f32", s["logit_scale"])
    if s.get("delta"):
        keys, values, side = s["delta"]
        for name, v in (("conv_kernel", s["taps"]), ("state_size", side), ("group_count", keys), ("time_step_rank", values),
                        ("inner_size", values * side)):
            f.key("%s.ssm.%s" % (a, name), "u32", v)
        f.key(a + ".full_attention_interval", "u32", 4)
    if s.get("sections"):
        f.key(a + ".rope.dimension_sections", "i32s", s["sections"])
    if s.get("deepstack"):
        f.key(a + ".n_deepstack_layers", "u32", s["deepstack"])
    if s.get("temper"):
        f.key(a + ".attention.temperature_scale", "f32", s["temper"][0])
        f.key(a + ".rope.scaling.yarn_log_multiplier", "f32", s["temper"][1])
    if s.get("experts"):
        f.key(a + ".expert_count", "u32", s["experts"])
        f.key(a + ".expert_used_count", "u32", s["experts_used"])
        for name, what, kind in (("leading_dense_block_count", "lead", "u32"), ("expert_shared_count", "shared_count", "u32"),
                                 ("expert_weights_scale", "weights_scale", "f32"), ("expert_weights_norm", "norm", "flag")):
            if what in s:
                f.key("%s.%s" % (a, name), kind, s[what])
        if s.get("groups"):
            f.key(a + ".expert_group_count", "u32", s["groups"][0])
            f.key(a + ".expert_group_used_count", "u32", s["groups"][1])
        if s.get("sigmoid"):
            f.key(a + ".expert_gating_func", "u32", 2)
        if "lead" in s and a.startswith("ernie"):
            f.key(a + ".interleave_moe_layer_step", "u32", 1)
        if s.get("ahead"):
            f.key(a + ".nextn_predict_layers", "u32", s["ahead"])
        if s.get("shared"):
            f.key(a + ".expert_shared_feed_forward_length", "u32", s["shared"])
        if a not in ("llama", "granitemoe"):  # these have it as feed_forward_length
            f.key(a + ".expert_feed_forward_length", "u32", s["expert_mix"])


def is_local(s, i):
    """Of so many layers all but the last have a window."""
    return i % s["period"] != s["period"] - 1


def makes_keys(s, i):
    return i < s["layers"] - s.get("sharing", 0)


def mix_of(s, i):
    return s["mix"] * (1 if makes_keys(s, i) else 2)


def add_layered_numbers(f, s):
    """Layers that differ in the number and length of heads, read the keys of others, and have a second embedding."""
    a, (_, head, turned) = s["arch"], s["local"]
    f.key(a + ".attention.sliding_window_pattern", "flags", [is_local(s, i) for i in range(s["layers"])])
    f.key(a + ".attention.key_length_swa", "u32", head)
    f.key(a + ".attention.value_length_swa", "u32", head)
    f.key(a + ".rope.dimension_count_swa", "u32", turned)
    f.key(a + ".rope.freq_base_swa", "f32", 10000.0)
    f.key(a + ".attention.shared_kv_layers", "u32", s.get("sharing", 0))
    f.key(a + ".embedding_length_per_layer_input", "u32", s.get("inputs", 0))
    f.key(a + ".final_logit_softcapping", "f32", 30.0)
    factors = [1.0] * (s["head"] // 8) + [1e30] * (s["head"] // 2 - s["head"] // 8)  # a quarter is turned
    f.tensor("rope_freqs.weight", [len(factors)], "F32", lambda: [struct.pack("<%df" % len(factors), *factors)])


def add_latent_numbers(f, s):
    """Heads that share a row: counted as one in newer files, which say beside it how long a head is without."""
    a, one = s["arch"], s["heads_kv"] == 1
    f.key(a + ".attention.kv_lora_rank", "u32", s["latent"])
    if s.get("query_low"):
        f.key(a + ".attention.q_lora_rank", "u32", s["query_low"])
    f.key(a + ".attention.key_length", "u32", s["latent"] + s["rope_dims"] if one else s["head"])
    f.key(a + ".attention.value_length", "u32", s["latent"] if one else s["value"])
    if one:
        f.key(a + ".attention.key_length_mla", "u32", s["head"])
        f.key(a + ".attention.value_length_mla", "u32", s["value"])
    if s.get("multiplier"):
        f.key(a + ".rope.scaling.yarn_log_multiplier", "f32", 0.1 * s["multiplier"])


def add_rope(f, s):
    """Scaling by a factor of 4 over a quarter of the context, in each of the ways that files state it."""
    a, way, pairs = s["arch"], s.get("rope"), s.get("rope_dims", s["head"]) // 2
    factor, original = 4.0, max(8, s["context"] // 4)
    if way in ("linear", "yarn"):
        f.key(a + ".rope.scaling.type", "text", way)
        f.key(a + ".rope.scaling.factor", "f32", factor)
    if way in ("yarn", "longrope"):
        f.key(a + ".rope.scaling.original_context_length", "u32", original)
    if way == "llama3":
        base, out = s.get("base", 10000.0), []
        low, high = original / 1.0, original / 4.0
        for i in range(pairs):
            wave = 2 * math.pi * base ** (2 * i / (2 * pairs))
            smooth = (original / wave - 1.0) / 3.0
            out.append(1.0 if wave < high else factor if wave > low else 1 / ((1 - smooth) / factor + smooth))
        f.tensor("rope_freqs.weight", [pairs], "F32", lambda: [struct.pack("<%df" % pairs, *out)])
    if way == "longrope":
        f.key(a + ".rope.scaling.attn_factor", "f32", math.sqrt(1 + math.log(factor) / math.log(original)))
        for name, most in (("long", 8.0), ("short", 1.5)):
            out = [1.0 + (most - 1.0) * i / pairs for i in range(pairs)]
            f.tensor("rope_factors_%s.weight" % name, [pairs], "F32",
                     lambda out=out: [struct.pack("<%df" % pairs, *out)])


MXFP4 = {"MXFP4": "Q8_0", "MXFP4-BF16": "BF16"}  # experts, and what the rest is in then


def format_of(s, name, layer, n):
    """Which format a tensor gets; for Q4_K_M as llama.cpp's quantiser mixes it: more bits for the values and the last
    products of some layers and for the output."""
    kind = s["format"]
    if name in ("router", "place"):
        return "F32"
    if kind in MXFP4:
        kind = "MXFP4" if name == "expert" else MXFP4[kind]
    if kind == "Q4_K_M":
        count = s["layers"]
        more = layer is not None and (layer < count // 8 or layer >= 7 * count // 8 or (layer - count // 8) % 3 == 2)
        kind = "Q6_K" if name == "output" or (name == "last" and more) else "Q4_K"
    if kind in GRIDS and name == "output":
        kind = "Q6_K"
    return kind if n % BLOCK[kind][0] == 0 else "Q8_0" if n % 32 == 0 else "F16"


def add_tensors(f, s, source):
    e, a = s["embed"], s["arch"]
    q, kv = s["heads"] * s["head"], s["heads_kv"] * s["head"]

    def matrix(name, n, rows, role="", layer=None, gain=1.0, count=None, bias=None):
        kind = format_of(s, role, layer, n)
        dims = [n, rows] + ([count] if count else [])
        f.tensor(name + ".weight", dims, kind, lambda: weights(source, kind, n, rows * (count or 1), 0.0, gain / math.sqrt(n)))
        if bias and s.get("biases"):
            vector(name + ".bias", [rows, count] if count else rows, 0.0, 0.5)

    def vector(name, n, mean, deviation):
        dims = n if isinstance(n, list) else [n]
        f.tensor(name, dims, "F32", lambda: weights(source, "F32", math.prod(dims), 1, mean, deviation))

    def norm(name, n, mean=1.0):
        vector(name + ".weight", n, mean, 0.2 * mean)
        if a in LAYER_NORMS:
            vector(name + ".bias", n, 0.0, 0.2)

    def latent(p, i):
        plain, one = s["head"] - s["rope_dims"], s["heads_kv"] == 1
        low = s.get("query_low")
        if low:
            matrix(p + "attn_q_a", e, low, layer=i)
            norm(p + "attn_q_a_norm", low)
            matrix(p + "attn_q_b", low, q, gain=1.5, layer=i)
        else:
            matrix(p + "attn_q", e, q, gain=1.5, layer=i)
        matrix(p + "attn_kv_a_mqa", e, s["latent"] + s["rope_dims"], gain=1.5, layer=i)
        norm(p + "attn_kv_a_norm", s["latent"])
        if one:
            matrix(p + "attn_k_b", plain, s["latent"], count=s["heads"], gain=1.5 * math.sqrt(plain / s["latent"]), layer=i)
            matrix(p + "attn_v_b", s["latent"], s["value"], count=s["heads"], role="last", layer=i)
        else:
            matrix(p + "attn_kv_b", s["latent"], s["heads"] * (plain + s["value"]), gain=1.5, layer=i)
        return s["heads"] * s["value"]

    def is_delta(i):
        return "delta" in s and i < s["layers"] and (i + 1) % 4 != 0

    def delta(p, i):
        keys, values, side = s["delta"]
        channels = (2 * keys + values) * side
        matrix(p + "attn_qkv", e, channels, gain=1.5, layer=i)
        matrix(p + "attn_gate", e, values * side, layer=i)
        vector(p + "ssm_conv1d.weight", [s["taps"], channels], 0.1, 0.5)
        if a == "qwen3next":
            matrix(p + "ssm_ba", e, 2 * values, layer=i)
        else:
            matrix(p + "ssm_alpha", e, values, layer=i)
            matrix(p + "ssm_beta", e, values, layer=i)
        vector(p + "ssm_dt.bias", values, -2.0, 2.0)
        vector(p + "ssm_a", values, -1.0, 0.3)
        norm(p + "ssm_norm", side)
        matrix(p + "ssm_out", values * side, e, layer=i)

    def layered_attention(p, i):
        heads, head = s["local"][:2] if is_local(s, i) else (s["heads_kv"], s["head"])
        matrix(p + "attn_q", e, s["heads"] * head, layer=i)
        norm(p + "attn_q_norm", head, 1.5 / math.sqrt(head))  # nothing else scales scores
        if makes_keys(s, i):
            matrix(p + "attn_k", e, heads * head, layer=i)
            norm(p + "attn_k_norm", head)
        if makes_keys(s, i) and not (s.get("keys_are_values") and not is_local(s, i)):
            matrix(p + "attn_v", e, heads * head, role="last", layer=i)
        matrix(p + "attn_output", s["heads"] * head, e, layer=i)

    def layered_rest(p, i):
        vector(p + "layer_output_scale.weight", 1, 0.9, 0.1)
        if s.get("inputs"):
            matrix(p + "inp_gate", e, s["inputs"], layer=i)
            matrix(p + "proj", s["inputs"], e, layer=i)
            norm(p + "post_norm", e)
        if s.get("experts"):
            matrix(p + "ffn_gate_inp", e, s["experts"], role="router", gain=2.0 * math.sqrt(e))
            vector(p + "ffn_gate_inp.scale", e, 1.0, 0.2)
            vector(p + "ffn_down_exps.scale", s["experts"], 1.0, 0.2)
            for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
                norm(p + name, e)
            matrix(p + "ffn_gate_up_exps", e, 2 * s["expert_mix"], role="expert", count=s["experts"], layer=i)
            matrix(p + "ffn_down_exps", s["expert_mix"], e, role="last", count=s["experts"], layer=i)

    def layer(i):
        p = "blk.%d." % i
        if a not in NO_PRE_NORMS:
            norm(p + "attn_norm", e)
        out = q
        if i in s.get("convs", ()):
            matrix(p + "shortconv.in_proj", e, 3 * e, gain=1.5, layer=i)
            vector(p + "shortconv.conv.weight", [s["taps"], e], 0.1, 0.5)
            matrix(p + "shortconv.out_proj", e, e, layer=i)
        elif is_delta(i):
            delta(p, i)
        elif a == "gemma4":
            layered_attention(p, i)
            layered_rest(p, i)
        elif s.get("latent"):
            out = latent(p, i)
        elif a in ("phi3", "bailingmoe2"):
            matrix(p + "attn_qkv", e, q + 2 * kv, gain=1.5, layer=i)
        else:
            matrix(p + "attn_q", e, 2 * q if s.get("delta") else q, gain=1.5, bias=True, layer=i)
            matrix(p + "attn_k", e, kv, gain=1.5, bias=True, layer=i)
            matrix(p + "attn_v", e, kv, role="last", bias=True, layer=i)
        if a in HEAD_NORMS and i not in s.get("convs", ()) and not is_delta(i):
            norm(p + "attn_q_norm", s["head"])
            norm(p + "attn_k_norm", s["head"])
        if i not in s.get("convs", ()) and not is_delta(i) and a != "gemma4":
            matrix(p + "attn_output", out, e, bias=a not in QKV_BIASES, layer=i)
        if a in ("olmo2", "olmoe", "minimax-m2"):
            norm(p + "attn_q_norm", q)
            norm(p + "attn_k_norm", kv)
        if s.get("own_norms"):
            vector(p + "attn_q_norm.weight", [s["head"], s["heads"]], 1.0, 0.2)
            vector(p + "attn_k_norm.weight", [s["head"], s["heads_kv"]], 1.0, 0.2)
        if a == "gpt-oss":
            vector(p + "attn_sinks.weight", s["heads"], 1.0, 1.0)
        if a not in NO_PRE_NORMS | FLAT_NORMS:
            norm(p + MIX_NORM.get(a, "ffn_norm"), e)
        elif a == "bert":
            norm(p + "attn_output_norm", e)
        if a in POST_NORMS:
            norm(p + "post_attention_norm", e)
            norm(p + "post_ffw_norm", e)
        if s.get("experts") and i >= s.get("lead", 0) and a != "gemma4":
            biased = a == "gpt-oss"
            matrix(p + "ffn_gate_inp", e, s["experts"], role="router", bias=biased)
            if s.get("prefer"):
                vector(p + "exp_probs_b.bias", s["experts"], 0.0, s["prefer"])
            expert = dict(count=s["experts"], bias=biased, layer=i)
            matrix(p + "ffn_gate_exps", e, s["expert_mix"], role="expert", **expert)
            matrix(p + "ffn_up_exps", e, s["expert_mix"], role="expert", **expert)
            matrix(p + "ffn_down_exps", s["expert_mix"], e, role="expert" if biased else "last", **expert)
            shared = s.get("shared") or s.get("shared_count", 0) * s["expert_mix"]
            if shared:
                matrix(p + "ffn_gate_shexp", e, shared, layer=i)
                matrix(p + "ffn_up_shexp", e, shared, layer=i)
                matrix(p + "ffn_down_shexp", shared, e, role="last", layer=i)
            if a in ("qwen2moe", "qwen3next", "qwen35moe"):
                vector(p + "ffn_gate_inp_shexp.weight", e, 0.0, 1 / math.sqrt(e))
        else:
            mix = mix_of(s, i) if a == "gemma4" else s["mix"]
            if a not in NO_GATE:
                matrix(p + "ffn_gate", e, mix, bias=a in MIX_BIASES, layer=i)
            matrix(p + "ffn_up", e, 2 * mix if a in FUSED else mix, bias=a in MIX_BIASES | {"bert"}, layer=i)
            matrix(p + "ffn_down", mix, e, role="last", bias=a in MIX_BIASES | {"bert"}, layer=i)
        if a == "bert":
            norm(p + "layer_output_norm", e)

    # gemma scales its embeddings up: small ones, or each token would mostly predict itself
    tied, gemma = s.get("tied"), a.startswith("gemma")
    matrix("token_embd", e, s["vocab"], role="output" if tied else "",
           gain=0.5 if gemma else 2.5 if tied else math.sqrt(e))
    if s.get("inputs"):
        matrix("per_layer_token_embd", s["layers"] * s["inputs"], s["vocab"], gain=math.sqrt(s["layers"]))
        matrix("per_layer_model_proj", e, s["layers"] * s["inputs"], gain=math.sqrt(e))
        norm("per_layer_proj_norm", s["inputs"])
    if a == "bert":
        matrix("position_embd", e, s["context"], role="place", gain=math.sqrt(e))
        matrix("token_types", e, 2, role="place", gain=math.sqrt(e))
        norm("token_embd_norm", e)
    else:
        norm("token_embd_norm" if "convs" in s else "output_norm", e, 5.0 if gemma else 1.0)
        if not tied:
            matrix("output", e, s["vocab"], role="output", gain=2.5)
    for i in range(s["layers"]):
        layer(i)
    for i in range(s["layers"], s["layers"] + s.get("ahead", 0)):  # as files have them that guess ahead: not run
        layer(i)
        if a == "bailingmoe2":
            norm("blk.%d.layer_output_norm" % i, e)
        matrix("blk.%d.nextn.eh_proj" % i, 2 * e, e)
        norm("blk.%d.nextn.enorm" % i, e)
        norm("blk.%d.nextn.hnorm" % i, e)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", nargs="?")
    p.add_argument("--list", action="store_true", help="the shapes")
    p.add_argument("--shape", default="llama", choices=SHAPES, metavar="SHAPE")
    p.add_argument("--format", default="F32", choices=["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M", *GRIDS, *MXFP4])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rope", choices=["linear", "yarn", "llama3", "longrope"], help="scaling of the rotation")
    for number in ("context", "layers", "vocab", "window", "pooling", "experts"):
        p.add_argument("--" + number, type=int, help="instead of the shape's")
    args = p.parse_args()
    if args.list:
        for name, s in SHAPES.items():
            print("%-18s %-9s embed %-5d layers %-3d vocabulary %d" % (name, s["arch"], s["embed"], s["layers"], s["vocab"]))
        return
    if not args.out:
        p.error("where shall the file go?")
    s = dict(SHAPES[args.shape], name=args.shape, format=args.format)
    for number in ("context", "layers", "vocab", "window", "pooling", "experts", "rope"):
        if getattr(args, number) is not None:
            s[number] = getattr(args, number)
    f = File()
    add_numbers(f, s)
    add_rope(f, s)
    if s["arch"] == "bert":
        add_wpm(f, s["vocab"])
    elif s["arch"] == "gemma4":
        add_gemma4(f, s["vocab"])
    elif s["arch"] in BPE or s.get("tokens") == "bpe":
        add_bpe(f, s["vocab"], s.get("pre") or BPE[s["arch"]])
    else:
        add_spm(f, s["vocab"])
    add_tensors(f, s, Source(args.seed))
    f.write(args.out)


if __name__ == "__main__":
    sys.exit(main())

"""Write kith-guide-f32.gguf (the original) and kith-guide.gguf (Q8_0, the one that ships) from a checkpoint.

    python3 models/export.py --work build/guide [--out models]
"""
import argparse
import os
import sys

import torch

import gguf
import guide_model as gm
import guide_tokenizer as gt

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}<|system|> {{ message['content'] }}<|end|>"
    "{% elif message['role'] == 'user' %}<|user|> {{ message['content'] }}<|end|>"
    "{% elif message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def metadata(tok, file_type):
    g = gguf
    return [
        ("general.architecture", g.STRING, "llama"),
        ("general.type", g.STRING, "model"),
        ("general.name", g.STRING, "kith-guide"),
        ("general.description", g.STRING, "Answers questions about using Kith."),
        ("general.size_label", g.STRING, "2.9M"),
        ("general.license", g.STRING, "apache-2.0"),
        ("general.languages", (g.ARRAY, g.STRING), ["en"]),
        ("general.alignment", g.U32, g.ALIGNMENT),
        ("general.file_type", g.U32, file_type),
        ("general.quantization_version", g.U32, 2),
        ("llama.vocab_size", g.U32, len(tok)),
        ("llama.context_length", g.U32, gm.CONTEXT),
        ("llama.embedding_length", g.U32, gm.DIM),
        ("llama.block_count", g.U32, gm.LAYERS),
        ("llama.feed_forward_length", g.U32, gm.FFN),
        ("llama.attention.head_count", g.U32, gm.HEADS),
        ("llama.attention.head_count_kv", g.U32, gm.HEADS_KV),
        ("llama.attention.layer_norm_rms_epsilon", g.FLOAT, gm.NORM_EPS),
        ("llama.rope.dimension_count", g.U32, gm.HEAD_DIM),
        ("llama.rope.freq_base", g.FLOAT, gm.ROPE_BASE),
        ("tokenizer.ggml.model", g.STRING, "llama"),
        ("tokenizer.ggml.pre", g.STRING, "default"),
        ("tokenizer.ggml.tokens", (g.ARRAY, g.STRING), tok.pieces),
        ("tokenizer.ggml.scores", (g.ARRAY, g.FLOAT), tok.scores),
        ("tokenizer.ggml.token_type", (g.ARRAY, g.I32), tok.types),
        ("tokenizer.ggml.unknown_token_id", g.U32, gt.UNK_ID),
        ("tokenizer.ggml.bos_token_id", g.U32, gt.BOS_ID),
        ("tokenizer.ggml.eos_token_id", g.U32, gt.EOS_ID),
        ("tokenizer.ggml.add_bos_token", g.BOOL, True),
        ("tokenizer.ggml.add_eos_token", g.BOOL, False),
        ("tokenizer.ggml.add_space_prefix", g.BOOL, False),
        ("tokenizer.chat_template", g.STRING, CHAT_TEMPLATE),
    ]


def tensor_list(weights, kind):
    """GGUF order and names; matrices in `kind`, norms always F32. The output matrix is the embedding (tied)."""
    out = [("token_embd.weight", kind), ("output_norm.weight", gguf.F32)]
    for i in range(gm.LAYERS):
        for part in ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"):
            out.append(("blk.%d.%s.weight" % (i, part), gguf.F32 if part.endswith("norm") else kind))
    return [(name, weights[name].numpy(), k) for name, k in out]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--work", default="build/guide")
    p.add_argument("--out", default=here)
    a = p.parse_args()
    tok = gt.Tokenizer.load(os.path.join(a.work, "tokenizer.json"))
    state = torch.load(os.path.join(a.work, "checkpoint.pt"), map_location="cpu")
    weights = {k: v.float() for k, v in state["average"].items() if not k.startswith("aux.")}
    n = sum(v.numel() for v in weights.values())
    for name, kind, file_type in (("kith-guide-f32.gguf", gguf.F32, 0), ("kith-guide.gguf", gguf.Q8_0, 7)):
        path = os.path.join(a.out, name)
        gguf.write(path, metadata(tok, file_type), tensor_list(weights, kind))
        print("%s: %d parameters, %d bytes, step %d" % (path, n, os.path.getsize(path), state["step"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

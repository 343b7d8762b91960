"""kith-guide as a torch module: the llama architecture, with the pairs of RoPE adjacent (2i, 2i+1), as
GGUF files of architecture "llama" have them, so that the weights are exported without permuting rows.

A small classifier on the third layer's output at the last prompt position names the fact that is asked
for. It only helps the training (it makes the layers below the last know the fact before the answer's
first word) and is not exported.

Training packs the sequences of a batch end to end, so that no product is spent on padding; only attention
pads, a few sequences of like length at a time. With `half` the large products are taken in bfloat16, and what lies
between them in C (train_kernels.c): over three times as fast on a processor that has bfloat16. Weights, residual
stream, softmax and losses are float32 either way.
"""
import torch
import torch.nn.functional as F
from torch import nn

import train_kernels as tk

DIM, LAYERS, HEADS, HEADS_KV, HEAD_DIM, FFN = 256, 4, 4, 2, 64, 512
CONTEXT, ROPE_BASE, NORM_EPS = 512, 10000.0, 1e-5
AUX_LAYER = 2


class Scatter(torch.autograd.Function):
    """Rows of x to the given places among n rows, the rest zero."""

    @staticmethod
    def forward(ctx, x, places, n):
        ctx.save_for_backward(places)
        return x.new_zeros(n, x.shape[1]).index_copy_(0, places, x)

    @staticmethod
    def backward(ctx, grad):
        return grad.index_select(0, ctx.saved_tensors[0]), None, None


class Gather(torch.autograd.Function):
    """The rows of x at the given places, each of which is there once."""

    @staticmethod
    def forward(ctx, x, places):
        ctx.save_for_backward(places)
        ctx.n = x.shape[0]
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx, grad):
        return grad.new_zeros(ctx.n, grad.shape[1]).index_copy_(0, ctx.saved_tensors[0], grad), None


class Unit(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) for each row."""

    @staticmethod
    def forward(ctx, x):
        inv = torch.rsqrt((x * x).mean(-1, keepdim=True) + NORM_EPS)
        y = x * inv
        ctx.save_for_backward(y, inv)
        return y

    @staticmethod
    def backward(ctx, grad):
        y, inv = ctx.saved_tensors
        return (grad - y * (grad * y).mean(-1, keepdim=True)).mul_(inv)


class Pack:
    """Sequences of one batch end to end. Sorted by length, they are padded in groups for attention."""

    def __init__(self, lengths, group):
        self.lengths = torch.tensor(lengths)
        t_all = [torch.arange(n) for n in lengths]
        self.position = torch.cat(t_all)
        self.example = torch.repeat_interleave(torch.arange(len(lengths)), self.lengths)
        self.groups, row = [], 0
        for at in range(0, len(lengths), group):
            part = lengths[at : at + group]
            t = max(part)
            places = torch.cat([t_all[at + i] + i * t for i in range(len(part))])
            self.groups.append((row, row + len(places), len(part), t, places))
            row += len(places)


class Norm(nn.Module):
    """Holds the weight only: it is multiplied into the matrices behind the norm, which is the same and cheaper."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm = Norm(), Norm()
        self.attn_q = nn.Linear(DIM, HEADS * HEAD_DIM, bias=False)
        self.attn_k = nn.Linear(DIM, HEADS_KV * HEAD_DIM, bias=False)
        self.attn_v = nn.Linear(DIM, HEADS_KV * HEAD_DIM, bias=False)
        self.attn_output = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)
        self.ffn_gate = nn.Linear(DIM, FFN, bias=False)
        self.ffn_up = nn.Linear(DIM, FFN, bias=False)
        self.ffn_down = nn.Linear(FFN, DIM, bias=False)

    def attend(self, qkv, pack, mask):
        out = []
        n_q, n_kv = HEADS * HEAD_DIM, HEADS_KV * HEAD_DIM
        for start, end, n, t, places in pack.groups:
            padded = Scatter.apply(qkv[start:end], places, n * t).view(n, t, -1)
            q, k, v = padded[..., :n_q], padded[..., n_q : n_q + n_kv], padded[..., n_q + n_kv :]
            k = k.reshape(n, t, HEADS_KV, HEAD_DIM).transpose(1, 2)
            v = v.reshape(n, t, HEADS_KV, HEAD_DIM).transpose(1, 2)
            # Query heads 2g and 2g+1 share key head g: give the group its own axis instead of copying k and v.
            q = q.reshape(n, t, HEADS, HEAD_DIM).transpose(1, 2).reshape(n, HEADS_KV, HEADS // HEADS_KV * t, HEAD_DIM)
            scores = (q @ k.transpose(-1, -2) * HEAD_DIM**-0.5).view(n, HEADS, t, t) + mask[:t, :t]
            o = scores.softmax(-1).view(n, HEADS_KV, HEADS // HEADS_KV * t, t) @ v
            o = o.view(n, HEADS, t, HEAD_DIM).transpose(1, 2).reshape(n * t, n_q)
            out.append(Gather.apply(o, places))
        return torch.cat(out)

    def matrices(self):
        """Matrices that belong together in one, and the norms' weights within those behind them."""
        qkv = torch.cat([self.attn_q.weight, self.attn_k.weight, self.attn_v.weight]) * self.attn_norm.weight
        up = torch.cat([self.ffn_gate.weight, self.ffn_up.weight]) * self.ffn_norm.weight
        return qkv, self.attn_output.weight, up, self.ffn_down.weight

    def forward(self, x, turn, pack, mask, drop, rows=None):
        """rows: the only ones whose outcome is wanted (the others still give their keys and values)."""
        w_qkv, w_output, w_up, w_down = self.matrices()
        qkv = F.linear(Unit.apply(x), w_qkv)
        n_rope = (HEADS + HEADS_KV) * HEAD_DIM
        pairs = torch.view_as_complex(qkv[:, :n_rope].reshape(-1, n_rope // 2, 2)).view(-1, HEADS + HEADS_KV, HEAD_DIM // 2)
        qkv = torch.cat([torch.view_as_real(pairs * turn[:, None]).flatten(1), qkv[:, n_rope:]], 1)
        seen = self.attend(qkv, pack, mask)
        if rows is not None:
            x, seen = Gather.apply(x, rows), Gather.apply(seen, rows)
        x = drop(x, F.linear(seen, w_output), rows)
        h = F.linear(Unit.apply(x), w_up)
        return drop(x, F.linear(F.silu(h[:, :FFN]) * h[:, FFN:], w_down), rows)

    def forward_half(self, x, turn, pack, drop, rows=None):
        w_qkv, w_output, w_up, w_down = (w.bfloat16() for w in self.matrices())
        seen = tk.Attention.apply(F.linear(tk.Unit.apply(x), w_qkv), pack.lengths, *turn)
        if rows is not None:
            x, seen = Gather.apply(x, rows), Gather.apply(seen, rows)
        x = drop(x, F.linear(seen, w_output), rows)
        return drop(x, F.linear(tk.Swiglu.apply(F.linear(tk.Unit.apply(x), w_up)), w_down), rows)


class Guide(nn.Module):
    def __init__(self, n_vocab, n_facts=0, dropout=0.0, half=False):
        super().__init__()
        self.token_embd = nn.Embedding(n_vocab, DIM)
        self.blk = nn.ModuleList(Block() for _ in range(LAYERS))
        self.output_norm = Norm()
        self.aux = nn.Linear(DIM, n_facts) if n_facts else None
        self.dropout, self.half = dropout, half
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.05 / (2 * LAYERS) ** 0.5 if "output" in name or "down" in name else 0.05
                nn.init.normal_(p, 0.0, scale)
        freq = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM)
        angle = torch.arange(CONTEXT).double()[:, None] * freq[None]
        self.register_buffer("turn", torch.polar(torch.ones_like(angle), angle).to(torch.complex64), persistent=False)
        mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def hidden(self, ids, lengths, rows=None, group=16):
        """ids: the sequences end to end -> (final states of the given rows or all, states of all after AUX_LAYER)."""
        pack = Pack(lengths, group)
        # One mask for all positions of an example: cheap to draw, and the model cannot read around it.
        p = self.dropout if self.training else 0.0

        def drop(x, y, rows=None):
            example = pack.example if rows is None else pack.example[rows]
            keep = torch.empty(len(lengths), DIM).bernoulli_(1 - p).mul_(1 / (1 - p))
            if self.half:
                return tk.Add.apply(x, y, keep, example)
            return x + (y * keep.index_select(0, example) if p else y)

        x, turn = self.token_embd(ids), self.turn.index_select(0, pack.position)
        if self.half:
            turn = [torch.view_as_real(self.turn)[..., part].contiguous() for part in (0, 1)]
        middle = None
        for i, block in enumerate(self.blk):
            wanted = rows if i == LAYERS - 1 else None
            x = block.forward_half(x, turn, pack, drop, wanted) if self.half else block(x, turn, pack, self.mask, drop, wanted)
            if i == AUX_LAYER:
                middle = x
        return x, middle

    def logits(self, states):
        weight = self.token_embd.weight * self.output_norm.weight
        if self.half:
            return F.linear(tk.Unit.apply(states), weight.bfloat16()).float()
        return F.linear(Unit.apply(states), weight)

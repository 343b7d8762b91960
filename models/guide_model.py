"""kith-guide as a torch module: the llama architecture, with the pairs of RoPE adjacent (2i, 2i+1), as
GGUF files of architecture "llama" have them, so that the weights are exported without permuting rows.

A small classifier on the third layer's output at the last prompt position names the fact that is asked
for. It only helps the training (it makes the layers below the last know the fact before the answer's
first word) and is not exported.
"""
import torch
import torch.nn.functional as F
from torch import nn

DIM, LAYERS, HEADS, HEADS_KV, HEAD_DIM, FFN = 256, 4, 4, 2, 64, 512
CONTEXT, ROPE_BASE, NORM_EPS = 512, 10000.0, 1e-5
AUX_LAYER = 2


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(DIM))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPS) * self.weight


def rope(x, cos, sin):
    """x: [batch, heads, time, HEAD_DIM]; rotates each adjacent pair."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.attn_norm, self.ffn_norm = Norm(), Norm()
        self.attn_q = nn.Linear(DIM, HEADS * HEAD_DIM, bias=False)
        self.attn_k = nn.Linear(DIM, HEADS_KV * HEAD_DIM, bias=False)
        self.attn_v = nn.Linear(DIM, HEADS_KV * HEAD_DIM, bias=False)
        self.attn_output = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)
        self.ffn_gate = nn.Linear(DIM, FFN, bias=False)
        self.ffn_up = nn.Linear(DIM, FFN, bias=False)
        self.ffn_down = nn.Linear(FFN, DIM, bias=False)
        self.dropout = dropout

    def forward(self, x, cos, sin, mask):
        n, t, _ = x.shape
        h = self.attn_norm(x)
        q = rope(self.attn_q(h).view(n, t, HEADS, HEAD_DIM).transpose(1, 2), cos, sin)
        k = rope(self.attn_k(h).view(n, t, HEADS_KV, HEAD_DIM).transpose(1, 2), cos, sin)
        v = self.attn_v(h).view(n, t, HEADS_KV, HEAD_DIM).transpose(1, 2)
        # Query heads 2g and 2g+1 share key head g: give the group its own axis instead of copying k and v.
        q = q.reshape(n, HEADS_KV, HEADS // HEADS_KV * t, HEAD_DIM)
        scores = q @ k.transpose(-1, -2) * HEAD_DIM**-0.5
        scores = scores.view(n, HEADS, t, t) + mask
        o = scores.softmax(-1).view(n, HEADS_KV, HEADS // HEADS_KV * t, t) @ v
        o = o.view(n, HEADS, t, HEAD_DIM).transpose(1, 2).reshape(n, t, DIM)
        x = x + F.dropout(self.attn_output(o), self.dropout, self.training)
        h = self.ffn_norm(x)
        h = self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return x + F.dropout(h, self.dropout, self.training)


class Guide(nn.Module):
    def __init__(self, n_vocab, n_facts=0, dropout=0.0):
        super().__init__()
        self.token_embd = nn.Embedding(n_vocab, DIM)
        self.blk = nn.ModuleList(Block(dropout) for _ in range(LAYERS))
        self.output_norm = Norm()
        self.aux = nn.Linear(DIM, n_facts) if n_facts else None
        self.dropout = dropout
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.05 / (2 * LAYERS) ** 0.5 if "output" in name or "down" in name else 0.05
                nn.init.normal_(p, 0.0, scale)
        freq = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2).double() / HEAD_DIM)
        angle = torch.arange(CONTEXT).double()[:, None] * freq[None]
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)
        mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def hidden(self, ids):
        """ids: [batch, time] -> (final normed states [batch, time, DIM], states after AUX_LAYER)."""
        t = ids.shape[1]
        x = F.dropout(self.token_embd(ids), self.dropout, self.training)
        middle = None
        for i, block in enumerate(self.blk):
            x = block(x, self.cos[:t], self.sin[:t], self.mask[:t, :t])
            if i == AUX_LAYER:
                middle = x
        return self.output_norm(x), middle

    def logits(self, states):
        return states @ self.token_embd.weight.t()

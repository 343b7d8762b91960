"""The optimiser of the blocks' matrices: momentum whose singular values are all brought near one.

Every direction of a matrix is then learned at one pace, however rare the examples are that ask for it; with a few
dozen questions a fact that is worth more than its price. Method: Jordan et al., "Muon", 2024; the scale after
Liu et al., "Muon is scalable for LLM training", 2025. Embedding, norms and classifier stay with AdamW.
"""
import torch


def orthogonal(g):
    """Four Newton-Schulz steps towards the orthogonal factor of g."""
    wide = g.shape[0] <= g.shape[1]
    x = (g if wide else g.t()).contiguous()
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(4):
        a = x @ x.t()
        b = -4.7750 * a + 2.0315 * (a @ a)
        x = 3.4445 * x + b @ x
    return (x if wide else x.t()).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].mul_(group["momentum"]).add_(p.grad)
                update = orthogonal(p.grad.add(m, alpha=group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)

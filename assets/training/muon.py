"""Muon for matrices, AdamW for the rest.

Muon replaces a matrix's momentum by the nearest matrix with equal singular values
(Newton–Schulz iteration; K. Jordan, 2024), scaled to AdamW's usual step (Liu et al.,
arXiv 2502.16982). On this model it needs a fraction of AdamW's steps.
"""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalized(matrices):
    """`[M, rows, columns]`, each with its singular values moved to about 1."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if is_tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if is_tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices, lr, momentum=0.95, weight_decay=0.02):
        super().__init__(matrices, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(tuple(matrix.shape), []).append(matrix)
            for (rows, columns), matrices in by_shape.items():
                updates = []
                for matrix in matrices:
                    state = self.state[matrix]
                    if not state:
                        state["momentum"] = torch.zeros_like(matrix)
                    buffer = state["momentum"]
                    buffer.lerp_(matrix.grad, 1 - group["momentum"])
                    updates.append(matrix.grad.lerp(buffer, group["momentum"]))
                scale = 0.2 * max(rows, columns) ** 0.5 * group["lr"]
                for matrix, update in zip(matrices, orthogonalized(torch.stack(updates))):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)


def optimizers(named, lr, matrix_factor=1.0, weight_decay=0.02):
    """Muon for the matrices of transformer layers, at `matrix_factor` times the rate,
    and AdamW for everything else."""
    matrices = [p for name, p in named if p.dim() == 2 and ".layers." in f".{name}"]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    muon = Muon(matrices, lr=lr, weight_decay=weight_decay / matrix_factor)
    for optimizer, factor in ((muon, matrix_factor), (adam, 1.0)):
        for group in optimizer.param_groups:
            group["factor"] = factor
    return [muon, adam]


def set_rate(optimizers, lr):
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group["factor"]

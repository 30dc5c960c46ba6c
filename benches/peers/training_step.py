"""A training step of decoder layers in PyTorch, at the shapes and with the operations
of `benches/src/bin/training-step.rs`: prints JSON, in f32 and under bf16 autocast.

    python benches/peers/training_step.py --threads 2
"""

import argparse
import json
import statistics
import time

import torch

SEQUENCES, LENGTH, WIDTH, HEADS, MLP, LAYERS = 12, 256, 192, 8, 512, 2


def forward(x, layer):
    query_key_value, out, gate_up, down = layer
    heads = lambda t: t.view(SEQUENCES, LENGTH, HEADS, WIDTH // HEADS).transpose(1, 2)
    q, k, v = (heads(t) for t in (x @ query_key_value).chunk(3, -1))
    mixed = torch.softmax((q @ k.transpose(2, 3)) * 0.2, -1).to(v.dtype) @ v
    x = x + mixed.transpose(1, 2).reshape(SEQUENCES * LENGTH, WIDTH) @ out
    gate, up = (x @ gate_up).chunk(2, -1)
    return x + (torch.nn.functional.silu(gate) * up) @ down


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shapes = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 2 * MLP), (MLP, WIDTH)]
    layers = [[(0.05 * torch.randn(shape)).requires_grad_() for shape in shapes] for _ in range(LAYERS)]
    inputs = torch.randn(SEQUENCES * LENGTH, WIDTH)
    for name, is_half in (("f32", False), ("bf16 autocast", True)):
        times = []
        for _ in range(args.steps + 1):
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                x = inputs
                for layer in layers:
                    x = forward(x, layer)
            x.float().square().mean().backward()
            times.append((time.perf_counter() - start) * 1e3)
        record = dict(library="torch", precision=name, layers=LAYERS, rows=SEQUENCES * LENGTH)
        record.update(median_ms=round(statistics.median(times[1:]), 1), min_ms=round(min(times[1:]), 1))
        print(json.dumps(record))


if __name__ == "__main__":
    main()

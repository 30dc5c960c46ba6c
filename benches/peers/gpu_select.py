"""The nine strategies on a GPU in PyTorch: eager, compiled, and as a CUDA graph.

    python gpu_select.py RECORD.json

Each strategy is computed as one would write it (see score_strategies.py); the kept
tokens of all nine make one pass. Times are of events around many passes over inputs
that together exceed the level-2 cache twice, each read again only after all others;
medians of samples. `eager_read_us` is until the host has the kept tokens. A captured graph reads one input again and again, from that cache
where it fits: the record says where it does.
"""

import itertools
import json
import statistics
import sys
import time

import torch
from score_strategies import STRATEGIES, head_scores

SHAPES = [(32, 576, 166), (40, 576, 172), (32, 2880, 832)]
BATCHES = [1, 16, 64, 256]
# Each shape that is compiled takes the better part of a minute.
COMPILED_BATCHES = [1, 64]
HIDDEN, SYSTEM, TEXT = 4096, 35, 27


def attention(batch, heads, tokens):
    """Rows of different sharpness and mass."""
    generator = torch.Generator(device="cuda").manual_seed(1)
    noise = lambda *shape: torch.randn(*shape, device="cuda", generator=generator)
    uniform = lambda: torch.rand(batch, heads, 1, device="cuda", generator=generator)
    sharpness, share = 0.5 + 2.5 * uniform(), 0.1 + 0.8 * uniform()
    return share * torch.softmax(sharpness * noise(batch, heads, tokens), -1)


def scores_on_gpu(strategy, a):
    if strategy in ("weighted_quality", "gini_coefficient"):
        p = a / a.sum(-1, keepdim=True)
        if strategy == "weighted_quality":
            count = (p > 0.01).sum(-1)
            coverage = torch.where(count > 0, 1.0 / count, torch.zeros_like(p[..., 0]))
            return 0.4 * p.amax(-1) + 0.4 * (p * p).sum(-1) + 0.2 * coverage
        n = p.shape[-1]
        rank = torch.arange(1, n + 1, dtype=p.dtype, device=p.device)
        return ((2 * rank - n - 1) * p.sort(-1).values).sum(-1) / n
    return head_scores(strategy, a)


def select_all(a, num_heads, kept):
    outcome = []
    for strategy in STRATEGIES:
        heads = scores_on_gpu(strategy, a).topk(num_heads, dim=-1).indices
        chosen = a.gather(1, heads[..., None].expand(-1, -1, a.shape[-1]))
        outcome.append(chosen.mean(1).topk(kept, dim=-1).indices.sort(-1).values)
    return torch.stack(outcome, 1)


def rotated(make):
    """Inputs by turns, without end: so many that their bytes exceed the level-2 cache twice."""
    first = make()
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    count = max(2, 2 * cache // (first.numel() * first.element_size()) + 1)
    return itertools.cycle([first, *(make() for _ in range(count - 1))]), count


def timed(work, count, samples=20, seconds=0.3):
    """Microseconds of one call of `work()`, median, by events around `count` calls."""
    for _ in range(min(count, 3)):
        work()
    torch.cuda.synchronize()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    runs = []
    while len(runs) < samples and sum(runs) * count < seconds * 1e6 * samples:
        start.record()
        for _ in range(count):
            work()
        end.record()
        end.synchronize()
        runs.append(1e3 * start.elapsed_time(end) / count)
    return statistics.median(runs)


def waited(work, count, samples=20):
    """Microseconds until the host has what `work()` gives, median, by the host's clock."""
    work()
    torch.cuda.synchronize()
    runs = []
    for _ in range(min(count, samples)):
        start = time.perf_counter()
        work()
        runs.append(1e6 * (time.perf_counter() - start))
    return statistics.median(runs)


def graphed(work, example):
    """`work` on a fixed input, captured; returns a replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work(example)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work(example)
    return graph.replay


def measure(batch, heads, tokens, kept):
    one = attention(batch, heads, tokens)
    inputs, number = rotated(one.clone)
    count = min(number, 64)
    work = lambda a: select_all(a, heads // 2, kept)
    row = {"batch": batch, "heads": heads, "tokens": tokens, "kept": kept}
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    row["graphs_read_from_cache"] = one.numel() * one.element_size() < cache
    row["eager_us"] = timed(lambda: work(next(inputs)), count)
    row["eager_read_us"] = waited(lambda: work(next(inputs)).cpu(), count)
    replay = graphed(work, one)
    row["eager_graph_us"] = timed(replay, count)
    row["sort_us"] = timed(lambda: next(inputs).sort(-1), count)
    if batch in COMPILED_BATCHES:
        try:
            compiled = torch.compile(work, dynamic=False)
            compiled(one)
            row["compiled_us"] = timed(lambda: compiled(next(inputs)), count)
            replay = graphed(compiled, one)
            row["compiled_graph_us"] = timed(replay, count)
        except Exception as error:  # what torch.compile can't do is recorded, not fatal
            row["compile_error"] = f"{type(error).__name__}: {error}"[:300]
    del inputs
    # Two of these at least are held at once.
    most = min(8 << 30, torch.cuda.mem_get_info()[0] // 8)
    sequence = SYSTEM + tokens + TEXT
    samples = max(1, min(batch, most // (sequence * HIDDEN * 2)))
    states = lambda: torch.zeros(samples, sequence, HIDDEN, dtype=torch.bfloat16, device="cuda")
    hidden, _ = rotated(states)
    rows = torch.cat(
        [
            torch.arange(SYSTEM, device="cuda"),
            SYSTEM + torch.arange(kept, device="cuda") * tokens // kept,
            torch.arange(SYSTEM + tokens, SYSTEM + tokens + TEXT, device="cuda"),
        ]
    )
    row["gather_us"] = timed(lambda: next(hidden).index_select(1, rows), 16)
    return row


def main(path):
    rows = []
    with torch.inference_mode():
        for heads, tokens, kept in SHAPES:
            for batch in BATCHES:
                rows.append(measure(batch, heads, tokens, kept))
                print(rows[-1], flush=True)
    record = {
        "pytorch": torch.__version__,
        "gpu": torch.cuda.get_device_name(0),
        "rows": rows,
    }
    with open(path, "w") as file:
        json.dump(record, file, indent=2)


if __name__ == "__main__":
    main(sys.argv[1])

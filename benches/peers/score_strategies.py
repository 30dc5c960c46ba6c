"""The nine head strategies the plain way in PyTorch, beside FinePruner's own time.

    python score_strategies.py DIR

DIR holds what `score-timings` left there: the same attention, and the kept tokens
to compare with. Every strategy is computed as one would write it: scores of all
heads, the h best, their mean, the R largest, sorted. Batches are batched.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file


def head_scores(strategy, a):
    """Scores `[B, H]` of attention `[B, H, N]` under l1 normalisation."""
    if strategy == "sum":
        return a.sum(-1)
    if strategy == "variance":
        return a.var(-1)
    if strategy == "max_attention":
        return a.amax(-1)
    if strategy == "attention_range":
        return a.amax(-1) - a.amin(-1)
    if strategy == "top_k_sum":
        return a.topk(10, dim=-1).values.sum(-1)
    p = a / a.sum(-1, keepdim=True)
    if strategy == "entropy":
        return torch.xlogy(p, p).sum(-1)
    if strategy == "sparsity":
        return (p * p).sum(-1)
    if strategy == "weighted_quality":
        count = (p > 0.01).sum(-1)
        coverage = torch.where(count > 0, 1.0 / count, torch.zeros(()))
        return 0.4 * p.amax(-1) + 0.4 * (p * p).sum(-1) + 0.2 * coverage
    if strategy == "gini_coefficient":
        n = p.shape[-1]
        rank = torch.arange(1, n + 1, dtype=p.dtype)
        return ((2 * rank - n - 1) * p.sort(-1).values).sum(-1) / n
    raise ValueError(strategy)


STRATEGIES = (
    "sum variance entropy max_attention attention_range sparsity top_k_sum "
    "weighted_quality gini_coefficient"
).split()


def select(strategy, a, num_heads, kept):
    """Kept tokens `[B, R]`, ascending."""
    heads = head_scores(strategy, a).topk(num_heads, dim=-1).indices
    chosen = a.gather(1, heads[..., None].expand(-1, -1, a.shape[-1]))
    return chosen.mean(1).topk(kept, dim=-1).indices.sort(-1).values


def select_all(a, num_heads, kept):
    return [select(strategy, a, num_heads, kept) for strategy in STRATEGIES]


def timed(work, seconds=3.0, min_runs=30):
    for _ in range(5):
        work()
    runs, start = [], time.perf_counter()
    while len(runs) < min_runs or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        work()
        runs.append(time.perf_counter() - before)
    return sorted(runs)


def agreement(ours, theirs):
    """How many kept sets are compared and how many of them agree."""
    compared = agreed = 0
    for sample, selections in enumerate(ours):
        for index, selection in enumerate(selections):
            assert selection["strategy"] == STRATEGIES[index]
            if selection["is_sharp"]:
                compared += 1
                agreed += theirs[index][sample].tolist() == selection["kept_tokens"]
    return compared, agreed


def main(directory):
    inputs = load_file(directory / "inputs.safetensors")
    rows = []
    for ours in json.loads((directory / "finepruner.json").read_text()):
        attention = inputs[ours["name"]]
        torch.set_num_threads(ours["threads"])
        work = lambda: select_all(attention, ours["num_selected_heads"], ours["kept"])
        with torch.inference_mode():
            theirs = work()
            runs = timed(work)
        compared, agreed = agreement(ours["samples"], theirs)
        if agreed != compared:
            sys.exit(f"{ours['name']}: {compared - agreed} of {compared} kept sets differ")
        median = statistics.median(runs)
        rows.append(
            {
                "workload": ours["name"],
                "threads": ours["threads"],
                "finepruner_ms": {k: 1e3 * ours[f"{k}_s"] for k in ("p10", "median", "p90")},
                "pytorch_ms": {
                    "p10": 1e3 * runs[len(runs) // 10],
                    "median": 1e3 * median,
                    "p90": 1e3 * runs[len(runs) * 9 // 10],
                },
                "ratio": median / ours["median_s"],
                "runs": {"finepruner": ours["runs"], "pytorch": len(runs)},
                "isa": ours["isa"],
                "kept_sets_compared": compared,
                "kept_sets_equal": agreed,
            }
        )
    record = {
        "python_version": sys.version.split()[0],
        "pytorch_version": torch.__version__,
        "load_average": os.getloadavg(),
        "rows": rows,
    }
    (directory / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    print("| workload | threads | FinePruner ms (p10–p90) | PyTorch ms (p10–p90) | ratio | kept sets equal |")
    print("|---|---|---|---|---|---|")
    spread = lambda t: f"{t['median']:.3f} ({t['p10']:.3f}–{t['p90']:.3f})"
    for row in rows:
        print(
            f"| {row['workload']} | {row['threads']} | {spread(row['finepruner_ms'])} "
            f"| {spread(row['pytorch_ms'])} | {row['ratio']:.1f} "
            f"| {row['kept_sets_equal']}/{row['kept_sets_compared']} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

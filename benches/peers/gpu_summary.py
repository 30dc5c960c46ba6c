"""One record and one short table of what run.sh left in a folder.

    python gpu_summary.py FOLDER

Reads criterion's estimates, the peers' record and the steps; writes record.json.
Needs nothing but Python.
"""

import json
import re
import sys
from pathlib import Path

SLOTS = 9
HIDDEN, HEAD_DIM, SYSTEM, TEXT = 4096, 128, 35, 27
MAX_BYTES = 8 << 30  # of one buffer, where the benchmarks do not say another size
KEPT = {(32, 576): 166, (40, 576): 172, (32, 2880): 832}
PEERS = {
    "gather_tokens": ["gather_us"],
    "score_batch and read": ["eager_read_us"],
    "fused": ["eager_us", "eager_graph_us", "compiled_us", "compiled_graph_us"],
    "fused in a graph": ["eager_graph_us", "compiled_graph_us"],
}


def read_json(path, default):
    return json.loads(path.read_text()) if path.exists() else default


def benchmarks(folder):
    """Median nanoseconds by (group, name)."""
    found = {}
    for path in folder.glob("criterion/**/new/benchmark.json"):
        names = json.loads(path.read_text())
        estimates = json.loads((path.parent / "estimates.json").read_text())
        key = (names["group_id"], names["function_id"])
        found[key] = estimates["median"]["point_estimate"]
    return found


def most_bytes(folder):
    """The size that the benchmarks gave one buffer, by the memory that was free."""
    for log in sorted(folder.glob("bench*.log")):
        said = re.search(r"buffers of up to (\d+) bytes", log.read_text(errors="replace"))
        if said:
            return int(said[1])
    return MAX_BYTES


def moved_bytes(kernel, batch, heads, tokens, most):
    """What a kernel must read and write at least, each once."""
    kept, sequence = KEPT[(heads, tokens)], SYSTEM + tokens + TEXT
    attention = batch * heads * tokens * 4
    if kernel == "gather_tokens":
        samples = max(1, min(batch, most // (sequence * HIDDEN * 2)))
        return 2 * samples * (SYSTEM + kept + TEXT) * HIDDEN * 2
    if kernel == "attention_rows":
        of_sample = heads * sequence * HEAD_DIM * 2
        samples = max(1, min(batch, most // of_sample))
        return samples * (of_sample + heads * tokens * 4)
    if kernel == "segmented_sort":
        return 2 * attention
    if kernel in ("head_score", "compare_heads"):
        return attention
    return attention + batch * SLOTS * kept * 4


def table(found, peers, most):
    copy = found.get(("floor", "copy 1 GiB"))
    if copy is None or ("floor", "smallest launch") not in found:
        return []
    bandwidth = 2 * (1 << 30) / (copy * 1e-9)
    launch = found[("floor", "smallest launch")] / 1e3
    by_shape = {(r["batch"], r["heads"], r["tokens"]): r for r in peers.get("rows", [])}
    rows = [{"kernel": "copy", "bytes_per_s": bandwidth}, {"kernel": "launch", "us": launch}]
    for (group, name), nanoseconds in sorted(found.items()):
        if group != "gpu":
            continue
        kernel, shape = name.rsplit(" ", 1)
        sizes = tuple(map(int, shape.split("x")))
        moved, us = moved_bytes(kernel, *sizes, most), nanoseconds / 1e3
        row = {"kernel": kernel, "shape": shape, "us": us, "bytes": moved}
        row["floor_us"] = max(1e6 * moved / bandwidth, launch)
        row["share_of_bandwidth"] = 1e6 * moved / us / bandwidth
        peer = by_shape.get(sizes, {})
        row["peers_us"] = {n: peer[n] for n in PEERS.get(kernel, []) if n in peer}
        rows.append(row)
    return rows


def paths(rows):
    """What the fused pass takes in one launch of clusters, in two launches, and as it is."""
    timed = {(row["kernel"], row["shape"]): row["us"] for row in rows if "shape" in row}
    found = []
    for (kernel, shape), us in timed.items():
        two, cluster = timed.get(("fused in two", shape)), timed.get(("fused by cluster", shape))
        if kernel == "fused" and two:
            best = min(two, cluster or two)
            row = {"shape": shape, "fused_us": us, "two_us": two, "cluster_us": cluster}
            found.append(row | {"over_best": us / best})
    return found


def model_rows(ours, theirs):
    """Each figure of the whole model that both sides have, in milliseconds."""
    for name, one in ours.items():
        other = theirs.get(name)
        if not isinstance(one, dict) or not isinstance(other, dict) or name == "failed":
            continue
        for figure in ("prefill_ms", "decode_ms_per_token", "ms"):
            if figure in one and figure in other:
                yield {
                    "what": name,
                    "figure": figure,
                    "ms": one[figure],
                    "peer_ms": other[figure],
                    "times": other[figure] / one[figure],
                }


# The least that each figure of the model must be faster than its peer.
MODEL = {("branches", "decode_ms_per_token"): 3, ("grid", "ms"): 30}


def model_demands(rows):
    for row in rows:
        is_prefill = row["what"].startswith("S=") and row["figure"] == "prefill_ms"
        least = 1 if is_prefill else MODEL.get((row["what"], row["figure"]))
        if least:
            name = f"{row['what']} {row['figure'].split('_')[0]}, {least}x transformers"
            yield name, f"{row['times']:.2f}x", row["times"] >= least


def demands(rows):
    """What the kernels are held to, as (demand, what was measured, whether it holds)."""
    timed = {(row["kernel"], row["shape"]): row for row in rows if "shape" in row}
    one = timed.get(("fused", "1x32x576"), {})
    peers = one.get("peers_us", {})
    for name, least in [("eager_us", 25), ("compiled_graph_us", 5)]:
        if name in peers:
            ratio = peers[name] / one["us"]
            yield f"one sample, {least}x PyTorch {name[:-3]}", f"{ratio:.1f}x", ratio >= least
    read = timed.get(("score_batch and read", "1x32x576"), {})
    if "eager_read_us" in read.get("peers_us", {}):
        ratio = read["peers_us"]["eager_read_us"] / read["us"]
        yield "one sample read on the host, 25x PyTorch eager", f"{ratio:.1f}x", ratio >= 25
    for (kernel, shape), row in timed.items():
        sort = timed.get(("segmented_sort", shape))
        if kernel == "fused" and sort:
            ratio = sort["us"] / row["us"]
            yield f"fused faster than CUB's sort, {shape}", f"{ratio:.2f}x", ratio > 1
        if kernel == "gather_tokens" and int(shape.split("x")[0]) >= 16:
            share = row["share_of_bandwidth"]
            yield f"gather at 80 % of a copy, {shape}", f"{100 * share:.0f} %", share >= 0.8


def show_model(rows):
    for row in rows:
        print(
            f"{row['what']:<12} {row['figure']:<20} {row['ms']:>10.2f} ms"
            f" {row['peer_ms']:>10.2f} ms in transformers {row['times']:>7.2f}x"
        )


def show_paths(rows):
    for row in rows:
        cluster = f"{row['cluster_us']:.2f}" if row["cluster_us"] else "none"
        note = "" if row["over_best"] < 1.1 else "  the rule took the slower one"
        print(
            f"paths {row['shape']:<12} cluster {cluster:>9} two {row['two_us']:>9.2f}"
            f" taken {row['fused_us']:>9.2f} us{note}"
        )


def show(rows):
    print(f"{'kernel':<21} {'BxHxN':<12} {'us':>9} {'floor':>8} {'times':>6}  peers")
    for row in rows:
        if "shape" not in row:
            continue
        against = ", ".join(f"{k[:-3]} {v / row['us']:.1f}x" for k, v in row["peers_us"].items())
        print(
            f"{row['kernel']:<21} {row['shape']:<12} {row['us']:>9.2f} {row['floor_us']:>8.2f}"
            f" {row['us'] / row['floor_us']:>6.1f}  {against}"
        )


def main(folder):
    lines = (folder / "steps.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines if line.endswith("}")]
    peers = read_json(folder / "peers.json", {})
    rows = table(benchmarks(folder), peers, most_bytes(folder))
    is_emulated = any(step["status"] == "emulated" for step in steps)
    model = read_json(folder / "model.json", {})
    model_peers = read_json(folder / "model-peers.json", {})
    both = list(model_rows(model, model_peers))
    checked = [] if is_emulated else [*demands(rows), *model_demands(both)]
    record = {
        "gpu": (folder / "gpu.csv").read_text().strip() if (folder / "gpu.csv").exists() else None,
        "is_emulated": is_emulated,
        "steps": steps,
        "rows": rows,
        "paths": paths(rows),
        "model": both,
        "model_alone": model or None,
        "model_peers": model_peers or None,
        "demands": [
            {"demand": demand, "measured": measured, "holds": holds}
            for demand, measured, holds in checked
        ],
        "peers": peers or None,
    }
    (folder / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"\nrecord: {folder / 'record.json'}")
    if any("shape" in row for row in rows):
        show(rows)
        show_paths(paths(rows))
    elif not both:
        print("no figures: nothing was timed here")
    show_model(both)
    for demand, measured, holds in checked:
        print(f"{'holds' if holds else 'FAILS':<6} {demand}: {measured}")
    if is_emulated:
        print("emulated on the host: no figure means anything")
    count = lambda status: sum(step["status"] == status for step in steps)
    print(
        f"steps: {count('passed')} passed, {count('failed')} failed, "
        f"{count('timeout')} out of time, {count('skipped')} skipped"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

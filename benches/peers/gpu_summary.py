"""One record and one short table of what run.sh left in a folder.

    python gpu_summary.py FOLDER

Reads criterion's estimates, the peers' record and the steps; writes record.json.
Needs nothing but Python.
"""

import json
import sys
from pathlib import Path

SLOTS = 9
HIDDEN, SYSTEM, TEXT = 4096, 35, 27
MAX_GATHERED = 8 << 30


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


def floor_us(name, batch, heads, tokens, kept, bandwidth, launch):
    """The larger of bytes over bandwidth and one launch."""
    attention = batch * heads * tokens * 4
    if name == "gather_tokens":
        per_sample = (SYSTEM + tokens + TEXT) * HIDDEN * 2
        samples = max(1, min(batch, MAX_GATHERED // per_sample))
        moved = 2 * samples * (SYSTEM + kept + TEXT) * HIDDEN * 2
    else:
        moved = attention + batch * SLOTS * kept * 4
    return max(1e6 * moved / bandwidth, launch)


def table(found, peers):
    copy = found.get(("floor", "copy 1 GiB"))
    if copy is None:
        return []
    bandwidth = 2 * (1 << 30) / (copy * 1e-9)
    launch = found[("floor", "smallest launch")] / 1e3
    by_shape = {(r["batch"], r["heads"], r["tokens"]): r for r in peers.get("rows", [])}
    kept_of = {(32, 576): 166, (40, 576): 172, (32, 2880): 832}
    rows = [{"kernel": "copy", "bytes_per_s": bandwidth}, {"kernel": "launch", "us": launch}]
    for (group, name), nanoseconds in sorted(found.items()):
        if group != "gpu":
            continue
        kernel, shape = name.rsplit(" ", 1)
        batch, heads, tokens = map(int, shape.split("x"))
        kept = kept_of[(heads, tokens)]
        floor = floor_us(kernel, batch, heads, tokens, kept, bandwidth, launch)
        row = {"kernel": kernel, "shape": shape, "us": nanoseconds / 1e3, "floor_us": floor}
        peer = by_shape.get((batch, heads, tokens), {})
        names = ["gather_us"] if kernel == "gather_tokens" else [
            "eager_us", "eager_graph_us", "compiled_us", "compiled_graph_us", "sort_us",
        ]
        if kernel.startswith(("fused", "gather")):
            row["peers_us"] = {name: peer[name] for name in names if name in peer}
        rows.append(row)
    return rows


def main(folder):
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    rows = table(benchmarks(folder), read_json(folder / "peers.json", {}))
    record = {
        "gpu": (folder / "gpu.csv").read_text().strip() if (folder / "gpu.csv").exists() else None,
        "steps": steps,
        "rows": rows,
        "peers": read_json(folder / "peers.json", None),
    }
    (folder / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"\nrecord: {folder / 'record.json'}")
    timed = [row for row in rows if "shape" in row]
    if not timed:
        print("no figures: nothing was timed here")
    else:
        print(f"{'kernel':<18} {'BxHxN':<12} {'us':>9} {'floor':>8} {'times':>6}  peers")
        for row in timed:
            peers = row.get("peers_us", {})
            against = ", ".join(f"{k[:-3]} {v / row['us']:.1f}x" for k, v in peers.items())
            print(
                f"{row['kernel']:<18} {row['shape']:<12} {row['us']:>9.2f} {row['floor_us']:>8.2f}"
                f" {row['us'] / row['floor_us']:>6.1f}  {against}"
            )
    count = lambda status: sum(step["status"] == status for step in steps)
    print(f"steps: {count('passed')} passed, {count('failed')} failed, {count('skipped')} skipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

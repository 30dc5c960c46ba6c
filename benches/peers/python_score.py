"""What a call from Python costs beside the same call in Rust.

    python python_score.py SCORE_TIMINGS RECORD.md

SCORE_TIMINGS is the program `score-timings` of fp-benches, built in release; the Python has the
package's wheel, NumPy and PyTorch. Both sides score the same attention by the nine strategies of
the study, in turn, three rounds; medians of each. Then what memory a large tensor takes.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import finepruner
from finepruner import _native

STUDY = (
    "sum variance entropy max_attention attention_range sparsity top_k_sum weighted_quality "
    "gini_coefficient"
).split()
ROUNDS = 3
SECONDS = 2.0


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a safetensors file of f32."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        values = np.frombuffer(content[end + start : end + stop], dtype="<f4")
        found[name] = values.reshape(entry["shape"])
    return found


def median_ms(call) -> float:
    """Median of as many calls as fit into SECONDS, in milliseconds."""
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main() -> None:
    """Measures and writes the record."""
    program, record = sys.argv[1:]
    rows = {"rust": [], "call": [], "kept": [], "record": []}
    batch = {"rust": [], "call": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            subprocess.run([program, folder], check=True)
            rust = {
                entry["name"]: entry
                for entry in json.loads((Path(folder) / "finepruner.json").read_text())
            }
            inputs = tensors(Path(folder) / "inputs.safetensors")
            one, many = rust["1x32x576"], rust["64x32x576"]
            settings = {
                "keep": one["kept"],
                "heads": STUDY,
                "num_selected_heads": one["num_selected_heads"],
            }
            attention = np.ascontiguousarray(inputs["1x32x576"][0])
            found = finepruner.score(attention, **settings)
            expected = [choice["kept_tokens"] for choice in one["samples"][0]]
            assert [chosen.kept_tokens.tolist() for chosen in found] == expected
            rows["rust"].append(1e3 * one["median_s"])
            rows["call"].append(median_ms(lambda: finepruner.score(attention, **settings)))
            rows["kept"].append(
                median_ms(
                    lambda: [s.kept_tokens for s in finepruner.score(attention, **settings)]
                )
            )
            rows["record"].append(
                median_ms(lambda: [s.to_dict() for s in finepruner.score(attention, **settings)])
            )
            tensor = torch.tensor(inputs["64x32x576"])
            settings["keep"] = many["kept"]
            batch["rust"].append(1e3 * many["median_s"])
            batch["call"].append(
                median_ms(lambda: finepruner.score(tensor, batch=True, **settings))
            )
    assert _native.address(tensor) == tensor.data_ptr()
    # A tensor so large that a copy would show beside everything else.
    large = tensor.repeat(50, 1, 1)
    size = large.numel() * large.element_size() / 1e6
    assert _native.address(large) == large.data_ptr()
    finepruner.score(large[:64], keep=64, heads="sum", batch=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = finepruner.score(large, keep=64, heads="sum", batch=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6
    results = len(kept) * 8 * (32 + 16 + 576 + 64) / 1e6

    def line(name: str, values: list[float], rust: list[float]) -> str:
        shown = ", ".join(f"{value:.3f}" for value in values)
        ratio = statistics.median(values) / statistics.median(rust)
        return f"| {name} | {shown} | {ratio:.2f} |"

    cpu = next(
        entry.split(":")[1].strip()
        for entry in Path("/proc/cpuinfo").read_text().splitlines()
        if entry.startswith("model name")
    )
    text = [
        "# Scoring from Python beside Rust",
        "",
        f"{cpu}, {os.cpu_count()} cores, {one['isa']}; Python {sys.version.split()[0]}, NumPy "
        f"{np.__version__}, PyTorch {torch.__version__}. Load average before the end: "
        f"{os.getloadavg()[0]:.2f}.",
        "",
        "The nine strategies of the study, l1, f32; Rust is `score_batch`, called by "
        "`score-timings`. Medians in",
        f"milliseconds of {ROUNDS} rounds, the sides in turn; the ratio is of the rounds' medians.",
        "",
        "| [32, 576] | ms | ÷ Rust |",
        "|---|---|---|",
        line("Rust", rows["rust"], rows["rust"]),
        line("`score`", rows["call"], rows["rust"]),
        line("`score`, and every `kept_tokens` as an array", rows["kept"], rows["rust"]),
        line("`score`, and every record as a dict", rows["record"], rows["rust"]),
        "",
        "| [64, 32, 576], a PyTorch tensor | ms | ÷ Rust |",
        "|---|---|---|",
        line("Rust", batch["rust"], batch["rust"]),
        line("`score`", batch["call"], batch["rust"]),
        "",
        "The address that is read is the tensor's own (`data_ptr`). Scoring "
        f"{list(large.shape)}, {size:.0f} MB,",
        f"raised the process's peak memory by {grown:.0f} MB, of which selections are "
        f"{results:.0f} MB: nothing of the size of a copy.",
        "",
        "To repeat: `cargo build --release -p fp-benches --bin score-timings`, `cargo xtask wheel`, "
        "install the wheel",
        "beside PyTorch, then `python benches/peers/python_score.py target/release/score-timings "
        "RECORD.md`.",
        "",
    ]
    Path(record).write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()

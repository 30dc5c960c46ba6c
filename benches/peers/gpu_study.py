"""Whether a model on the CPU and on a GPU computes, chooses and answers alike.

    python gpu_study.py FOLDER

Reads logits-cpu.safetensors and logits-cuda.safetensors of `finepruner generate --logits`,
and the runs study-cpu and study-cuda of one study, as run.sh leaves them. Logits may differ
by 1e-3. Of each sample each cell is compared: selected heads, kept tokens, answer. The
attention of two devices differs in its last bits, so that a cut below 1e-4 of the scores'
range may fall elsewhere: such cells are counted apart. Records are read by `finepruner records`,
of the program that FINEPRUNER names or that is found. Exits with 1 where logits or another
selection differ, or where more than one answer in a hundred does. Needs nothing else but Python.
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

NEAR_TIE = 1e-4
LOGITS = 1e-3


def logits(path):
    """The f32 tensor `logits` of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    entry = json.loads(data[8 : 8 + length])["logits"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    assert entry["dtype"] == "F32", entry
    return struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])


def samples(run):
    program = os.environ.get("FINEPRUNER", "finepruner")
    lines = subprocess.run([program, "records", run], check=True, stdout=subprocess.PIPE)
    for line in lines.stdout.decode().splitlines():
        yield json.loads(line)["sample"]


def chosen(sample, cell):
    """What a cell kept and what was answered then."""
    run = sample["runs"][cell["run"]] if "run" in cell else {}
    return cell.get("heads"), run.get("seen"), run.get("text")


def is_near_tie(cell):
    cuts = [cell.get(name) for name in ("head_cut", "coarse_head_cut", "token_cut")]
    return any(cut and cut["gap"] < NEAR_TIE for cut in cuts)


def compare(a, b):
    """Cells of two runs, and how many of them differ in what."""
    count = {"cells": 0, "near_ties": 0, "selections": 0, "answers": 0}
    for one, other in zip(samples(a), samples(b), strict=True):
        if one["id"] != other["id"]:
            sys.exit(f"{one['id']} stands where the other run has {other['id']}")
        for cell, twin in zip(one["cells"], other["cells"], strict=True):
            heads, kept, text = chosen(one, cell)
            other_heads, other_kept, other_text = chosen(other, twin)
            count["cells"] += 1
            if (heads, kept) != (other_heads, other_kept):
                near = is_near_tie(cell) or is_near_tie(twin)
                count["near_ties" if near else "selections"] += 1
            elif text != other_text:
                count["answers"] += 1
    return count


def main(folder):
    names = [Path(folder) / f"logits-{device}.safetensors" for device in ("cpu", "cuda")]
    missing = [path.name for path in names if not path.exists()]
    runs = [Path(folder) / f"study-{device}" for device in ("cpu", "cuda")]
    missing += [run.name for run in runs if not (run / "records.blocks").exists()]
    if missing:
        sys.exit(f"{folder} lacks {', '.join(missing)}")
    count = compare(*runs)
    one, other = map(logits, names)
    assert len(one) == len(other), "logits of two sizes"
    # A NaN is no number that anything is larger than: it must not pass as small.
    gap = max((abs(a - b) if a == a and b == b else float("inf") for a, b in zip(one, other)))
    count["largest_logit_difference"] = gap
    print(json.dumps(count))
    is_alike = gap <= LOGITS and count["cells"] > 0 and count["selections"] == 0
    return not (is_alike and count["answers"] <= 0.01 * count["cells"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

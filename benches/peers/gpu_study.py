"""Whether two runs of one study, on different devices, chose and answered alike.

    python gpu_study.py RUN_A RUN_B

Compares each cell of each sample: selected heads, kept tokens, answer. The attention of
two devices differs in its last bits, so that a cut below 1e-4 of the scores' range may
fall elsewhere: such cells are counted apart. Exits with 1 where another selection
differs, or where more than one answer in a hundred does. Needs nothing but Python.
"""

import json
import sys
from pathlib import Path

NEAR_TIE = 1e-4


def samples(run):
    for line in (Path(run) / "records.jsonl").read_text().splitlines():
        yield json.loads(line)["sample"]


def chosen(sample, cell):
    """What a cell kept and what was answered then."""
    run = sample["runs"][cell["run"]] if "run" in cell else {}
    return cell.get("heads"), run.get("seen"), run.get("text")


def is_near_tie(cell):
    cuts = [cell.get(name) for name in ("head_cut", "coarse_head_cut", "token_cut")]
    return any(cut and cut["gap"] < NEAR_TIE for cut in cuts)


def main(a, b):
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
    print(json.dumps(count))
    return count["selections"] > 0 or count["answers"] > 0.01 * count["cells"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))

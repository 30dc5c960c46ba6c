#!/usr/bin/env python3
"""Whether two runs of a study chose the same tokens, gave the same answers and came to the
same numbers.

    python3 benches/peers/same_run.py RUN_A RUN_B

Each folder is a run's, with the files of `finepruner report`; its records are read by
`finepruner records`, of the program that FINEPRUNER names or that is found. What is
compared, by the ids of samples and cells: the cells, the tokens that each cell kept, its
answer, score and smallest margin; every column of cells.csv; every p-value of
results.json. The exit code is 1 where anything differs.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path


def records(folder):
    """Of each sample and cell what was seen, answered and scored."""
    cells = [cell["id"] for cell in json.loads((folder / "run.json").read_text())["grid"]["cells"]]
    found = {}
    program = os.environ.get("FINEPRUNER", "finepruner")
    with subprocess.Popen(
        [program, "records", folder], stdout=subprocess.PIPE, encoding="utf-8"
    ) as read:
        for line in read.stdout:
            sample = json.loads(line)["sample"]
            for cell, record in zip(cells, sample["cells"]):
                run = record.get("run")
                if run is None:
                    answer = (record.get("skipped"), record.get("error"))
                else:
                    run = sample["runs"][run]
                    answer = (
                        json.dumps(run["seen"]),
                        run["text"],
                        tuple(run["token_ids"]),
                        run["score"],
                        run["min_margin"],
                    )
                found[sample["dataset"], sample["id"], cell] = answer
    if read.returncode != 0:
        sys.exit(f"{program} records {folder} ended with {read.returncode}")
    return cells, found


def table(folder):
    with open(folder / "cells.csv", encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def p_values(value, place="", found=None):
    """All numbers of results.json whose key names a p-value, by their places."""
    found = {} if found is None else found
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.startswith("p_") or key == "p" or "p_value" in key:
                found[f"{place}.{key}"] = inner
            p_values(inner, f"{place}.{key}", found)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            p_values(inner, f"{place}[{index}]", found)
    return found


def main():
    a, b = Path(sys.argv[1]), Path(sys.argv[2])
    (cells_a, of_a), (cells_b, of_b) = records(a), records(b)
    p_a, p_b = (p_values(json.loads((run / "results.json").read_text())) for run in (a, b))
    table_a, table_b = table(a), table(b)
    differing = [key for key in of_a if of_a[key] != of_b.get(key)]
    checks = [
        (f"{len(cells_a)} cells", cells_a == cells_b),
        (f"{len(of_a)} selections, answers, scores and margins",
         not differing and of_a.keys() == of_b.keys()),
        (f"{len(table_a) - 1} rows of cells.csv", table_a == table_b),
        (f"{len(p_a)} p-values of results.json", p_a == p_b),
    ]
    for what, same in checks:
        print(f"{'same' if same else 'DIFFERENT'}: {what}")
    for key in differing[:5]:
        print("  ", key, of_a[key], of_b.get(key), sep="\n    ")
    sys.exit(0 if all(same for _, same in checks) else 1)


if __name__ == "__main__":
    main()

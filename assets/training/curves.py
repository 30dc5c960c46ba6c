"""Learning curves of training.json as a picture and a table.

Needs matplotlib. Writes curves.svg beside training.json and prints the table.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

FAMILIES = ("attribute", "existence", "paired", "glyph", "chain")


def points(stages):
    """Validation points with steps counted through all stages, and where stages begin."""
    first, found, begins = 0, [], []
    for stage in stages:
        begins.append(first)
        curve = stage["curve"]
        found += [(first + point["step"], point) for point in curve if "unpruned" in point]
        first += curve[-1]["step"]
    return found, begins


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of the model")
    args = parser.parse_args()
    folder = Path(args.model)
    training = json.loads((folder / "training.json").read_text())
    plt.rcParams.update({"svg.hashsalt": "curves", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), width_ratios=(1, 2), layout="constrained")
    vision = training["vision"]
    names = [name for name in vision[-1] if name in ("shape", "color", "size", "digit")]
    for name in names:
        left.plot([point["step"] for point in vision if name in point], [point[name] for point in vision if name in point], label=name)
    left.set(title="Vision tower, patches named right", xlabel="step", ylim=(0, 1.02))
    left.legend(frameon=False, loc="lower right")
    found, begins = points(training["decoder"])
    steps = [step for step, _ in found]
    for family in FAMILIES:
        right.plot(steps, [point["unpruned"][family] for _, point in found], label=family, linewidth=1.2)
    right.plot(steps, [point["unpruned"]["all"] for _, point in found], label="all", color="black", linewidth=2)
    right.plot(steps, [point["dropped"]["all"] for _, point in found], "k:", label="all, image dropped after layer 2")
    right.plot(steps, [point["blind"]["all"] for _, point in found], "k--", linewidth=1, label="all, no image")
    for begin in begins[1:]:
        right.axvline(begin, color="0.7", linewidth=0.8)
    right.set(title="Decoder, validation accuracy", xlabel="step (lines: a further stage begins)", ylim=(0, 1.02))
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(folder / "curves.svg", metadata={"Date": None})

    print("| step | " + " | ".join(FAMILIES) + " | all | all, dropped | all, no image |")
    print("|---" * (len(FAMILIES) + 4) + "|")
    stride = max(1, len(found) // 16)
    for step, point in found[stride - 1 :: stride]:
        values = [point["unpruned"][family] for family in FAMILIES]
        values += [point[way]["all"] for way in ("unpruned", "dropped", "blind")]
        print(f"| {step} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |")


if __name__ == "__main__":
    main()

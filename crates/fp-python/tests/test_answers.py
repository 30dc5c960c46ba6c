"""Metrics of answers and tests between scores."""

from __future__ import annotations

import finepruner
import numpy as np
import pytest


def test_rules() -> None:
    assert "vqa_official" in finepruner.answer_rules()
    assert finepruner.vqa_accuracy("Red", ["red"] * 2 + ["blue"] * 8) == pytest.approx(0.6)
    assert finepruner.gqa("Left.", "left") and not finepruner.gqa("Left. ", "left")
    assert finepruner.chartqa("10.4", "10") and not finepruner.chartqa("10.6", "10")
    assert finepruner.scienceqa("The answer is B.", "B")
    assert finepruner.mmbench_answer("B", "B", ["up", "down"])
    assert finepruner.answer_score("anls", "paris", "Paris") == 1.0
    with pytest.raises(finepruner.Error, match="unknown answer rule `vqa`"):
        finepruner.answer_score("vqa", "a", "a")
    with pytest.raises(finepruner.Error, match="at least 2 answers"):
        finepruner.vqa_accuracy("a", ["a"])


def test_pope() -> None:
    rows = [("random", "Yes", "yes"), ("random", "No, it isn't", "yes"), ("random", "no", "no")]
    report = finepruner.pope(rows)
    assert report["pooled"]["counts"]["false_negative"] == 1
    assert report["mean_f1"] == pytest.approx(2 / 3)
    with pytest.raises(finepruner.Error, match="yes or no"):
        finepruner.pope([("random", "yes", "maybe")])
    with pytest.raises(finepruner.Error, match="official, lmms_eval or vlmevalkit"):
        finepruner.pope(rows, reader="mine")
    with pytest.raises(finepruner.Error, match="is empty"):
        finepruner.pope([])


def test_mme() -> None:
    rows = [
        ("OCR", "a.png", "Yes", "Yes"),
        ("OCR", "a.png", "No", "No"),
        ("OCR", "b.png", "Yes", "Yes"),
        ("OCR", "b.png", "Yes", "No"),
    ]
    task = finepruner.mme(rows)["tasks"]["OCR"]
    assert (task["score"], task["accuracy"], task["accuracy_plus"]) == (125.0, 0.75, 0.5)
    assert finepruner.mme(rows)["perception"] is None
    with pytest.raises(finepruner.Error, match="exactly two answers"):
        finepruner.mme(rows[:3])
    with pytest.raises(finepruner.Error, match="consecutive or by_image"):
        finepruner.mme(rows, pairing="any")


def test_mmbench() -> None:
    rows = [(1, True, "ocr", "fine"), (1_000_001, False, "ocr", "fine"), (2, True, "x", "fine")]
    report = finepruner.mmbench(rows)
    assert (report["circular"], report["vanilla_first"]) == (0.5, 1.0)
    assert report["by_category"] == {"ocr": 0.0, "x": 1.0}
    with pytest.raises(finepruner.Error, match="occurs twice"):
        finepruner.mmbench([rows[0], rows[0]])


def test_compare() -> None:
    rng = np.random.default_rng(0)
    base = (rng.random(300) < 0.5).astype(float)
    better = np.maximum(base, rng.random(300) < 0.5)
    images = [f"image-{at // 3}" for at in range(300)]
    found = finepruner.compare(better, base, clusters=images)
    assert (found.n, found.num_clusters, found.outcome) == (300, 100, "better")
    assert found.interval is not None and found.interval[0] > 0
    assert found.difference == pytest.approx(float(np.mean(better - base)))

    family = finepruner.compare({"better": better, "same": base}, base, clusters=images)
    assert list(family) == ["better", "same"]
    assert family["better"].p == found.p
    assert family["better"].p_holm == pytest.approx(2 * (found.p or 0.0))
    assert family["same"].to_dict()["is_identical"]
    alone = finepruner.compare([1, 0], [0, 1], clusters=["a", "a"])
    assert (alone.outcome, alone.p) == ("untested", None)
    assert alone.because is not None and "image" in alone.because


def test_scores_that_do_not_fit() -> None:
    with pytest.raises(finepruner.Error, match="expected 2, one per sample"):
        finepruner.compare([1, 0, 1], [0, 1])
    with pytest.raises(finepruner.Error, match="a number from 0 to 1"):
        finepruner.compare([1, 2], [0, 1])
    with pytest.raises(finepruner.Error, match="clusters"):
        finepruner.compare([1, 0], [0, 1], clusters=[1])

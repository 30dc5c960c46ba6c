"""Studies on the shipped model and benchmark."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import finepruner
import pytest

CONFIG = {"study": "a", "head_selection_strategies": ["sum", "variance"]}
SETTINGS: dict[str, Any] = {
    "dataset": "embedded:select",
    "controls": ["vanilla"],
    "limit": 6,
    "no_report": True,
    "threads": 2,
    "batch_size": 1,
}


def test_a_study_and_its_tables(tmp_path: Path) -> None:
    seen: list[finepruner.Progress] = []
    result = finepruner.study(CONFIG, tmp_path / "run", progress=seen.append, **SETTINGS)
    assert result["summary"]["num_samples"] == 6
    assert seen and seen[-1].done == seen[-1].total == 6
    run = finepruner.read_run(tmp_path / "run")
    assert len(run.records) == 6 * len(run.cells)
    by_cell = {cell["cell"]: cell for cell in run.cells}
    vanilla = [record for record in run.records if record["cell"] == "vanilla"]
    scores = [record["score"] for record in vanilla]
    assert by_cell["vanilla"]["accuracy"] == pytest.approx(sum(scores) / len(scores))
    assert {record["kept_tokens"] is None for record in vanilla} == {True}
    with pytest.raises(finepruner.Error, match="isn't the folder of a run"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "file").write_text("")
        finepruner.study(CONFIG, tmp_path / "other", **SETTINGS)
    again = finepruner.compare_runs(tmp_path / "run", tmp_path / "run")
    assert again["num_shared"] == 6


def test_ctrl_c_leaves_what_can_be_resumed(tmp_path: Path) -> None:
    def interrupt(progress: finepruner.Progress) -> None:
        if progress.done >= 1:
            os.kill(os.getpid(), signal.SIGINT)

    # Programs in the background are started with the signal ignored.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            finepruner.study(CONFIG, tmp_path, progress=interrupt, **{**SETTINGS, "limit": 40})
    finally:
        signal.signal(signal.SIGINT, earlier)
    resumed: list[finepruner.Progress] = []
    result = finepruner.study(
        CONFIG, tmp_path, progress=resumed.append, **{**SETTINGS, "limit": 40}
    )
    assert 1 <= resumed[0].resumed <= 40
    assert result["summary"]["num_samples"] == 40


def test_in_the_background(tmp_path: Path) -> None:
    run = finepruner.start_study(CONFIG, tmp_path, **{**SETTINGS, "limit": 40})
    names = [thread.name for thread in threading.enumerate()]
    assert "finepruner-study" not in names  # no thread of Python's
    run.stop()
    with pytest.raises(finepruner.Error, match="resumes it"):
        run.result()
    assert run.is_over


def test_other_threads_run_while_one_waits(tmp_path: Path) -> None:
    run = finepruner.start_study(CONFIG, tmp_path, **{**SETTINGS, "limit": 40})
    # With the lock held, nobody could stop what is waited for.
    stopper = threading.Thread(target=run.stop)
    stopper.start()
    while not run.is_over:
        run.wait(3600.0)
    stopper.join()


def test_what_is_wrong_shows_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(finepruner.Error, match="nonsense"):
        finepruner.study({"study": "a", "nonsense": 1}, tmp_path / "run")
    with pytest.raises(finepruner.Error, match="no_such_flag"):
        finepruner.study({"study": "a"}, tmp_path / "run", no_such_flag=1)
    with pytest.raises(finepruner.Error, match="no_such.json"):
        finepruner.study(tmp_path / "no_such.json", tmp_path / "run")
    with pytest.raises(finepruner.Error, match="no_such_run"):
        finepruner.read_run(tmp_path / "no_such_run")
    assert not (tmp_path / "run").exists()

"""The command, the examples and the types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import finepruner
import pytest

from conftest import ROOT, command

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_the_command() -> None:
    assert command("--version").split()[1] == finepruner.__version__
    done = subprocess.run(
        [sys.executable, "-m", "finepruner", "score"], capture_output=True, check=False
    )
    assert done.returncode == 2


def test_everything_that_is_offered_is_documented() -> None:
    for name in finepruner.__all__:
        assert name == "__version__" or getattr(finepruner, name).__doc__, name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(example: Path, tmp_path: Path) -> None:
    arguments: list[str] = []
    if example.stem.startswith("hf_"):
        for module in ("torch", "transformers", "PIL"):
            pytest.importorskip(module, reason=f"{example.name} needs {module}")
        assets = ROOT / "assets"
        picture = assets / "benchmark" / "select" / "images" / "select-00000.png"
        arguments = [str(assets / "finepruner-tiny"), str(picture), "Shape of the red object?"]
    done = subprocess.run(
        [sys.executable, str(example), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "FINEPRUNER_EXAMPLES": str(ROOT / "examples")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_types() -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    # The package by its name: files beside it where it is installed are others' packages.
    for checked in (["--package", "finepruner"], [str(example) for example in EXAMPLES]):
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", *checked],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

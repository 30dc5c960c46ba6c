"""What tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "attention.safetensors"


def tensor(path: Path) -> npt.NDArray[np.float16]:
    """The one tensor of a safetensors file."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header.pop("__metadata__", None)
    (entry,) = header.values()
    assert entry["dtype"] == "F16"
    start, stop = entry["data_offsets"]
    values = np.frombuffer(content[end + start : end + stop], dtype="<f2")
    return values.reshape(entry["shape"])


@pytest.fixture
def attention() -> npt.NDArray[np.float16]:
    """``[H, S, S]``, the image at 5..69."""
    return tensor(EXAMPLE)


def command(*args: str) -> str:
    """Standard output of the command that the package installs."""
    done = subprocess.run(
        [sys.executable, "-m", "finepruner", *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command_json(*args: str) -> Any:
    """What it prints with ``--json``."""
    return json.loads(command(*args, "--json"))

"""Published methods on arrays."""

from __future__ import annotations

import json
from pathlib import Path

import finepruner
import numpy as np
import pytest

from conftest import command_json


def save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """A safetensors file."""
    header, data = {}, b""
    for name, values in tensors.items():
        content = values.astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(values.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_every_method_is_listed() -> None:
    assert finepruner.methods() == command_json("methods")["methods"]
    with pytest.raises(finepruner.Error, match="drat"):
        finepruner.methods("drat")


def test_choices_are_those_of_the_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((25, 8)).astype(np.float32)
    save(tmp_path / "inputs.safetensors", {"projected": features})
    expected = command_json(
        "select", "--method", "divprune", "--method-param", "ratio=0.2",
        "--input", str(tmp_path / "inputs.safetensors"),
    )
    found = finepruner.select("divprune", {"projected": features}, ratio=0.2)
    assert found.to_dict() == expected
    assert (found.kept_tokens, found.picked) == (expected["kept_tokens"], expected["picked"])
    assert (len(found.kept_tokens), found.params, found.rows) == (5, {"ratio": 0.2}, None)
    turned = finepruner.select("divprune", {"projected": np.asfortranarray(features)}, ratio=0.2)
    assert turned.kept_tokens == found.kept_tokens


def test_what_does_not_fit() -> None:
    with pytest.raises(finepruner.Error, match="reads no tensor `nonsense`"):
        finepruner.select("divprune", {"nonsense": np.zeros((2, 2))})
    with pytest.raises(finepruner.Error, match="unknown"):
        finepruner.select("nonsense", {})
    with pytest.raises(finepruner.Error, match="keep"):
        finepruner.select("divprune", {"projected": np.eye(4)}, keep=1)
    with pytest.raises(finepruner.Error, match="projected"):
        finepruner.select("divprune", {})

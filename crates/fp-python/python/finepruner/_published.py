"""The field's published pruning methods."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from . import _native
from ._arrays import Floats, floats, readable
from ._flags import word


class Choice:
    """What a published method chose.

    Attributes:
        method: Its name.
        params: Its settings, defaults included.
        kept_tokens: Image tokens that are kept as they are, in the order of the sequence, counted
            from 0; -1 is a zero vector. Merged rows and the class token are not among them.
        picked: The order of choice, where the rule is greedy; None otherwise.
        rows: ``[n, D]``, float64, read-only: the rows that the method makes; None where tokens
            are kept as they are.
        extras: What else the method says, by name, such as ``merged_from``.
    """

    def __init__(self, report: dict[str, Any], rows: Floats | None) -> None:
        self._report = report
        self.method: str = report["method"]
        self.params: dict[str, Any] = report["params"]
        self.kept_tokens: list[int] = report["kept_tokens"]
        self.picked: list[int] | None = report.get("picked")
        self.rows = rows
        known = {"method", "params", "kept_tokens", "picked", "num_kept", "tokens_shape"}
        self.extras: dict[str, Any] = {
            name: value for name, value in report.items() if name not in known
        }

    def to_dict(self) -> dict[str, Any]:
        """What ``finepruner select --json`` prints."""
        return dict(self._report)

    def __repr__(self) -> str:
        return f"<Choice of {self.method}: {len(self.kept_tokens)} tokens>"


def methods(*names: str) -> list[dict[str, Any]]:
    """What is known of published methods, all where none is named: where each acts, what it
    looks at, its settings and whose they are, where paper and code disagree.

    Returns:
        A dict per method with ``name``, ``summary``, ``site``, ``formula``, ``inputs``
        (tensors by name and shape), ``params``, ``presets``, ``paper``, ``source`` and
        further keys.

    Raises:
        Error: A name that no method has.
    """
    listing: dict[str, list[dict[str, Any]]] = json.loads(_native.methods(names))
    return listing["methods"]


def select(method: str, inputs: Mapping[str, Any], **params: object) -> Choice:
    """What a published method chooses of given tensors, computed in float64.

    Args:
        method: A name of :func:`methods`.
        inputs: Arrays by name, such as ``{"attention": ..., "features": ...}``; each method
            says which and in what shape. NumPy arrays, PyTorch tensors in host memory, or
            others as for :func:`finepruner.score`.
        **params: The method's settings, such as ``keep=64`` or ``layers=[8, 16, 24]``.

    Raises:
        Error: A method, setting or tensor that isn't known, is missing or doesn't fit.
    """
    arrays = [(name, readable(array)) for name, array in inputs.items()]
    settings = [(name, word(value)) for name, value in params.items() if value is not None]
    report, rows = _native.select(method, arrays, settings)
    found: dict[str, Any] = json.loads(report)
    made = None if rows is None else floats(rows).reshape(found["tokens_shape"])
    return Choice(found, made)

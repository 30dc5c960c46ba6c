"""Where the image stands in a sequence."""

from __future__ import annotations

import operator
import re
from typing import Any

from . import _native


def read_range(given: Any) -> tuple[int, int]:
    """``(35, 611)``, ``range(35, 611)`` and ``"35..611"`` as ``(35, 611)``, half-open.

    Raises:
        Error: Anything else.
    """
    if isinstance(given, range):
        if given.step != 1:
            raise _native.Error(f"image_range has a step of {given.step}; expected 1")
        return given.start, given.stop
    if isinstance(given, str):
        bounds = re.fullmatch(r"(\d+)\.\.(\d+)", given.strip())
        parts: Any = bounds.groups() if bounds else ()
        parts = [int(part) for part in parts]
    else:
        try:
            parts = [operator.index(part) for part in given]
        except TypeError:
            parts = ()
    if len(parts) != 2:
        raise _native.Error(
            f"image_range is {given!r}; expected two whole numbers, as in (35, 611), "
            "range(35, 611) or '35..611'"
        )
    return parts[0], parts[1]

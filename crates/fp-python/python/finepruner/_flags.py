"""Settings as the command's flags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping


def word(value: object) -> str:
    """A value as the command line has it; lists with commas."""
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if isinstance(value, Iterable):
        return ",".join(word(part) for part in value)
    return str(value)


def flags(settings: Mapping[str, object]) -> list[str]:
    """``{"num_layers": 32}`` as ``["--num-layers=32"]``. None and False leave a flag out, True
    sets one that has no value."""
    words: list[str] = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        words.append(flag if value is True else f"{flag}={word(value)}")
    return words

"""Arrays in and out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]


def readable(array: Any) -> Any:
    """``array`` as something that says where its values lie, without copying them.

    What has neither ``__array_interface__`` nor DLPack but the buffer protocol goes through
    NumPy; a tensor that PyTorch keeps gradients of is detached. Anything else stays as it is,
    to be refused where it is read.
    """
    if isinstance(array, np.ndarray) or hasattr(array, "__array_interface__"):
        return array
    if getattr(array, "requires_grad", False) and hasattr(array, "detach"):
        return array.detach()
    if hasattr(array, "__dlpack__"):
        return array
    try:
        return np.asarray(memoryview(array))
    except TypeError:
        return array


def floats(data: bytes) -> Floats:
    """Values of the compiled half; read-only."""
    return np.frombuffer(data, dtype=np.float64)


def indices(data: bytes) -> Indices:
    """Indices of the compiled half; read-only."""
    return np.frombuffer(data, dtype=np.int64)

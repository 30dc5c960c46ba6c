"""What was captured of one sample."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._scoring import Selection, score


@dataclass(frozen=True)
class Captured:
    """Rows of one layer's attention on one sample.

    Attributes:
        attention: ``[H, Q, S]``, after the softmax, float32 (float64 of a float64 model): H query
            heads, the Q rows asked for, S tokens of the sample without padding.
        query_rows: ``[Q]``, ascending: the positions in the sequence that the rows are of.
        image_range: Where the image stands in the sequence, half-open.
        layer: K, counted from 1.
    """

    attention: npt.NDArray[np.floating[Any]]
    query_rows: list[int]
    image_range: tuple[int, int]
    layer: int

    @property
    def num_image(self) -> int:
        """N, image tokens."""
        return self.image_range[1] - self.image_range[0]

    def image_attention(self) -> npt.NDArray[np.floating[Any]]:
        """``[H, Q, N]``: what the rows give to the image; a view."""
        return self.attention[:, :, self.image_range[0] : self.image_range[1]]

    def score(
        self,
        *,
        keep: int,
        heads: str | Iterable[str] = "all",
        queries: str | Iterable[str] | None = None,
        num_selected_heads: int | str | None = None,
        normalize: str = "l1",
        allow_degenerate: bool = False,
    ) -> list[Selection]:
        """What strategies choose; see :func:`finepruner.score`.

        Raises:
            Error: Also where ``queries`` read rows that weren't captured.
        """
        return score(
            self.attention,
            keep=keep,
            heads=heads,
            queries=queries,
            image_range=self.image_range,
            query_rows=self.query_rows,
            num_selected_heads=num_selected_heads,
            normalize=normalize,
            allow_degenerate=allow_degenerate,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a dump for ``finepruner score``: a safetensors file with the tensor
        ``attention``, and in its metadata where the image stands and which rows it has."""
        start, end = self.image_range
        metadata = {
            "image_range": f"{start}..{end}",
            "query_rows": stretches(self.query_rows),
            "layer": str(self.layer),
        }
        write_safetensors(path, {"attention": self.attention}, metadata)


def stretches(positions: Sequence[int]) -> str:
    """``[0, 1, 2, 9]`` as ``0..3,9``."""
    found: list[tuple[int, int]] = []
    for position in positions:
        if found and found[-1][1] == position:
            found[-1] = (found[-1][0], position + 1)
        else:
            found.append((position, position + 1))
    return ",".join(f"{a}" if b == a + 1 else f"{a}..{b}" for a, b in found)


def write_safetensors(
    path: str | os.PathLike[str],
    tensors: dict[str, npt.NDArray[np.floating[Any]]],
    metadata: dict[str, str],
) -> None:
    """Writes arrays of float64 and float32."""
    header: dict[str, Any] = {"__metadata__": metadata}
    parts: list[bytes] = []
    offset = 0
    for name, values in tensors.items():
        is_wide = values.dtype == np.float64
        part = np.ascontiguousarray(values, dtype="<f8" if is_wide else "<f4").tobytes()
        header[name] = {
            "dtype": "F64" if is_wide else "F32",
            "shape": list(values.shape),
            "data_offsets": [offset, offset + len(part)],
        }
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)

"""Which positions of a batch are a sample's, and where its image stands among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import _native
from ._model import Tensor


@dataclass(frozen=True)
class Layout:
    """One sample of a batch.

    Attributes:
        positions: Its tokens' positions in the batch's sequences, without padding.
        image_range: Where the image stands among its tokens, half-open.
        length: Of the batch's sequences, padding included.
    """

    positions: list[int]
    image_range: tuple[int, int]
    length: int


@dataclass(frozen=True)
class Asked:
    """What was said of the image beforehand.

    Attributes:
        image_token: The id of image tokens.
        image: Which image of several, counted from 0.
        image_range: Where the image stands, if the ids needn't say it.
    """

    image_token: int | None
    image: int | None
    image_range: tuple[int, int] | None


def layouts(
    input_ids: Tensor | None, attention_mask: Tensor | None, shape: tuple[int, int], asked: Asked
) -> list[Layout]:
    """Layouts of a batch whose hidden states have ``shape`` (samples, tokens)."""
    num_samples, length = shape
    mask = _rows(attention_mask, shape, "attention_mask")
    ids = _rows(input_ids, shape, "input_ids")
    found = []
    for sample in range(num_samples):
        here = [at for at in range(length) if mask is None or mask[sample][at] != 0]
        if asked.image_range is not None:
            image = asked.image_range
            if not 0 <= image[0] < image[1] <= len(here):
                raise _native.Error(
                    f"image_range {image[0]}..{image[1]} isn't in a sequence of "
                    f"{len(here)} tokens"
                )
        elif ids is None or asked.image_token is None:
            raise _native.Error(
                "the model wasn't called with input_ids, so where the image stands isn't known; "
                "pass image_range=(start, end)"
            )
        else:
            image = image_range([ids[sample][at] for at in here], asked, sample)
        found.append(Layout(here, image, length))
    return found


def image_range(ids: Sequence[int], asked: Asked, sample: int) -> tuple[int, int]:
    """Where the image stands in the ids of one sample, half-open: the one run of image tokens,
    or the one asked for."""
    runs: list[tuple[int, int]] = []
    for at, token in enumerate(ids):
        if token != asked.image_token:
            continue
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    if not runs:
        raise _native.Error(f"sample {sample} has no image token (id {asked.image_token})")
    if asked.image is not None:
        if not 0 <= asked.image < len(runs):
            raise _native.Error(
                f"image {asked.image}: sample {sample} has images 0 to {len(runs) - 1}"
            )
        return runs[asked.image]
    if len(runs) > 1:
        places = ", ".join(f"{start}..{end}" for start, end in runs)
        raise _native.Error(
            f"sample {sample} has {len(runs)} images, at {places}: choose one with image="
        )
    return runs[0]


def _rows(values: Tensor | None, shape: tuple[int, int], name: str) -> list[list[int]] | None:
    if values is None:
        return None
    if not hasattr(values, "shape") or tuple(values.shape) != shape:
        got = tuple(values.shape) if hasattr(values, "shape") else type(values).__name__
        raise _native.Error(
            f"{name} is {got}, and the layer sees {shape[0]} sequences of {shape[1]} tokens; "
            "expected one entry per token"
        )
    rows: list[list[int]] = values.tolist()
    return rows

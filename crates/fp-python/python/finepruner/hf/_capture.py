"""Attention rows of a model while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import overload

from .._ranges import read_range
from ._captured import Captured
from ._layout import Asked, Layout
from ._model import Module, attention_of, image_token_of
from ._tap import Queries, Tap


class Capture(Sequence[Captured]):
    """What was captured so far: one :class:`Captured` per sample, in the order in which prompts
    entered the model; ``[-1]`` is the last."""

    def __init__(self) -> None:
        self._samples: list[Captured] = []

    def _take(self, captured: list[Captured], found: list[Layout]) -> None:
        self._samples.extend(captured)

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Captured: ...
    @overload
    def __getitem__(self, index: slice) -> list[Captured]: ...
    def __getitem__(self, index: int | slice) -> Captured | list[Captured]:
        return self._samples[index]

    def clear(self) -> None:
        """Forgets what was captured."""
        self._samples.clear()

    def __repr__(self) -> str:
        return f"<Capture of {len(self)} samples>"


@contextmanager
def capture(
    model: Module,
    *,
    layer: int = 2,
    queries: Queries = "last_token",
    attention: Module | str | None = None,
    image_token_id: int | None = None,
    image: int | None = None,
    image_range: tuple[int, int] | range | str | None = None,
) -> Iterator[Capture]:
    """Computes attention rows of one layer whenever a prompt enters the model, in a ``with``.

    The projections of the layer are hooked and the model's own rotary embedding is applied, so
    that it works under any attention implementation (sdpa, flash attention, eager) and without
    ``output_attentions``; only the rows asked for are computed, in float32 or wider. Decoded
    tokens pass unseen, padding is left out, and the model computes what it always does.

    Args:
        model: A vision-language model of transformers: LLaVA-1.5, LLaVA-NeXT, LLaVA-OneVision,
            Qwen2-VL, Qwen2.5-VL, InternVL (the ``-hf`` checkpoints), or any whose attention
            module has ``q_proj`` and ``k_proj``, takes ``position_embeddings``, and is named.
        layer: K, counted from 1; 2 is ``attentions[1]`` of ``output_attentions=True``.
        queries: Names of query strategies, ``"all"``, or positions in the sequence, from its end
            where negative.
        attention: The attention module instead of layer K's, or its path in the model, such as
            ``"model.language_model.layers.1.self_attn"``.
        image_token_id: The id of image tokens; the configuration's by default.
        image: Which image, counted from 0, where a prompt has several.
        image_range: Where the image stands, half-open, for a model that isn't called with
            ``input_ids``.

    Yields:
        What is captured, filled by calls and ``generate`` of the model.

    Raises:
        Error: A layer or module that isn't there or can't be computed; while the model runs: a
            prompt without an image, with several, or that enters in pieces.
    """
    token = None if image_range is not None else image_token_of(model, image_token_id)
    captured = Capture()
    module = attention_of(model, layer, attention)
    bounds = None if image_range is None else read_range(image_range)
    asked = Asked(token, image, bounds)
    tap = Tap(model, module, layer, queries, asked, captured._take)
    tap.install()
    try:
        yield captured
    finally:
        tap.remove()

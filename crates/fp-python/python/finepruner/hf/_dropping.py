"""What layers behind the pruned one are called with instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _native
from ._layout import Layout
from ._model import Module, Tensor, torch
from ._tap import Tap, cache_of


class Dropping:
    """Which positions of a prompt are kept, and how that changes calls of layers."""

    def __init__(self) -> None:
        # [B, S'], ascending; none before the first prompt.
        self._places: Tensor | None = None
        # S.
        self._length = 0

    def choose(self, kept: list[list[int]], found: list[Layout]) -> None:
        """Keeps these image tokens of each sample, and everything that isn't the image."""
        dropped = []
        for tokens, layout in zip(kept, found, strict=True):
            start, end = layout.image_range
            image = layout.positions[start:end]
            dropped.append(set(image) - {image[at] for at in tokens})
        length = found[0].length
        rows = [[at for at in range(length) if at not in gone] for gone in dropped]
        counts = sorted({len(row) for row in rows})
        if len(counts) > 1:
            raise _native.Error(
                "samples of one batch would keep "
                + " and ".join(map(str, counts))
                + " tokens; expected the same number of each: run such prompts one by one"
            )
        self._places, self._length = torch().tensor(rows), length

    def hook(self, tap: Tap) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
        """A pre-hook of the layers behind the one that is tapped."""

        def enter(
            module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if self._places is None:
                raise _native.Error("a layer ran before the one whose attention is looked at")
            kwargs = dict(kwargs)
            hidden = args[0] if args else kwargs["hidden_states"]
            places = self._places.to(hidden.device)
            _check_cache(cache_of(kwargs))
            if tap.is_prompt:
                # Only the first of these layers is given the whole prompt.
                if hidden.shape[1] == self._length:
                    hidden = _gathered(hidden, places, 1)
                self._of_prompt(kwargs, places)
            else:
                self._of_decoded(kwargs, places)
            if args:
                return (hidden, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": hidden}

        return enter

    def _of_prompt(self, kwargs: dict[str, Any], places: Tensor) -> None:
        # Before the head width; whatever leads is samples, or parts of multimodal positions.
        embedded = kwargs["position_embeddings"]
        kwargs["position_embeddings"] = tuple(_gathered(part, places, -2) for part in embedded)
        mask = kwargs.get("attention_mask")
        if mask is not None:
            seen = _gathered(mask, places, -1)
            kwargs["attention_mask"] = seen if mask.ndim == 2 else _gathered(seen, places, -2)
        _forget_positions(kwargs)

    def _of_decoded(self, kwargs: dict[str, Any], places: Tensor) -> None:
        mask = kwargs.get("attention_mask")
        if mask is not None:
            decoded = torch().arange(self._length, mask.shape[-1], device=places.device)
            seen = torch().cat([places, decoded.expand(places.shape[0], -1)], dim=1)
            kwargs["attention_mask"] = _gathered(mask, seen, -1)
        _forget_positions(kwargs)


def _forget_positions(kwargs: dict[str, Any]) -> None:
    """Takes out position ids: rotary positions are in the embeddings, and flash attention would
    read gaps between ids as ends of packed sequences."""
    for name in ("position_ids", "cache_position"):
        if kwargs.get(name) is not None:
            kwargs[name] = None


def _check_cache(cache: Any | None) -> None:
    if cache is not None and getattr(cache, "is_compileable", False):
        raise _native.Error(
            f"{type(cache).__name__} has one length for all layers; expected the dynamic KV cache "
            "that generate uses by default"
        )


def _gathered(values: Tensor, places: Tensor, dimension: int) -> Tensor:
    """``values`` at ``places`` (``[B, n]``) along a dimension. The first dimension is samples,
    or 1 where they share values."""
    num_samples = places.shape[0]
    if values.shape[0] not in (1, num_samples):
        raise _native.Error(
            f"a tensor of shape {tuple(values.shape)} isn't of {num_samples} samples"
        )
    if values.shape[0] == 1 and num_samples > 1:
        values = values.expand(num_samples, *values.shape[1:])
    dimension %= values.ndim
    shape = [1] * values.ndim
    shape[0], shape[dimension] = num_samples, places.shape[1]
    wanted = list(values.shape)
    wanted[dimension] = places.shape[1]
    return values.gather(dimension, places.reshape(shape).expand(wanted))

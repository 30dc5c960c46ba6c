"""Hooks on one attention layer, which compute the rows that are asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from .. import _native
from ._captured import Captured
from ._layout import Asked, Layout, layouts
from ._model import Module, Tensor, rotary_of, torch

#: Names of query strategies, or positions in the sequence, from its end where negative.
Queries: TypeAlias = str | Iterable[str | int]


def arguments(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by name."""
    bound = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
    for parameter in inspect.signature(module.forward).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound.update(bound.pop(parameter.name, {}))
    return bound


def cache_of(named: dict[str, Any]) -> Any | None:
    """The KV cache of a call, by any of the names that transformers has had for it."""
    names = ("cache", "past_key_values", "past_key_value")
    return next((named[name] for name in names if named.get(name) is not None), None)


def positions_of(queries: Queries, layout: Layout) -> list[int]:
    """Rows that ``queries`` ask for, ascending."""
    length = len(layout.positions)
    asked = [queries] if isinstance(queries, str) else list(queries)
    names = [query for query in asked if isinstance(query, str)]
    numbers = [query for query in asked if not isinstance(query, str)]
    rows = set(_native.query_rows(names, layout.image_range, length)) if names else set()
    for number in numbers:
        position = int(number)
        if not -length <= position < length:
            raise _native.Error(f"query row {position}: the sequence has {length} tokens")
        rows.add(position % length)
    if not rows:
        raise _native.Error("queries is empty, expected at least one query strategy or position")
    return sorted(rows)


class Tap:
    """What is hooked to compute rows of one attention module whenever a prompt enters it.

    ``take`` is called with what was captured of each sample of a call, and their layouts,
    before the layer after it runs. Decoded tokens pass unseen.
    """

    def __init__(
        self,
        model: Module,
        attention: Module,
        layer: int,
        queries: Queries,
        asked: Asked,
        take: Callable[[list[Captured], list[Layout]], object],
    ) -> None:
        self._model, self._attention = model, attention
        self._layer, self._asked, self._take = layer, asked, take
        self._queries = queries if isinstance(queries, str) else list(queries)
        self._rotary = rotary_of(attention)
        self._call: dict[str, Any] = {}
        self._entered: dict[str, Any] | None = None
        self._projected: dict[str, Tensor] = {}
        self._handles: list[Any] = []
        #: Whether the call that runs, or ran last, brought a prompt.
        self.is_prompt = False

    def install(self) -> None:
        """Sets the hooks."""
        attention = self._attention
        self._handles = [
            self._model.register_forward_pre_hook(self._on_model, with_kwargs=True),
            attention.register_forward_pre_hook(self._on_enter, with_kwargs=True),
            attention.register_forward_hook(self._on_leave),
        ]
        for name in ("q", "k"):
            # Where projections are normalised, what comes of that is looked at.
            part = getattr(attention, f"{name}_norm", None) or getattr(attention, f"{name}_proj")
            self._handles.append(part.register_forward_hook(self._keeper(name)))

    def remove(self) -> None:
        """Takes the hooks off."""
        while self._handles:
            self._handles.pop().remove()
        self._call, self._entered, self._projected = {}, None, {}

    def _on_model(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = arguments(module, args, kwargs)
        self._call = {name: named.get(name) for name in ("input_ids", "attention_mask")}

    def _on_enter(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = arguments(module, args, kwargs)
        cache, length = cache_of(named), named["hidden_states"].shape[1]
        past = 0 if cache is None else int(cache.get_seq_length(module.layer_idx))
        if past > 0 and length > 1:
            raise _native.Error(
                f"{length} tokens follow {past} that are in the cache; expected prompts that enter "
                "the model whole"
            )
        self.is_prompt = past == 0
        self._entered = named if self.is_prompt else None

    def _keeper(self, name: str) -> Callable[[Module, Any, Tensor], None]:
        def keep(module: Module, args: Any, output: Tensor) -> None:
            if self._entered is not None:
                self._projected[name] = output

        return keep

    def _on_leave(self, module: Module, args: Any, output: Any) -> None:
        if self._entered is None:
            return
        entered, self._entered = self._entered, None
        shape = tuple(entered["hidden_states"].shape[:2])
        mask = self._call.get("attention_mask")
        # Masks of other forms are the decoder's own; it shows no padding then.
        two = mask if getattr(mask, "ndim", 0) == 2 else None
        found = layouts(self._call.get("input_ids"), two, (shape[0], shape[1]), self._asked)
        self._call = {}
        with torch().no_grad():
            captured = self._rows(entered, found)
        self._take(captured, found)

    def _rows(self, entered: dict[str, Any], found: list[Layout]) -> list[Captured]:
        attention, library = self._attention, torch()
        embedded = entered.get("position_embeddings")
        if embedded is None or set(self._projected) != {"q", "k"}:
            raise _native.Error(
                f"{type(attention).__name__} was called without position_embeddings, or without "
                "q_proj and k_proj; expected an attention of transformers 4.48 or later"
            )
        num_samples, width = len(found), int(attention.head_dim)

        def by_head(values: Tensor) -> Tensor:
            return values.reshape(num_samples, values.shape[1], -1, width).transpose(1, 2)

        queries, keys = by_head(self._projected.pop("q")), by_head(self._projected.pop("k"))
        queries, keys = self._rotary(queries, keys, *embedded)
        wide = library.promote_types(queries.dtype, library.float32)
        captured = []
        for sample, layout in enumerate(found):
            rows = positions_of(self._queries, layout)
            places = library.tensor(layout.positions, device=queries.device)
            looked_from = queries[sample][:, places[rows]].to(wide)
            seen = keys[sample][:, places].to(wide)
            num_heads, num_shared = looked_from.shape[0], seen.shape[0]
            grouped = looked_from.reshape(num_shared, -1, width)
            logits = (grouped @ seen.transpose(1, 2)).reshape(num_heads, len(rows), -1)
            scale = getattr(attention, "scaling", None)
            logits = logits * (width**-0.5 if scale is None else scale)
            hidden = self._hidden(entered.get("attention_mask"), sample, places, rows)
            logits = logits.masked_fill(hidden, float("-inf"))
            values = library.softmax(logits, dim=-1).cpu().numpy()
            captured.append(Captured(values, rows, layout.image_range, self._layer))
        return captured

    def _hidden(self, mask: Tensor | None, sample: int, places: Tensor, rows: list[int]) -> Tensor:
        """``[1 or H, Q, S]``: what the rows don't see, as the layer's own mask says where it has
        one, or else by causality."""
        library = torch()
        if mask is not None and mask.ndim == 4:
            of_sample = mask[min(sample, mask.shape[0] - 1)]
            part = of_sample[:, places[rows]][:, :, places]
            if part.dtype == library.bool:
                return ~part
            return part < library.finfo(part.dtype).min / 2
        window = getattr(self._attention, "sliding_window", None)
        if window is not None and len(places) > window:
            raise _native.Error(
                f"layer {self._layer} sees {window} tokens back and the sequence has "
                f"{len(places)}; expected attention to the whole sequence"
            )
        own = library.arange(len(places), device=places.device)
        return (own[None, :] > own[rows][:, None])[None]

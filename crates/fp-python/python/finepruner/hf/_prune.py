"""Visual tokens dropped after a layer, while a model answers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import _native
from .._published import methods
from .._scoring import Selection, strategies
from ._captured import Captured
from ._dropping import Dropping
from ._layout import Asked, Layout
from ._model import Module, attention_of, decoder, image_token_of
from ._tap import Queries, Tap

#: A method of one's own: from what was captured to the image tokens that are kept.
Method = Callable[[Captured], Iterable[int]]

#: The mean over every head.
FASTV = "fastv"


class Pruning:
    """What is dropped, and where.

    Attributes:
        layer: K, counted from 1; tokens are dropped after it.
        kept_tokens: Of the last prompts, per sample: image tokens that went on, ascending,
            counted from 0.
        selections: Of the last prompts, per sample: how they came about; empty where a function
            chose.
        captured: Of the last prompts, per sample: the attention that was looked at.
    """

    def __init__(self, layer: int, choose: Callable[[Captured], Selection | list[int]]) -> None:
        self.layer = layer
        self.kept_tokens: list[list[int]] = []
        self.selections: list[Selection] = []
        self.captured: list[Captured] = []
        self._choose = choose

    def _take(self, captured: list[Captured]) -> list[list[int]]:
        chosen = [self._choose(sample) for sample in captured]
        self.captured = captured
        self.selections = [choice for choice in chosen if isinstance(choice, Selection)]
        self.kept_tokens = [
            choice.kept_tokens.tolist() if isinstance(choice, Selection) else choice
            for choice in chosen
        ]
        return self.kept_tokens

    def __repr__(self) -> str:
        counts = [len(kept) for kept in self.kept_tokens]
        return f"<Pruning after layer {self.layer}, kept of the last prompts: {counts}>"


@contextmanager
def prune(
    model: Module,
    method: str | Method = FASTV,
    *,
    keep: int | None = None,
    layer: int = 2,
    queries: Queries = "last_token",
    num_selected_heads: int | str | None = None,
    normalize: str = "l1",
    allow_degenerate: bool = False,
    image_token_id: int | None = None,
) -> Iterator[Pruning]:
    """Drops image tokens after a layer whenever a prompt enters the model, in a ``with``.

    Layer K's attention is captured as by :func:`capture`, a selection is made of it, and the
    layers behind K see only the tokens that are kept, at the positions they had; their KV cache is as
    short. Answers are those of ``finepruner generate`` with the same settings. Any attention
    implementation will do; ``generate`` has to run with its usual, growing KV cache.

    Args:
        model: A vision-language model of transformers whose decoder's layers follow each other
            plainly: LLaVA-1.5, LLaVA-NeXT, LLaVA-OneVision and others like them.
        method: ``"fastv"`` (the mean over every head), the name of a head strategy, or a function
            that is given a :class:`Captured` and returns the image tokens that are kept, counted
            from 0.
        keep: R, the number of image tokens to keep; not for a function.
        layer: K, counted from 1.
        queries: The query strategy; for a function any rows, as for :func:`capture`.
        num_selected_heads: h, with a head strategy: the number of top-scoring heads to average,
            or ``"all"``; half of them by default.
        normalize: With a head strategy: ``l1`` or ``softmax``.
        allow_degenerate: Continue even if the query rows have no attention to the image.
        image_token_id: The id of image tokens; the configuration's by default.

    Yields:
        What was kept of the last prompts.

    Raises:
        Error: Settings that don't fit each other or the model; while the model runs: what
            :func:`capture` raises, samples of one batch that would keep different numbers
            of tokens, tokens that aren't in the image.
    """
    layers = decoder(model).layers
    if not 1 <= layer < len(layers):
        raise _native.Error(
            f"layer {layer}: tokens are dropped after layers 1 to {len(layers) - 1} of the "
            f"{len(layers)} that the decoder has"
        )
    choose: Callable[[Captured], Selection | list[int]]
    if callable(method):
        if keep is not None or num_selected_heads is not None:
            raise _native.Error("keep and num_selected_heads aren't for a function; leave them out")
        choose = _own(method)
    else:
        choose = _strategy(method, keep, queries, num_selected_heads, normalize, allow_degenerate)
    pruning = Pruning(layer, choose)
    dropping = Dropping()

    def take(captured: list[Captured], found: list[Layout]) -> None:
        dropping.choose(pruning._take(captured), found)

    asked = Asked(image_token_of(model, image_token_id), None, None)
    tap = Tap(model, attention_of(model, layer, None), layer, queries, asked, take)
    tap.install()
    handles = [
        behind.register_forward_pre_hook(dropping.hook(tap), with_kwargs=True)
        for behind in layers[layer:]
    ]
    try:
        yield pruning
    finally:
        tap.remove()
        for handle in handles:
            handle.remove()


def _strategy(
    method: str,
    keep: int | None,
    queries: Any,
    num_selected_heads: int | str | None,
    normalize: str,
    allow_degenerate: bool,
) -> Callable[[Captured], Selection]:
    if keep is None:
        raise _native.Error(f"method {method!r} needs keep=, how many image tokens to keep")
    if not isinstance(queries, str) or queries == "all":
        raise _native.Error(f"queries={queries!r}: expected the name of one query strategy")
    heads = method
    if method == FASTV:
        if num_selected_heads is not None:
            raise _native.Error("fastv averages every head; leave num_selected_heads out")
        heads, num_selected_heads = "sum", "all"
    known = [strategy["name"] for strategy in strategies()["head"]]
    if heads not in known:
        expected = f"expected a function or one of: {', '.join([FASTV, *known])}"
        if method in [published["name"] for published in methods()]:
            raise _native.Error(
                f"{method!r} is a published method, which finepruner.select runs on tensors; "
                f"{expected}"
            )
        close = difflib.get_close_matches(method, [FASTV, *known], 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise _native.Error(f"unknown method {method!r}{meant}; {expected}")

    def choose(captured: Captured) -> Selection:
        (selection,) = captured.score(
            keep=keep,
            heads=heads,
            queries=queries,
            num_selected_heads=num_selected_heads,
            normalize=normalize,
            allow_degenerate=allow_degenerate,
        )
        return selection

    return choose


def _own(method: Method) -> Callable[[Captured], list[int]]:
    def choose(captured: Captured) -> list[int]:
        kept = sorted({int(token) for token in method(captured)})
        if not kept or kept[0] < 0 or kept[-1] >= captured.num_image:
            raise _native.Error(
                f"the method returned {kept[:1]} to {kept[-1:]}; expected image tokens from 0 to "
                f"{captured.num_image - 1}, at least one"
            )
        return kept

    return choose

"""Scoring attention, and what comes with it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from . import _native
from ._arrays import Floats, Indices, floats, indices, readable
from ._flags import flags
from ._ranges import read_range


class Selection:
    """What one combination of strategies chose on one sample."""

    def __init__(self, scores: _native.NativeScores, index: int) -> None:
        self._scores, self._index = scores, index

    @cached_property
    def head_scores(self) -> Floats:
        """``[H]``, float64, higher is better; -inf for a head without any attention to the image
        under ``normalize="l1"``."""
        return floats(self._scores.head_scores(self._index))

    @cached_property
    def selected_heads(self) -> Indices:
        """``[h]``, int64, ascending, counted from 0."""
        return indices(self._scores.selected_heads(self._index))

    @cached_property
    def token_importance(self) -> Floats:
        """``[N]``, float64: mean attention over the selected heads."""
        return floats(self._scores.token_importance(self._index))

    @cached_property
    def kept_tokens(self) -> Indices:
        """``[R]``, int64: image tokens, ascending, counted from 0."""
        return indices(self._scores.kept_tokens(self._index))

    @cached_property
    def _names(self) -> tuple[str, str | None, int | None]:
        return self._scores.names(self._index)

    @property
    def head_strategy(self) -> str:
        """Name of the head strategy."""
        return self._names[0]

    @property
    def query_strategy(self) -> str | None:
        """Name of the query strategy; None for attention given as one row per head."""
        return self._names[1]

    @property
    def sample(self) -> int | None:
        """Index in the batch, counted from 0; None for attention of one sample."""
        return self._names[2]

    @property
    def label(self) -> str:
        """The combination's name, such as ``variance + last_token``."""
        query = self.query_strategy
        return self.head_strategy if query is None else f"{self.head_strategy} + {query}"

    @property
    def audit(self) -> dict[str, Any]:
        """What decided the selection, and how sharply: the cuts with their gaps and ties, heads
        without mass, rows that were read."""
        audit: dict[str, Any] = self.to_dict()["audit"]
        return audit

    def to_dict(self) -> dict[str, Any]:
        """The record that ``finepruner score --json`` prints of it; -inf is None there."""
        record: dict[str, Any] = json.loads(self._scores.record(self._index))
        return record

    def __repr__(self) -> str:
        kept, heads = len(self.kept_tokens), len(self.selected_heads)
        return f"<Selection {self.label}: {kept} tokens by {heads} heads>"


def score(
    attention: Any,
    *,
    keep: int,
    heads: str | Iterable[str] = "all",
    queries: str | Iterable[str] | None = None,
    image_range: tuple[int, int] | range | str | None = None,
    query_rows: Iterable[int] | None = None,
    batch: bool = False,
    num_selected_heads: int | str | None = None,
    normalize: str = "l1",
    allow_degenerate: bool = False,
) -> list[Selection]:
    """Says which heads and tokens strategies choose on attention.

    Args:
        attention: Post-softmax attention in host memory, float64, float32, float16 or
            bfloat16: a NumPy array, a PyTorch tensor, or another array with
            ``__array_interface__``, DLPack or the buffer protocol. Shapes:

            * ``[H, N]``: one row per head over the N image tokens; takes no ``image_range`` and
              no ``queries``; with ``batch=True`` ``[B, H, N]``, the same of several samples;
            * ``[H, S, S]``: one layer over a whole sequence of S tokens;
            * ``[B, H, S, S]``: the same of several samples, as one entry of ``attentions``
              of a model run with ``output_attentions=True``;
            * ``[H, Q, S]`` or ``[B, H, Q, S]``: some of the S rows, ``query_rows`` says which.

            It is read where it lies; of whole sequences only the rows that are read.
        keep: R, the number of image tokens to keep, 1 to N.
        heads: Names of head strategies, or ``"all"``; see :func:`strategies`.
        queries: Names of query strategies, or ``"all"``; ``last_token`` by default.
        image_range: Where the image stands in the sequence, half-open: ``(35, 611)`` or
            ``"35..611"`` is 576 tokens after 35 others.
        query_rows: ``[Q]``, ascending: the positions that there are rows of; all by default.
        batch: The first of three dimensions is samples: ``[B, H, N]``, scored in parallel.
        num_selected_heads: h, the number of top-scoring heads to average, or ``"all"``; half of
            them by default.
        normalize: How a head's row becomes a distribution: ``l1`` (a / sum a) or ``softmax``.
        allow_degenerate: Continue even if the query rows have no attention to the image.

    Returns:
        One selection per sample, query strategy and head strategy, in this order.

    Raises:
        Error: A shape, name, range or number that doesn't fit, a value that no softmax gives.

    Warns:
        UserWarning: Settings that change nothing, rows that don't sum to 1.
    """
    image = None if image_range is None else "{}..{}".format(*read_range(image_range))
    settings = {
        "keep": keep,
        "head_selection_strategy": heads,
        "query_selection_strategy": queries,
        "image_range": image,
        "query_rows": None if query_rows is None else [int(row) for row in query_rows],
        "batch": batch,
        "num_selected_heads": num_selected_heads,
        "normalize": normalize,
        "allow_degenerate": allow_degenerate,
    }
    scores = _native.score(readable(attention), flags(settings))
    for note in scores.notes():
        warnings.warn(note, stacklevel=2)
    return [Selection(scores, index) for index in range(len(scores))]


def strategies() -> dict[str, list[dict[str, Any]]]:
    """Every strategy with its formula, hypothesis and source.

    Returns:
        ``head``, ``query``, ``control`` and ``method``, each a list of dicts with at least
        ``name`` and ``source``.
    """
    listing: dict[str, list[dict[str, Any]]] = json.loads(_native.strategies())
    return listing


def budget(
    *,
    average_visual_tokens: float | Sequence[float] | None = None,
    keep: int | Sequence[int] | None = None,
    retention: float | Sequence[float] | None = None,
    schedule: Mapping[int, int] | str | None = None,
    model: str | None = None,
    prune_layer: int | None = None,
    num_image_tokens: int | None = None,
    num_system_tokens: int | None = None,
    num_text_tokens: int | None = None,
    num_query_rows: int | None = None,
    dtype: str | None = None,
    num_layers: int | None = None,
    hidden_size: int | None = None,
    intermediate_size: int | None = None,
    num_heads: int | None = None,
    num_kv_heads: int | None = None,
    head_dim: int | None = None,
) -> dict[str, Any]:
    """What a budget means: R, layer average, MACs, FLOPs and bytes of the KV cache.

    Args:
        average_visual_tokens: B, image tokens of an average layer, as papers state budgets.
        keep: R, image tokens that are kept after layer K.
        retention: R / N, 0 to 1. One of these three, each one number or several; by default
            192, 128 and 64 of 576 as layer averages.
        schedule: Instead of a budget the image tokens that are kept after each layer, such as
            ``{3: 309, 7: 204, 16: 113}``.
        model: A published shape: ``llava-1.5-7b`` (the default) or ``llava-1.5-13b``.
        prune_layer: K, counted from 1; 2 by default.
        num_image_tokens: N; 576 by default.
        num_system_tokens: Tokens before the image; 35 by default.
        num_text_tokens: Tokens after it; 29 by default.
        num_query_rows: Query rows that scoring reads; 1 by default.
        dtype: Of the KV cache: ``f32``, ``f16`` (the default) or ``bf16``.
        num_layers: L, with ``hidden_size``, ``intermediate_size`` and further sizes instead of
            ``model``.
        hidden_size: d.
        intermediate_size: m, of the MLP.
        num_heads: Query heads.
        num_kv_heads: KV heads.
        head_dim: Width of a head.

    Returns:
        What ``finepruner budget --json`` prints.

    Raises:
        Error: Settings that don't fit each other, a budget that can't be met.
    """
    if isinstance(schedule, Mapping):
        schedule = ",".join(f"{layer}:{tokens}" for layer, tokens in schedule.items())
    meaning: dict[str, Any] = json.loads(_native.budget(flags(dict(locals()))))
    return meaning


class Equivalence:
    """How often selections keep the same tokens.

    Attributes:
        labels: The selections that are compared.
        num_samples: Samples that each of them was made on.
        mean_jaccard: By two labels: mean over samples of |A and B| / |A or B|, 0 to 1.
        identical_share: By two labels: share of samples with the same tokens, 0 to 1.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        self.labels: list[str] = found["labels"]
        self.num_samples: int = found["num_samples"]
        self.mean_jaccard: dict[str, dict[str, float]] = self._named(found["mean_jaccard"])
        self.identical_share: dict[str, dict[str, float]] = self._named(found["identical_share"])

    def _named(self, table: list[list[float]]) -> dict[str, dict[str, float]]:
        rows = zip(self.labels, table, strict=True)
        return {label: dict(zip(self.labels, row, strict=True)) for label, row in rows}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"<Equivalence of {len(self.labels)} selections over {self.num_samples} samples>"


def equivalence(
    selections: Sequence[Selection] | Mapping[str, Sequence[Iterable[int]]],
) -> Equivalence:
    """Which selections keep the same tokens.

    Args:
        selections: What :func:`score` gave, of any number of samples or calls; or by name the
            kept tokens of each sample, ascending, every name with as many samples.

    Raises:
        Error: No selections, names with different numbers of samples, tokens that aren't
            ascending.
    """
    if isinstance(selections, Mapping):
        kept = {
            label: [[int(token) for token in tokens] for tokens in samples]
            for label, samples in selections.items()
        }
    else:
        kept = {}
        for selection in selections:
            kept.setdefault(selection.label, []).append(selection.kept_tokens.tolist())
    counts = {label: len(samples) for label, samples in kept.items()}
    if not counts or min(counts.values()) == 0:
        raise _native.Error("selections is empty, expected at least one selection")
    if len(set(counts.values())) > 1:
        raise _native.Error(f"selections are of different numbers of samples: {counts}")
    samples = [list(sample) for sample in zip(*kept.values(), strict=True)]
    return Equivalence(json.loads(_native.equivalence(list(kept), samples)))


def token_quality(
    kept_tokens: Iterable[int],
    *,
    grid: int | tuple[int, int],
    importance: Any | None = None,
    features: Any | None = None,
    boxes: Iterable[Sequence[float]] | None = None,
    image_size: tuple[int, int] | None = None,
    aspect: str = "pad",
    input_side: int = 336,
) -> dict[str, Any]:
    """What kept tokens see: where they lie, how concentrated the attention was that chose them,
    how different they are from each other, and whether they hold the evidence.

    Args:
        kept_tokens: Image tokens, ascending, counted from 0, row by row on the grid.
        grid: g, tokens beside each other of a square, N = g * g; or columns and rows of tokens
            over the whole image, as of models that take images in their own shape.
        importance: ``[N]``, attention or importance, not negative: adds ``attention``.
        features: ``[N, D]``, such as the projector's output: adds ``diversity``.
        boxes: ``[x0, y0, x1, y1]`` in pixels of the image, of what decides the answer: adds
            ``evidence``; needs ``image_size``.
        image_size: Width and height of the image in pixels.
        aspect: How the model made a square of the image: ``pad`` or ``crop``. Columns and rows
            need none.
        input_side: Side of the vision tower's input in pixels, of ``crop`` alone.

    Returns:
        ``spatial`` and ``row_profile``, and what was asked for. Distances are in cells,
        entropies in nats, shares 0 to 1.

    Raises:
        Error: Tokens outside the grid or none, arrays of other shapes, boxes that are none.
    """
    evidence: tuple[Sequence[Sequence[float]], tuple[int, int], str | None, int] | None = None
    if boxes is not None:
        if image_size is None:
            raise _native.Error("boxes are in pixels: image_size=(width, height) is needed")
        width, height = image_size
        evidence = (
            [[float(side) for side in box] for box in boxes],
            (width, height),
            None if isinstance(grid, tuple) else aspect,
            input_side,
        )
    elif image_size is not None:
        raise _native.Error("image_size is only used with boxes; omit it")
    found: dict[str, Any] = json.loads(
        _native.token_quality(
            [int(token) for token in kept_tokens],
            grid if isinstance(grid, tuple) else (grid, grid),
            None if importance is None else readable(importance),
            None if features is None else readable(features),
            evidence,
        )
    )
    return found

"""Scores tested against each other."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from . import _native

Score = float | int | bool | None


class Comparison:
    """One set of scores tested against another: paired by question, clustered by image.

    Attributes:
        a: What is tested.
        b: What it is tested against.
        n: Questions that both have a score of.
        num_clusters: Images.
        mean_a: Mean score of a, 0 to 1.
        mean_b: Mean score of b, 0 to 1.
        difference: ``mean_a - mean_b``.
        interval: Its interval at the confidence asked for; None where nothing could be tested.
        p: Two-sided p of the sign-flip test over images.
        p_holm: ``p`` after Holm's correction over all comparisons of the call.
        equivalence_p: p of the two one-sided tests for a difference within the margin.
        outcome: ``better``, ``worse``, ``equivalent``, ``undecided`` or ``untested``.
        because: Why it is undecided or untested, as a sentence; None otherwise.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found
        self.a: str = found["a"]
        self.b: str = found["b"]
        self.n: int = found.get("n", 0)
        self.num_clusters: int = found.get("num_images", 0)
        self.mean_a: float | None = found.get("mean_a")
        self.mean_b: float | None = found.get("mean_b")
        self.difference: float | None = found.get("difference")
        interval: list[float] | None = found.get("interval")
        self.interval: tuple[float, float] | None = (
            None if interval is None else (interval[0], interval[1])
        )
        self.p: float | None = found.get("p")
        self.p_holm: float | None = found.get("p_holm")
        self.equivalence_p: float | None = found.get("equivalence_p")
        self.outcome: str = found.get("outcome", "untested")
        undecided: dict[str, Any] = found.get("undecided") or found
        self.because: str | None = undecided.get("because")

    def to_dict(self) -> dict[str, Any]:
        """Everything that was computed, also the standard error, McNemar's test and the
        smallest difference that would be detected."""
        return dict(self._found)

    def __repr__(self) -> str:
        if self.difference is None or self.p_holm is None:
            return f"<Comparison {self.a} - {self.b}: {self.outcome}>"
        return (
            f"<Comparison {self.a} - {self.b}: {self.difference:+.4f}, "
            f"Holm p {self.p_holm:.3g}, {self.outcome}>"
        )


@overload
def compare(
    a: Mapping[str, Iterable[Score]],
    b: Iterable[Score],
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = 0.95,
    margin: float = 0.005,
    num_draws: int = 10_000,
    seed: int = 0,
) -> dict[str, Comparison]: ...
@overload
def compare(
    a: Sequence[Score] | Iterable[Score],
    b: Iterable[Score],
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = 0.95,
    margin: float = 0.005,
    num_draws: int = 10_000,
    seed: int = 0,
) -> Comparison: ...
def compare(
    a: Mapping[str, Iterable[Score]] | Iterable[Score],
    b: Iterable[Score],
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = 0.95,
    margin: float = 0.005,
    num_draws: int = 10_000,
    seed: int = 0,
) -> Comparison | dict[str, Comparison]:
    """Tests scores against those of a baseline on the same questions, as studies do: a
    sign-flip test over images, a clustered score interval, two one-sided tests for
    equivalence, and Holm's correction over all comparisons of the call.

    Args:
        a: ``[questions]``, scores 0 to 1, None where there is no answer; or several by name,
            which are corrected together.
        b: ``[questions]``, scores of the baseline in the same order.
        clusters: ``[questions]``, equal for questions on one image, such as image ids; every
            question for itself by default.
        confidence: Confidence level of intervals; tests are made at 1 - confidence.
        margin: Differences up to this count as none.
        num_draws: Random sign patterns where all of them are too many, at least 1000.
        seed: Of those.

    Returns:
        One comparison, or one per name.

    Raises:
        Error: Lists of different lengths, scores outside 0 to 1, settings out of range.
    """
    of_b = _scores(b)
    groups = range(len(of_b)) if clusters is None else _numbered(clusters)
    several = a if isinstance(a, Mapping) else {"a": a}
    compared: dict[str, list[dict[str, Any]]] = json.loads(
        _native.compare(
            [(name, _scores(scores)) for name, scores in several.items()],
            ("b", of_b),
            list(groups),
            (confidence, margin, num_draws, seed),
        )
    )
    found = {row["a"]: Comparison(row) for rows in compared.values() for row in rows}
    if isinstance(a, Mapping):
        return {name: found[name] for name in several}
    return found["a"]


def _scores(scores: Iterable[Score]) -> list[float | None]:
    return [None if score is None else float(score) for score in scores]


_T = TypeVar("_T", bound=Hashable)


def _numbered(clusters: Iterable[_T]) -> list[int]:
    numbers: dict[_T, int] = {}
    return [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]

"""Selections as a file for ``finepruner study --selection``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from .. import _native
from ._prune import Pruning


class SelectionRecord:
    """A file of selections that is written line by line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._ids: set[str] = set()
        self._site: str | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def add(
        self,
        id: str,
        kept: Pruning | Iterable[int],
        *,
        layer: int | None = None,
        site: str | None = None,
    ) -> None:
        """Writes what was kept for one question.

        Args:
            id: The question's id in the dataset.
            kept: What :func:`prune` yields, of which the one last prompt is taken; or image
                tokens, counted from 0, in the order in which they are kept.
            layer: K, for tokens: they are dropped after this layer. 2 by default.
            site: Where else tokens are dropped: ``vision``, ``embeddings`` or ``layer K``.

        Raises:
            Error: An id that came before, a site other than the lines' before, tokens that are
                negative or are listed twice, a batch of several prompts.
        """
        if isinstance(kept, Pruning):
            if layer is not None or site is not None:
                raise _native.Error("the layer is that of the pruning; omit it")
            if len(kept.kept_tokens) != 1:
                raise _native.Error(
                    f"{id}: the last call had {len(kept.kept_tokens)} prompts, expected one; add "
                    "kept_tokens of each"
                )
            layer, tokens = kept.layer, kept.kept_tokens[0]
        else:
            tokens = [int(token) for token in kept]
        if site is not None and layer is not None:
            raise _native.Error("layer and site say the same; remove one")
        if site is None:
            site = f"layer {2 if layer is None else layer}"
        if id in self._ids:
            raise _native.Error(f"{id} was added before")
        if self._site not in (None, site):
            raise _native.Error(
                f"{id} is pruned at {site!r}, and the lines before at {self._site!r}; every line "
                "of a file has the same site"
            )
        if min(tokens, default=0) < 0 or len(set(tokens)) < len(tokens):
            raise _native.Error(
                f"{id}: expected image tokens counted from 0, each once, got {tokens}"
            )
        line = json.dumps({"id": id, "site": site, "kept": tokens})
        self._file.write(line + "\n")
        self._file.flush()
        self._ids.add(id)
        self._site = site


@contextmanager
def record_selections(path: str | os.PathLike[str]) -> Iterator[SelectionRecord]:
    """Writes a file of selections, in a ``with``; ``finepruner study --selection FILE`` runs them
    beside everything else of a study. A file that was there before is replaced.

    Raises:
        OSError: A file that can't be written.
    """
    with open(path, "w", encoding="utf-8") as file:
        yield SelectionRecord(file)

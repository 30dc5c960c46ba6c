"""Studies, and what they leave on the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from . import _native
from ._flags import flags

Path: TypeAlias = str | os.PathLike[str]

# The longest that Ctrl-C isn't looked for, in seconds.
_INTERVAL = 0.1


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        total: Samples of the run or shard.
        done: Samples that are recorded.
        resumed: Those of them that were recorded before.
        failed: Samples that failed since the start.
        ranked: Before the first answer of a run with static heads: samples that heads are
            ranked on, done and all.
    """

    total: int
    done: int
    resumed: int
    failed: int
    ranked: tuple[int, int] | None


@dataclass(frozen=True)
class Run:
    """A run's tables, ready for ``pandas.DataFrame(run.records)``.

    Attributes:
        records: One dict per sample and cell: which, what was said (``text``), its ``score``
            (0 to 1), ``kept_tokens``, ``selected_heads``, why it was skipped or failed.
        cells: One dict per cell: what it is, ``accuracy`` with the interval ``low`` to
            ``high``, ``n``, ``mean_kept`` and counted costs.
    """

    records: list[dict[str, Any]]
    cells: list[dict[str, Any]]


class StudyRun:
    """A study that runs in the background; see :func:`start_study`."""

    def __init__(self, native: _native.NativeStudy, output: str) -> None:
        self._native = native
        self._outcome: dict[str, Any] | None = None
        self._error: _native.Error | None = None
        #: The run's folder.
        self.output = output
        #: How far it is; None before the first sample.
        self.progress: Progress | None = None
        #: Whether it has ended, in whatever way.
        self.is_over = False

    def wait(self, seconds: float) -> bool:
        """Waits for news, at most so many seconds; returns whether there are any. News are in
        ``progress`` and ``is_over``."""
        news, self.is_over = self._native.wait(seconds)
        if news is not None:
            found = json.loads(news)
            ranked = found.pop("ranked")
            self.progress = Progress(
                **found, ranked=None if ranked is None else (ranked[0], ranked[1])
            )
        return news is not None or self.is_over

    def stop(self) -> None:
        """Asks it to stop before its next answer; what is recorded stays, and the same study
        with the same folder resumes it."""
        self._native.stop()

    def result(self, progress: Callable[[Progress], object] | None = None) -> dict[str, Any]:
        """Waits for its end and returns what ``finepruner study --json`` prints. Ctrl-C stops
        the study, waits for what is being answered, and is raised again.

        Args:
            progress: Called with every news of how far it is, in this thread.

        Raises:
            Error: The study failed, or was stopped before its end.
            KeyboardInterrupt: The study was interrupted; it can be resumed.
        """
        try:
            while not self.is_over:
                before = self.progress
                self.wait(_INTERVAL)
                if progress is not None and self.progress not in (None, before):
                    assert self.progress is not None
                    progress(self.progress)
        except BaseException:
            # Whoever asked is gone: an interrupt, or an error of the callback.
            self.stop()
            while not self.is_over:
                self.wait(_INTERVAL)
            raise
        return self._ended()

    def _ended(self) -> dict[str, Any]:
        if self._outcome is None and self._error is None:
            try:
                self._outcome = json.loads(self._native.take_outcome() or "{}")
            except _native.Error as error:
                self._error = error
        if self._error is not None:
            raise self._error
        outcome = self._outcome or {}
        if "stopped" in outcome:
            stopped = outcome["stopped"]
            raise _native.Error(
                f"stopped with {stopped['done']} of {stopped['total']} samples recorded in "
                f"{stopped['folder']}; the same study with this folder resumes it"
            )
        result: dict[str, Any] = outcome["done"]
        return result


def start_study(
    config: Path | Mapping[str, Any], output: Path, **settings: object
) -> StudyRun:
    """Starts a study in the background, or resumes the one in ``output``.

    Args:
        config: A configuration's file, or the configuration itself, such as
            ``{"study": "a"}``; see ``finepruner config explain``.
        output: The run's folder: new, empty, or of a run of the same study to resume.
        **settings: Flags of ``finepruner study``, such as ``model="llava-1.5-7b-hf"``,
            ``dataset=["data/pope"]``, ``limit=100``, ``threads=4``, ``no_report=True``.

    Raises:
        Error: Everything that is wrong with configuration and settings, before any work.
    """
    folder = os.fspath(output)
    text, file = None, None
    if isinstance(config, Mapping):
        text = json.dumps(config)
    else:
        file = os.fspath(config)
    return StudyRun(_native.NativeStudy(file, text, folder, flags(settings)), folder)


def study(
    config: Path | Mapping[str, Any],
    output: Path,
    *,
    progress: Callable[[Progress], object] | None = None,
    **settings: object,
) -> dict[str, Any]:
    """Runs or resumes a study, writes its report, and returns what came of it.

    The study runs in threads of its own; this one only waits. Ctrl-C stops it after what is
    being answered and raises KeyboardInterrupt: everything recorded stays, and the same call
    resumes it.

    Args:
        config: As for :func:`start_study`.
        output: The run's folder.
        progress: Called in this thread with how far the study is.
        **settings: As for :func:`start_study`.

    Returns:
        What ``finepruner study --json`` prints: ``summary``, ``cells``, ``failed``, ``report``
        and further keys. :func:`read_run` has the records.

    Raises:
        Error: What is wrong with configuration, data or model; a folder of another run.
        KeyboardInterrupt: It was interrupted.
    """
    return start_study(config, output, **settings).result(progress)


def read_run(folder: Path) -> Run:
    """Reads the records and cells of a run's folder; text-only questions are left out.

    Raises:
        Error: A folder that isn't a run's, damaged records.
    """
    records, cells = _native.read_run(os.fspath(folder))
    return Run(records=json.loads(records), cells=json.loads(cells))


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Two runs compared by paired tests on the samples and cells that both have.

    Returns:
        What ``finepruner compare --json`` prints; differences are the second's less the first's.

    Raises:
        Error: Folders that aren't runs', runs that have nothing in common.
    """
    found: dict[str, Any] = json.loads(_native.compare_runs(os.fspath(first), os.fspath(second)))
    return found

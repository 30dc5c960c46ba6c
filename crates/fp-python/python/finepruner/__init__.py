"""FinePruner: which attention heads and which query tokens best identify the visual tokens
that a vision-language model may drop.

Scoring attention of one's own, token by token::

    import finepruner
    chosen = finepruner.score(attention, image_range=(35, 611), keep=166, heads="variance")
    chosen[0].kept_tokens          # image tokens, ascending, counted from 0
    chosen[0].audit["token_cut"]   # how sharply they were told from the rest

Everything is computed by the code behind the ``finepruner`` command, which this package
installs too: same checks, same results, same texts of errors. What goes wrong is an
:class:`Error`, which is a :class:`ValueError`. The interpreter's lock is released while work
is done, and arrays are read where they lie.
"""

from pathlib import Path as _Path

from . import _native
from ._compare import Comparison, compare
from ._metrics import (
    answer_rules,
    answer_score,
    chartqa,
    gqa,
    mmbench,
    mmbench_answer,
    mme,
    pope,
    scienceqa,
    vqa_accuracy,
)
from ._native import Error, __version__
from ._published import Choice, methods, select
from ._runs import Progress, Run, StudyRun, compare_runs, read_run, start_study, study
from ._scoring import (
    Equivalence,
    Selection,
    budget,
    equivalence,
    score,
    strategies,
    token_quality,
)

__all__ = [
    "Choice",
    "Comparison",
    "Equivalence",
    "Error",
    "Progress",
    "Run",
    "Selection",
    "StudyRun",
    "__version__",
    "answer_rules",
    "answer_score",
    "budget",
    "chartqa",
    "compare",
    "compare_runs",
    "equivalence",
    "gqa",
    "methods",
    "mmbench",
    "mmbench_answer",
    "mme",
    "pope",
    "read_run",
    "scienceqa",
    "score",
    "select",
    "start_study",
    "strategies",
    "study",
    "token_quality",
    "vqa_accuracy",
]

_assets = _Path(__file__).parent / "assets"
if _assets.is_dir():
    _native.look_in(str(_assets))

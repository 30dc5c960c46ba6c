"""What answers are worth, by the rules of the published benchmarks and their evaluators."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from . import _native


def answer_rules() -> list[str]:
    """Names of the rules that answers are scored by, such as ``vqa_official`` and ``pope``."""
    return _native.answer_rules()


def answer_score(
    rule: str,
    prediction: str,
    answers: str | Iterable[str],
    *,
    choices: Sequence[str] = (),
) -> float:
    """Score of one answer by the rule of a benchmark.

    Args:
        rule: One of :func:`answer_rules`.
        prediction: What the model said.
        answers: What is right: one text, or several, such as what ten people said.
        choices: Texts of the options A, B, ..., of multiple choice.

    Returns:
        0 to 1.

    Raises:
        Error: An unknown rule, answers that the rule can't score.
    """
    golds = [answers] if isinstance(answers, str) else list(answers)
    return _native.answer_score(rule, prediction, golds, list(choices))


def vqa_accuracy(prediction: str, answers: Iterable[str], *, rule: str = "vqa_official") -> float:
    """VQA accuracy of an answer, 0 to 1: right as far as others of the people gave it.

    ``rule`` is ``vqa_official`` (LLaVA's route to the server), ``vqa_official_raw``,
    ``vqa_m4c`` (TextVQA), ``vqa_lmms_eval``, ``vqa_vlmevalkit`` or ``vizwiz_api``.
    """
    return answer_score(rule, prediction, answers)


def gqa(prediction: str, answer: str, *, rule: str = "gqa") -> bool:
    """Whether an answer to GQA is right; ``rule`` is ``gqa`` (LLaVA), ``gqa_lmms_eval`` or
    ``gqa_vlmevalkit``."""
    return answer_score(rule, prediction, answer) == 1.0


def chartqa(prediction: str, answer: str, *, rule: str = "chartqa") -> bool:
    """Whether an answer to ChartQA is right, numbers within 5 %; ``rule`` is ``chartqa``
    (lmms-eval) or ``chartqa_vlmevalkit``."""
    return answer_score(rule, prediction, answer) == 1.0


def scienceqa(prediction: str, answer: str, *, rule: str = "scienceqa") -> bool:
    """Whether an answer to ScienceQA names the right letter; ``rule`` is ``scienceqa``
    (LLaVA) or ``scienceqa_lmms_eval``."""
    return answer_score(rule, prediction, answer) == 1.0


def mmbench_answer(
    prediction: str, answer: str, choices: Sequence[str], *, rule: str = "mmbench"
) -> bool:
    """Whether an answer to MMBench names the right letter, or the text of its option; ``rule``
    is ``mmbench`` (VLMEvalKit without a judge) or ``mmbench_lmms_eval``."""
    return answer_score(rule, prediction, answer, choices=choices) == 1.0


def pope(
    rows: Iterable[tuple[str, str, str]], *, reader: str = "official"
) -> dict[str, Any]:
    """POPE's figures.

    Args:
        rows: Category (adversarial, popular, random), prediction and label (yes or no) of each
            question.
        reader: How yes and no are read: ``official`` (LLaVA), ``lmms_eval`` or ``vlmevalkit``.

    Returns:
        ``mean_f1`` and ``mean_accuracy`` over the categories, ``pooled`` and ``categories``
        with accuracy, precision, recall, F1 and the share of yes, 0 to 1; None where a figure
        has no value.

    Raises:
        Error: No rows, a label that is neither yes nor no, an unknown reader.
    """
    report: dict[str, Any] = json.loads(_native.pope_report(list(rows), reader))
    return report


def mme(
    rows: Iterable[tuple[str, str, str, str]],
    *,
    reader: str = "official",
    pairing: str = "by_image",
) -> dict[str, Any]:
    """MME's figures.

    Args:
        rows: Task, image, prediction and label (Yes or No) of each question.
        reader: How yes and no are read: ``official``, ``lmms_eval`` or ``vlmevalkit``.
        pairing: Which two questions belong together: ``by_image`` or ``consecutive``, as the
            official tool has it.

    Returns:
        ``perception`` (at most 2000), ``cognition`` (at most 800) and ``total``, None where a
        task is missing; ``tasks`` with score (at most 200), accuracy and accuracy_plus.

    Raises:
        Error: No rows, an image without exactly two answers, a label that is neither yes nor
            no, an unknown reader or pairing.
    """
    report: dict[str, Any] = json.loads(_native.mme_report(list(rows), reader, pairing))
    return report


def mmbench(rows: Iterable[tuple[int, bool, str, str]]) -> dict[str, Any]:
    """MMBench's figures under circular evaluation.

    Args:
        rows: Index (plus a million per rotation), whether the answer is right (see
            :func:`mmbench_answer`), category and l2-category of each row.

    Returns:
        ``circular``, ``vanilla_first`` and ``vanilla_all``, 0 to 1; ``by_category`` and
        ``by_l2_category``, circular; ``questions``, whether each counts.

    Raises:
        Error: No rows, an index twice, a question without its first row.
    """
    report: dict[str, Any] = json.loads(_native.mmbench_report(list(rows)))
    return report

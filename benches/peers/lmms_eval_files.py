#!/usr/bin/env python3
"""Lets lmms-eval score made-up answers to made-up questions and write its files.

    pip install lmms-eval==0.7.3 --no-deps; pip install datasets loguru jinja2 pytz tenacity ...
    python3 benches/peers/lmms_eval_files.py crates/fp-data/tests/fixtures/lmms_eval

The questions of each task come from this file instead of the Hub, and the answers from
this file instead of a model. All else is lmms-eval's own: its task configurations, its
scoring, `evaluate`, and `EvaluationTracker`, which writes `<date>_results.json` and
`<date>_samples_<task>.jsonl`. Beside them goes `questions.json`, the rows that were asked,
so that tests can build the same dataset. Images are left out: no model runs, and packages
that only a model needs (torch, accelerate, transformers) are replaced by empty modules
where they are not installed.

Tests read the files that this wrote; it does not run in CI.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from argparse import Namespace
from pathlib import Path
from unittest.mock import MagicMock

DATE = "20260101_000000"
MODEL = "made-up/llava-7b"
ONLY_FOR_MODELS = ("torch", "accelerate", "transformers", "evaluate", "sacrebleu", "aiohttp", "END")


class Empty(types.ModuleType):
    """A module in which every name is there and does nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (), {}) if name[:1].isupper() else MagicMock(name=name)
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Empty(spec.name)

    def exec_module(self, module):
        pass


missing = [name for name in ONLY_FOR_MODELS if importlib.util.find_spec(name) is None]
sys.meta_path.insert(0, Finder(missing))
# `datasets` looks for the first of these by its version, which a stand-in has none of.
os.environ.setdefault("USE_TORCH", "0")

import datasets  # noqa: E402
import lmms_eval  # noqa: E402
from lmms_eval import utils  # noqa: E402
from lmms_eval.api.task import ConfigurableTask  # noqa: E402
from lmms_eval.evaluator import evaluate  # noqa: E402
from lmms_eval.loggers.evaluation_tracker import EvaluationTracker  # noqa: E402

TASKS = Path(lmms_eval.__file__).parent / "tasks"


def pope():
    rows, answers = [], []
    said = {
        "adversarial": ["Yes", "No", "yes.", "No, there is no dog."],
        "popular": ["Yes", "Yes", "No", "no"],
        "random": ["yes ", "No", "There is none", "NO"],
    }
    for category, texts in said.items():
        asked = [("a", "cat", "yes"), ("a", "dog", "no"), ("b", "cat", "yes"), ("b", "dog", "no")]
        for number, ((image, thing, gold), text) in enumerate(zip(asked, texts), 1):
            rows.append({
                "id": str(len(rows)), "question_id": str(number),
                "question": f"Is there a {thing} in the image?", "answer": gold,
                "image_source": f"COCO_{image}", "category": category,
            })
            answers.append(text)
    return rows, answers


def mme():
    rows, answers = [], []
    for category, image, question, said in [
        ("existence", "1", "Is there a cat in this image?", ("Yes", "Yes")),
        ("existence", "2", "Is there a chair in this image?", ("yes.", "No")),
        ("code_reasoning", "1", "Does the code print 3?", (" Yes", "It does not")),
    ]:
        for gold, text in zip(("Yes", "No"), said):
            asked = question if gold == "Yes" else question.replace("a c", "a red c").replace("3", "4")
            rows.append({
                "question_id": f"{category}/{image}.png",
                "question": f"{asked} Please answer yes or no.",
                "answer": gold, "category": category,
            })
            answers.append(text)
    return rows, answers


def gqa():
    asked = [
        ("201", "n1", "Is the cup red?", "yes", "Yes"),
        ("202", "n1", "What is on the table?", "t-shirt", "T-Shirt."),
        ("203", "n2", "Is the cup red?", "no", "yes"),
        ("204", "n2", "Who is there?", "girl", "a girl"),
        ("205", "n3", "What colour is it?", "red", "red!"),
    ]
    rows = [
        {"id": i, "imageId": image, "question": q, "answer": gold, "isBalanced": True}
        for i, image, q, gold, _ in asked
    ]
    return rows, [text for *_, text in asked]


def people(*counts):
    return [text for text, count in counts for _ in range(count)]


def textvqa():
    asked = [
        ("34602", "m1", "what is the brand?", people(("nokia", 8), ("Nokia.", 1), ("phone", 1)), "Nokia"),
        ("34603", "m1", "what time is it?", people(("10:10", 2), ("ten", 8)), "10:10"),
        ("34604", "m2", "what does it say?", people(("stop", 10)), "It says stop"),
        ("34605", "m2", "how many are there?", people(("two", 3), ("2", 7)), "two"),
    ]
    rows = [
        {"question_id": int(i), "image_id": image, "question": q, "ocr_tokens": ["a", "b"], "answers": golds}
        for i, image, q, golds, _ in asked
    ]
    return rows, [text for *_, text in asked]


def vqav2():
    asked = [
        ("1001", "1", "What animal is it?", people(("dog", 9), ("puppy", 1)), "a dog"),
        ("1002", "1", "How many?", people(("2", 5), ("3", 5)), "two"),
        ("2001", "2", "Is it raining?", people(("no", 2), ("yes", 8)), "No"),
    ]
    rows = [
        {
            "question_id": int(i), "image_id": int(image), "question": q,
            "question_type": "other", "answer_type": "other",
            "answers": [
                {"answer": gold, "answer_confidence": "yes", "answer_id": place}
                for place, gold in enumerate(golds, 1)
            ],
        }
        for i, image, q, golds, _ in asked
    ]
    return rows, [text for *_, text in asked]


def scienceqa():
    asked = [
        ("", "Which is warmer?", ["ice", "fire"], 1, "B"),
        ("The shop is shut.", "When does it open?", ["today", "tomorrow", "never"], 1, "B. tomorrow"),
        ("", "Which way?", ["up", "down"], 0, "The answer is A."),
        ("", "Which one?", ["first", "second"], 0, "b"),
    ]
    rows = [
        {
            "image": None, "hint": hint, "question": q, "choices": choices, "answer": gold,
            "subject": "natural science", "topic": "physics", "grade": "grade3",
        }
        for hint, q, choices, gold, _ in asked
    ]
    return rows, [text for *_, text in asked]


def mmbench():
    def row(index, question, options, answer, category):
        letters = dict(zip("ABCD", list(options) + ["nan"] * 4))
        return {
            "index": index, "question": question, "hint": "nan", **letters, "answer": answer,
            "category": category, "L2-category": f"{category} group", "source": "made up", "split": "dev",
        }

    asked = [
        (row(1, "Which way?", ["up", "down"], "A", "place"), "A"),
        (row(2, "Which fruit?", ["apple", "pear", "plum"], "C", "kind"), "plum"),
        (row(3, "Which shape?", ["round", "square"], "A", "kind"), "A. round"),
        (row(1_000_001, "Which way?", ["down", "up"], "B", "place"), "B"),
        (row(1_000_002, "Which fruit?", ["plum", "apple", "pear"], "A", "kind"), "pear"),
        (row(1_000_003, "Which shape?", ["square", "round"], "B", "kind"), "I would say (B)"),
    ]
    return [row for row, _ in asked], [text for _, text in asked]


def chartqa():
    asked = [
        ("human_test", "How many?", "100", "104"),
        ("human_test", "Which is largest?", "Blue", "blue"),
        ("augmented_test", "What share?", "25", "27"),
    ]
    rows = [{"type": kind, "question": q, "answer": gold} for kind, q, gold, _ in asked]
    return rows, [text for *_, text in asked]


MADE_UP = {
    "pope": ("pope/pope.yaml", pope),
    "mme": ("mme/mme.yaml", mme),
    "gqa": ("gqa/gqa.yaml", gqa),
    "textvqa_val": ("textvqa/textvqa_val.yaml", textvqa),
    "vqav2_val": ("vqav2/vqav2_val.yaml", vqav2),
    "scienceqa_img": ("scienceqa/scienceqa_img.yaml", scienceqa),
    "mmbench_en_dev_static": ("mmbench/mmbench_en_dev_static.yaml", mmbench),
    "chartqa": ("chartqa/chartqa.yaml", chartqa),
}


class Task(ConfigurableTask):
    """A task whose rows are given, not downloaded."""

    def __init__(self, rows, config):
        self.rows = rows
        super().__init__(config=config, model_name="scripted")

    def download(self, dataset_kwargs=None):
        rows = datasets.Dataset.from_list(self.rows)
        split = self.config.test_split.strip()
        self.dataset = datasets.DatasetDict({self.config.test_split: rows})
        self.dataset_no_image = datasets.DatasetDict({self.config.test_split: rows})
        assert split


class Scripted:
    """Says what this file has it say."""

    task_dict = {}
    is_simple = True
    accelerator = MagicMock()
    rank, world_size, device = 0, 1, "cpu"

    def __init__(self, answers):
        self.answers = answers

    def generate_until(self, requests):
        return [self.answers[request.task_name][request.doc_id] for request in requests]

    def clean(self):
        pass


def main(folder):
    work = folder / "work"
    tasks, answers, questions = {}, {}, {}
    for name, (config, made_up) in MADE_UP.items():
        rows, answers[name] = made_up()
        questions[name] = json.loads(json.dumps(rows))
        config = utils.load_yaml_config(str(TASKS / config), mode="full")
        for key in ("process_docs", "group"):
            config.pop(key, None)
        config["dataset_path"], config["dataset_name"] = "made-up", None
        tasks[name] = Task(rows, config)
    arguments = Namespace(
        output_path=str(work), log_samples=True, reasoning_tags=None, process_with_media=False,
    )
    results = evaluate(
        Scripted(answers), tasks, log_samples=True, cli_args=arguments, bootstrap_iters=0,
        distributed_executor_backend="accelerate",
    )
    results["config"] = {"model": "llava", "model_args": f"pretrained={MODEL}"}
    results["lmms_eval_version"] = utils.get_lmms_eval_version_string() if hasattr(
        utils, "get_lmms_eval_version_string") else None
    results["date"] = DATE
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args("llava", f"pretrained={MODEL}", None, None, False)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples, datetime_str=DATE)
    for name in results["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    text = json.dumps(questions, indent=1, ensure_ascii=False)
    (folder / "questions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

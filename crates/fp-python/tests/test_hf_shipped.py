"""Pruning inside transformers beside the command, on the shipped model and benchmark."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import finepruner
import pytest
from finepruner import hf

from conftest import ROOT, command_json

torch = pytest.importorskip("torch", reason="the tests of finepruner.hf need PyTorch")
transformers = pytest.importorskip(
    "transformers", reason="the tests of finepruner.hf need transformers"
)
pictures = pytest.importorskip("PIL.Image", reason="the tests of finepruner.hf need Pillow")

MODEL = ROOT / "assets" / "finepruner-tiny"
BENCHMARK = ROOT / "assets" / "benchmark" / "select"
NUM_QUESTIONS = 50
# The template vicuna_v1, with a placeholder per image token as processors of transformers write.
PROMPT = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. USER: {image}\n{question} "
    "ASSISTANT:"
)


class Shipped:
    """The shipped model as transformers loads it."""

    def __init__(self) -> None:
        kind = transformers.LlavaForConditionalGeneration
        self.model = kind.from_pretrained(MODEL, dtype=torch.float32).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
        self.processor = transformers.CLIPImageProcessor.from_pretrained(MODEL)

    def inputs(self, question: dict[str, Any]) -> dict[str, Any]:
        """What the model is asked."""
        tokens = "<image>" * self.model.config.image_seq_length
        text = PROMPT.format(image=tokens, question=question["question"])
        picture = pictures.open(BENCHMARK / question["image"]).convert("RGB")
        return {
            **self.tokenizer(text, return_tensors="pt", return_token_type_ids=False),
            **self.processor(images=picture, return_tensors="pt"),
        }

    def answer(self, question: dict[str, Any]) -> list[int]:
        """Greedy tokens, the end left out."""
        inputs = self.inputs(question)
        ids = self.model.generate(**inputs, max_new_tokens=8, do_sample=False)
        new: list[int] = ids[0, inputs["input_ids"].shape[1] :].tolist()
        return [token for token in new if token != self.model.config.text_config.eos_token_id]


@pytest.fixture(scope="module")
def shipped() -> Iterator[Shipped]:
    yield Shipped()


def questions() -> list[dict[str, Any]]:
    """Questions from all over the benchmark."""
    lines = (BENCHMARK / "questions.jsonl").read_text().splitlines()
    step = len(lines) // NUM_QUESTIONS
    return [json.loads(line) for line in lines[::step][:NUM_QUESTIONS]]


def generated(question: dict[str, Any], *flags: str) -> Any:
    """What the command says to a question."""
    return command_json(
        "generate", "--model", str(MODEL), "--image", str(BENCHMARK / question["image"]),
        "--prompt", question["question"], "--max-new-tokens", "8", *flags,
    )


def test_answers_are_those_of_the_command_token_for_token(shipped: Shipped) -> None:
    asked = questions()
    assert len(asked) == NUM_QUESTIONS
    for at, question in enumerate(asked):
        # FastV, and half of the heads by a strategy, in turn.
        method, flags = [
            ("fastv", ["--num-selected-heads", "all"]),
            ("variance", ["--head-selection-strategy", "variance"]),
        ][at % 2]
        expected = generated(question, "--keep", "8", *flags)
        with hf.prune(shipped.model, method, keep=8) as pruned:
            answer = shipped.answer(question)
        assert pruned.kept_tokens == [expected["kept_tokens"]], question["id"]
        assert answer == expected["token_ids"], question["id"]


def test_recorded_selections_run_in_a_study(shipped: Shipped, tmp_path: Path) -> None:
    asked = questions()[:4]
    dataset = tmp_path / "data"
    (dataset / "images").mkdir(parents=True)
    for question in asked:
        shutil.copy(BENCHMARK / question["image"], dataset / question["image"])
    about = json.loads((BENCHMARK / "benchmark.json").read_text())
    del about["sha256"]
    (dataset / "benchmark.json").write_text(json.dumps(about))
    lines = [json.dumps(question) + "\n" for question in asked]
    (dataset / "questions.jsonl").write_text("".join(lines))
    said = []
    file = tmp_path / "mine.jsonl"
    with hf.record_selections(file) as record, hf.prune(shipped.model, keep=8) as pruned:
        for question in asked:
            said.append(shipped.answer(question))
            record.add(question["id"], pruned)
    finepruner.study(
        {"study": "a", "head_selection_strategies": ["sum"]},
        tmp_path / "run",
        dataset=str(dataset),
        selection=file,
        controls=["vanilla"],
        no_report=True,
    )
    run = finepruner.read_run(tmp_path / "run")
    by_id = {
        record["id"]: record["text"]
        for record in run.records
        if record["cell"] == "selection:mine"
    }
    texts = {
        question["id"]: shipped.tokenizer.decode(tokens).strip()
        for question, tokens in zip(asked, said, strict=True)
    }
    assert by_id == texts

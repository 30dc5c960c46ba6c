"""Attention captured from models of transformers, selections made inside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import finepruner
import numpy as np
import pytest
from finepruner import hf

from conftest import command_json

tiny_models = pytest.importorskip(
    "tiny_models", reason="the tests of finepruner.hf need PyTorch and transformers"
)
torch = tiny_models.torch
tiny = tiny_models.tiny
NAMES = list(tiny_models.MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_eager_attention(name: str) -> None:
    eager, model = tiny(name, "eager"), tiny(name, "sdpa")
    with torch.no_grad():
        expected = eager.model(**eager.inputs, output_attentions=True).attentions
    for layer in (1, 2, tiny_models.LAYERS):
        with hf.capture(model.model, layer=layer, queries="all") as captured, torch.no_grad():
            model.model(**model.inputs)
        (found,) = captured
        assert (found.image_range, found.layer) == (model.image_range, layer)
        whole = expected[layer - 1][0].numpy()
        assert found.attention.shape == (4, len(found.query_rows), model.length)
        assert np.abs(found.attention - whole[:, found.query_rows]).max() < 1e-5
        # The rows differ among tokens, or else the comparison would carry no signal.
        assert found.image_attention().std(axis=-1).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_kept_tokens_are_those_of_plain_torch_and_of_the_command(
    name: str, tmp_path: Path
) -> None:
    eager, model = tiny(name, "eager"), tiny(name, "sdpa")
    with torch.no_grad():
        whole = eager.model(**eager.inputs, output_attentions=True).attentions[1][0]
    start, end = model.image_range
    rows = whole[:, -1, start:end].double()
    heads = rows.var(dim=-1, correction=0).argsort(descending=True, stable=True)[:2]
    importance = rows[heads].mean(dim=0)
    kept = importance.argsort(descending=True, stable=True)[:5].sort().values.tolist()

    with hf.capture(model.model) as captured:
        model.model.generate(**model.inputs, max_new_tokens=3, do_sample=False)
    (found,) = captured
    assert found.query_rows == [model.length - 1]
    (chosen,) = found.score(keep=5, heads="variance", num_selected_heads=2)
    assert chosen.kept_tokens.tolist() == kept
    found.save(tmp_path / "layer2.safetensors")
    (record,) = command_json(
        "score", str(tmp_path / "layer2.safetensors"), "--keep", "5",
        "--head-selection-strategy", "variance", "--num-selected-heads", "2",
    )
    assert record["kept_tokens"] == kept
    assert record == {**chosen.to_dict(), "dump": None}


def test_only_the_rows_asked_for(tmp_path: Path) -> None:
    model = tiny("llava")
    asked = [0, -1, 21, model.length - 1]
    with hf.capture(model.model, queries=asked) as captured, torch.no_grad():
        model.model(**model.inputs)
    (found,) = captured
    assert found.query_rows == [0, 21, model.length - 1]
    found.save(tmp_path / "rows.safetensors")
    with pytest.raises(finepruner.Error, match="no row of position 20; it has those of 0,21,26"):
        found.score(keep=2, queries="text_tokens_only")
    with pytest.raises(finepruner.Error, match="the sequence has 27 tokens"):
        with hf.capture(model.model, queries=[27]), torch.no_grad():
            model.model(**model.inputs)


def test_batches_with_padding() -> None:
    model = tiny("llava")
    ids = model.inputs["input_ids"]
    pixels = torch.cat([model.inputs["pixel_values"]] * 2)
    shorter = torch.cat([torch.zeros(1, 3, dtype=ids.dtype), ids[:, 3:]], dim=1)
    mask = torch.ones(2, model.length, dtype=ids.dtype)
    mask[1, :3] = 0
    inputs = {"input_ids": torch.cat([ids, shorter]), "attention_mask": mask}
    alone = []
    for sequence in (ids, ids[:, 3:]):
        with hf.capture(model.model) as captured, torch.no_grad():
            model.model(input_ids=sequence, pixel_values=pixels[:1])
        alone += captured
    with hf.capture(model.model) as captured, torch.no_grad():
        model.model(**inputs, pixel_values=pixels)
    assert [found.image_range for found in captured] == [(4, 20), (1, 17)]
    for found, expected in zip(captured, alone, strict=True):
        # Rotary positions tell differences only, so that padding before a prompt is nothing.
        assert np.abs(found.attention - expected.attention).max() < 1e-5


def test_wide_and_narrow_models() -> None:
    model = tiny("llava")
    wide, narrow = model.model.double(), tiny("llava").model.to(torch.bfloat16)
    for kind, dtype in ((wide, torch.float64), (narrow, torch.bfloat16)):
        inputs = {**model.inputs, "pixel_values": model.inputs["pixel_values"].to(dtype)}
        with hf.capture(kind) as captured, torch.no_grad():
            kind(**inputs)
        expected = np.float64 if dtype == torch.float64 else np.float32
        assert captured[0].attention.dtype == expected
        assert captured[0].attention.sum(axis=-1) == pytest.approx(1.0)


def test_a_named_module() -> None:
    model = tiny("llava")
    path = "model.language_model.layers.2.self_attn"
    with hf.capture(model.model, layer=3) as expected, torch.no_grad():
        model.model(**model.inputs)
    for named in (path, model.model.get_submodule(path)):
        with hf.capture(model.model, attention=named, layer=3) as found, torch.no_grad():
            model.model(**model.inputs)
        assert np.array_equal(found[0].attention, expected[0].attention)


def test_nothing_is_left_behind() -> None:
    model = tiny("llava")
    hooks = [len(part._forward_pre_hooks) for part in model.model.modules()]
    with pytest.raises(RuntimeError, match="mine"), hf.prune(model.model, keep=4):
        raise RuntimeError("mine")
    assert [len(part._forward_pre_hooks) for part in model.model.modules()] == hooks
    assert not any(part._forward_hooks for part in model.model.model.language_model.layers.modules())


def test_what_does_not_fit() -> None:
    model = tiny("llava")
    ids = model.inputs["input_ids"]
    for inside, text in [
        (lambda: hf.capture(model.model, layer=5), "layers 1 to 4"),
        (lambda: hf.capture(model.model, attention="model.nothing"), "no such module"),
        (lambda: hf.capture(model.model, attention="lm_head"), "has no q_proj"),
        (lambda: hf.capture(torch.nn.Linear(1, 1), image_token_id=1), "no decoder was found"),
        (lambda: hf.capture(torch.nn.Linear(1, 1)), "no image_token_id"),
        (lambda: hf.prune(model.model, keep=4, layer=4), "after layers 1 to 3"),
        (lambda: hf.prune(model.model), "needs keep="),
        (lambda: hf.prune(model.model, "varaince", keep=4), "expected a function or one of: fastv"),
        (lambda: hf.prune(model.model, keep=4, num_selected_heads=2), "averages every head"),
        (lambda: hf.prune(model.model, keep=4, queries="all"), "one query strategy"),
        (lambda: hf.prune(model.model, len, keep=4), "aren't for a function"),
    ]:
        with pytest.raises(finepruner.Error, match=text), inside():
            pass
    without, twice = ids.clone(), ids.clone()
    without[ids == tiny_models.IMAGE_TOKEN] = 5
    twice[0, 10] = 5
    for wrong, text in [(without, "no image token"), (twice, "2 images, at 4..10, 11..20")]:
        with pytest.raises(finepruner.Error, match=text), hf.capture(model.model), torch.no_grad():
            model.model(input_ids=wrong)
    with hf.capture(model.model, image=1) as captured, torch.no_grad():
        model.model(input_ids=twice)
    assert captured[0].image_range == (11, 20)
    with pytest.raises(finepruner.Error, match="from 0 to 15"), hf.prune(model.model, lambda _: [16]):
        model.model(**model.inputs)
    with pytest.raises(finepruner.Error, match="R = 17 of 16"), hf.prune(model.model, keep=17):
        model.model(**model.inputs)


def by_masks(made: Any, kept: list[int], num_new: int) -> list[int]:
    """Greedy tokens of a model whose layers behind the second don't see dropped tokens: by masks
    over whole sequences, without a cache."""
    start, end = made.image_range
    dropped = [start + at for at in range(end - start) if at not in kept]

    def hide(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        length = args[0].shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        mask[:, dropped] = float("-inf")
        mask[range(length), range(length)] = 0.0
        return args, {**kwargs, "attention_mask": mask[None, None]}

    layers = made.model.model.language_model.layers
    handles = [layer.register_forward_pre_hook(hide, with_kwargs=True) for layer in layers[2:]]
    inputs = dict(made.inputs)
    new: list[int] = []
    for _ in range(num_new):
        with torch.no_grad():
            logits = made.model(**inputs, use_cache=False).logits[0, -1]
        logits[2] = float("-inf")
        new.append(int(logits.argmax()))
        for name, more in (("input_ids", new[-1]), ("attention_mask", 1), ("mm_token_type_ids", 0)):
            if name in inputs:
                last = torch.full((1, 1), more, dtype=inputs[name].dtype)
                inputs[name] = torch.cat([inputs[name], last], dim=1)
    for handle in handles:
        handle.remove()
    return new


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", NAMES)
def test_dropped_tokens_are_as_if_never_seen(name: str, implementation: str) -> None:
    model = tiny(name, implementation)
    with hf.prune(model.model, "variance", keep=5, num_selected_heads=2) as pruned:
        ids = model.model.generate(
            **model.inputs, max_new_tokens=6, min_new_tokens=6, do_sample=False
        )
    (kept,) = pruned.kept_tokens
    assert len(kept) == 5 and pruned.selections[0].kept_tokens.tolist() == kept
    assert ids[0, model.length :].tolist() == by_masks(tiny(name, "eager"), kept, 6)


def test_the_cache_is_as_short_as_what_goes_on() -> None:
    model = tiny("llava")
    with hf.prune(model.model, lambda captured: [0, 3, 9]), torch.no_grad():
        output = model.model(**model.inputs, use_cache=True)
    cache = getattr(output, "cache", None) or output.past_key_values
    lengths = [cache.get_seq_length(layer) for layer in range(tiny_models.LAYERS)]
    assert lengths == [27, 27, 14, 14]


def test_batches_are_pruned_sample_by_sample() -> None:
    model = tiny("llava")
    ids, pixels = model.inputs["input_ids"], model.inputs["pixel_values"]
    other = ids.clone()
    other[0, 22:26] = torch.tensor([11, 12, 13, 14])
    other[0, 0] = 0
    mask = torch.ones(2, model.length, dtype=ids.dtype)
    mask[1, 0] = 0
    settings = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    with hf.prune(model.model, keep=4) as pruned:
        one = model.model.generate(input_ids=ids, pixel_values=pixels, **settings)
        first = pruned.kept_tokens
        two = model.model.generate(input_ids=other[:, 1:], pixel_values=pixels, **settings)
        second = pruned.kept_tokens
        both = model.model.generate(
            input_ids=torch.cat([ids, other]),
            attention_mask=mask,
            pixel_values=torch.cat([pixels, pixels]),
            **settings,
        )
    assert pruned.kept_tokens == first + second and len(pruned.selections) == 2
    assert both[0, -4:].tolist() == one[0, -4:].tolist()
    assert both[1, -4:].tolist() == two[0, -4:].tolist()
    counts = iter([3, 4])
    with (
        pytest.raises(finepruner.Error, match="would keep 14 and 15 tokens"),
        hf.prune(model.model, lambda _: range(next(counts))),
    ):
        model.model(
            input_ids=torch.cat([ids, ids]), pixel_values=torch.cat([pixels, pixels])
        )


def test_selections_are_recorded(tmp_path: Path) -> None:
    model = tiny("llava")
    file = tmp_path / "mine.jsonl"
    with hf.record_selections(file) as record, hf.prune(model.model, keep=3) as pruned:
        model.model.generate(**model.inputs, max_new_tokens=1)
        record.add("q1", pruned)
        record.add("q2", [5, 1], layer=2)
        for wrong, text in [
            (lambda: record.add("q1", [1]), "was added before"),
            (lambda: record.add("q3", [1], layer=3), "every line of a file has the same site"),
            (lambda: record.add("q3", [1, 1]), "each once"),
            (lambda: record.add("q3", [-1]), "counted from 0"),
            (lambda: record.add("q3", pruned, layer=2), "omit it"),
        ]:
            with pytest.raises(finepruner.Error, match=text):
                wrong()
        assert len(record) == 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == [
        {"id": "q1", "site": "layer 2", "kept": pruned.kept_tokens[0]},
        {"id": "q2", "site": "layer 2", "kept": [5, 1]},
    ]

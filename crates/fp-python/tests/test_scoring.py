"""Scoring is that of the command, on arrays of every kind, read where they lie."""

from __future__ import annotations

import array
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import finepruner
import numpy as np
import numpy.typing as npt
import pytest
from finepruner import _native

from conftest import EXAMPLE, command_json

Attention = npt.NDArray[np.float16]
RANGE = (5, 69)


def test_values_are_those_of_the_command(attention: Attention) -> None:
    expected = command_json(
        "score", str(EXAMPLE), "--image-range", "5..69", "--keep", "16",
        "--query-selection-strategy", "all",
    )
    found = finepruner.score(attention, image_range=RANGE, keep=16, queries="all")
    assert [selection.to_dict() for selection in found] == expected
    for selection, record in zip(found, expected, strict=True):
        assert selection.kept_tokens.tolist() == record["kept_tokens"]
        assert selection.selected_heads.tolist() == record["selected_heads"]
        assert selection.token_importance.tolist() == record["token_importance"]
        scores = [-math.inf if score is None else score for score in record["head_scores"]]
        assert selection.head_scores.tolist() == scores
        assert selection.audit == record["audit"]
        assert selection.label == f"{record['head_strategy']} + {record['query_strategy']}"


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_number_types(attention: Attention, dtype: type[np.floating[Any]]) -> None:
    values: npt.NDArray[np.floating[Any]] = attention.astype(dtype)
    (found,) = finepruner.score(values, image_range=RANGE, keep=8, heads="variance")
    wide = values.astype(np.float64)
    (expected,) = finepruner.score(wide, image_range=RANGE, keep=8, heads="variance")
    assert np.array_equal(found.kept_tokens, expected.kept_tokens)


def test_views_batches_and_rows_per_head(attention: Attention) -> None:
    whole = finepruner.score(attention, image_range=RANGE, keep=8)
    rows = finepruner.score(attention[:, -1, 5:69], keep=8)
    batch = finepruner.score(np.stack([attention, attention]), image_range=range(*RANGE), keep=8)
    turned = finepruner.score(np.asfortranarray(attention), image_range="5..69", keep=8)
    assert [s.sample for s in batch] == [0] * len(whole) + [1] * len(whole)
    for at, selection in enumerate(whole):
        for other in (rows[at], batch[at], batch[len(whole) + at], turned[at]):
            assert np.array_equal(selection.kept_tokens, other.kept_tokens)
            assert selection.head_strategy == other.head_strategy
        assert rows[at].query_strategy is None


def test_some_of_the_rows(attention: Attention) -> None:
    whole = finepruner.score(attention, image_range=RANGE, keep=8, queries="last_5_tokens")
    last = range(attention.shape[1] - 5, attention.shape[1])
    some = finepruner.score(
        attention[:, -5:], image_range=RANGE, query_rows=last, keep=8, queries="last_5_tokens"
    )
    assert [s.to_dict() for s in some] == [s.to_dict() for s in whole]
    with pytest.raises(finepruner.Error, match="no row of position 69; it has those of 75..80"):
        finepruner.score(
            attention[:, -5:],
            image_range=RANGE,
            query_rows=last,
            keep=8,
            queries="text_tokens_only",
        )
    with pytest.raises(finepruner.Error, match="query_rows 75..80 names 5 positions"):
        finepruner.score(attention[:, -4:], image_range=RANGE, query_rows=last, keep=8)


def test_batches_of_one_row_per_head(attention: Attention) -> None:
    rows = attention[:, -3:, 5:69].astype(np.float32).transpose(1, 0, 2)
    one_by_one = [finepruner.score(sample, keep=8) for sample in rows]
    batch = finepruner.score(rows, keep=8, batch=True)
    assert [s.sample for s in batch] == [at for at, found in enumerate(one_by_one) for _ in found]
    for found, expected in zip(batch, sum(one_by_one, []), strict=True):
        assert np.array_equal(found.kept_tokens, expected.kept_tokens)
        assert np.array_equal(found.head_scores, expected.head_scores)
    wrong = rows.copy()
    wrong[2, 1, 7] = np.nan
    with pytest.raises(finepruner.Error, match="sample 2: head 1 of tensor `attention`"):
        finepruner.score(wrong, keep=8, batch=True)
    with pytest.raises(finepruner.Error, match="omit image_range"):
        finepruner.score(rows, keep=8, batch=True, image_range=RANGE)
    with pytest.raises(finepruner.Error, match="is of one sample"):
        finepruner.score(rows[0], keep=8, batch=True)


def test_the_same_settings_again(attention: Attention) -> None:
    first = finepruner.score(attention, image_range=RANGE, keep=8, heads="sum")
    other = finepruner.score(attention, image_range=RANGE, keep=4, heads="sum")
    again = finepruner.score(attention, image_range=RANGE, keep=8, heads="sum")
    assert [len(found[0].kept_tokens) for found in (first, other, again)] == [8, 4, 8]
    assert first[0].to_dict() == again[0].to_dict()
    with pytest.raises(IndexError):
        first[0]._scores.record(1)


def test_other_buffers() -> None:
    values = np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]])
    (expected,) = finepruner.score(values, keep=1, heads="sum")
    view = memoryview(array.array("d", values.ravel())).cast("B").cast("d", (2, 3))
    (found,) = finepruner.score(view, keep=1, heads="sum")
    assert found.to_dict() == expected.to_dict()


def test_arrays_are_read_where_they_lie(attention: Attention) -> None:
    for values in (attention, attention[1:], attention[:, 3:], attention[:, :, 5:]):
        assert _native.address(values) == values.ctypes.data
    assert not attention.flags.writeable


def test_tensors_are_read_where_they_lie(attention: Attention) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    values = torch.tensor(attention)
    assert _native.address(values) == values.data_ptr()
    assert _native.address(values[:, -1, 5:69]) == values[:, -1, 5:69].data_ptr()
    expected = finepruner.score(attention, image_range=RANGE, keep=8)
    for tensor in (values, values.requires_grad_(), values.detach()[None]):
        found = finepruner.score(tensor, image_range=RANGE, keep=8)
        assert [s.to_dict()["kept_tokens"] for s in found] == [
            s.to_dict()["kept_tokens"] for s in expected
        ]
    for dtype in (torch.float16, torch.bfloat16):
        half = values.detach().to(dtype)
        for view in (half, half[1:, :, 5:], half.transpose(1, 2)):
            assert _native.address(view) == view.data_ptr()
        (found16,) = finepruner.score(half, image_range=RANGE, keep=8, heads="sum")
        (wide,) = finepruner.score(half.double(), image_range=RANGE, keep=8, heads="sum")
        assert np.array_equal(found16.kept_tokens, wide.kept_tokens)


def test_tensors_that_can_not_be_read() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for values, text in [
        (torch.zeros(2, 3, dtype=torch.int32), "is of type <i4; expected float64"),
        (torch.zeros(2, 3, dtype=torch.float8_e4m3fn), "is a Tensor that NumPy can't read"),
        (torch.eye(3).to_sparse(), "is a Tensor that NumPy can't read"),
        (torch.eye(3).bfloat16().to_sparse(), "is a Tensor that NumPy can't read"),
        (torch.zeros(2, 3, device="meta"), "is a Tensor that NumPy can't read .*meta"),
    ]:
        with pytest.raises(finepruner.Error, match=text):
            finepruner.score(values, keep=1)


class Exported:
    """An array by DLPack alone."""

    def __init__(self, values: Attention, device: tuple[int, int] = (1, 0)) -> None:
        self.values, self.device = values, device

    def __dlpack__(self) -> object:
        return self.values.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


def test_dlpack(attention: Attention) -> None:
    values = attention.copy()
    assert _native.address(Exported(values)) == values.ctypes.data
    assert _native.address(Exported(values[1:, :, 4:])) == values[1:, :, 4:].ctypes.data
    found = finepruner.score(Exported(values), image_range=RANGE, keep=8)
    expected = finepruner.score(values, image_range=RANGE, keep=8)
    assert [s.to_dict() for s in found] == [s.to_dict() for s in expected]
    with pytest.raises(finepruner.Error, match="expected host memory"):
        finepruner.score(Exported(values, (2, 0)), image_range=RANGE, keep=8)


class Jax(Exported):
    """One that names its type as NumPy does and that NumPy reads by ``__array__``."""

    def __init__(self, values: Any) -> None:
        super().__init__(values)
        self.dtype = values.dtype

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        return self.values


def test_bfloat16_of_numpy(attention: Attention) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    values = attention.astype(ml_dtypes.bfloat16)
    for view in (values, values[1:, :, 5:], values.swapaxes(1, 2)):
        assert _native.address(view) == view.ctypes.data
        assert _native.address(Jax(view)) == view.ctypes.data
    expected = finepruner.score(values.astype(np.float32)[:, -1, 5:69], keep=8)
    for rows in (values[:, -1, 5:69], Jax(values[:, -1, 5:69])):
        found = finepruner.score(rows, keep=8)
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one.token_importance, other.token_importance)
    swapped = values.astype(values.dtype.newbyteorder(">"))
    with pytest.raises(finepruner.Error, match="is of type >V2; expected .*little-endian"):
        finepruner.score(swapped, image_range=RANGE, keep=8)


def test_threads_share_an_array(attention: Attention) -> None:
    values = attention.astype(np.float32)
    expected = [s.to_dict() for s in finepruner.score(values, image_range=RANGE, keep=8)]

    def run(at: int) -> bool:
        view = values if at % 2 else values[:]
        found = finepruner.score(view, image_range=RANGE, keep=8)
        return [s.to_dict() for s in found] == expected

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(run, range(64)))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"keep": 0}, "R must be between 1 and 64"),
        ({"keep": 65}, "keep 65: R = 65 of 64 image tokens"),
        ({"heads": "varaince"}, "did you mean `variance`?"),
        ({"heads": ["sum", "sum"]}, "head_selection_strategy names sum twice"),
        ({"queries": "nonsense"}, "unknown query-selection strategy `nonsense`"),
        ({"num_selected_heads": 99}, "can't select 99 of"),
        ({"normalize": "l2"}, "expected one of: l1, softmax"),
        ({"image_range": (60, 5)}, "image range 60..5"),
        ({"image_range": None}, "give the position of the image with image_range"),
        ({"image_range": range(5, 69, 2)}, "has a step of 2"),
        ({"image_range": "5.69"}, "'5.69'; expected two whole numbers"),
        ({"image_range": (5, 69.5)}, "expected two whole numbers"),
        ({"image_range": (5, 69, 70)}, "expected two whole numbers"),
    ],
)
def test_settings_that_do_not_fit(
    attention: Attention, settings: dict[str, object], text: str
) -> None:
    asked: dict[str, object] = {"keep": 8, "image_range": RANGE, **settings}
    with pytest.raises(finepruner.Error) as caught:
        finepruner.score(attention, **asked)  # type: ignore[arg-type]
    assert text in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.zeros((2, 3), np.int32), "expected float64, float32, float16 or bfloat16"),
        (np.zeros((2, 3), ">f4"), "little-endian"),
        (np.full((2, 3), -0.1), "finite and not negative"),
        (np.full((2, 3), 0.9), "sums to 2.7"),
        (np.zeros((0, 3)), "is empty"),
        (np.zeros(3), "1 dimensions"),
        (np.zeros((1,) * 33 + (3,)), "has 34 dimensions; expected at most 32"),
        (np.zeros(2, "f4,u1")["f0"], "has a stride of 5 bytes"),
        (np.zeros(25, np.uint8)[1:].view(np.float32), "not a multiple of its elements' 4 bytes"),
        (np.full((2, 3, 3), 0.1)[:, ::-1], "runs backwards"),
        ([[0.1, 0.2]], "is a list"),
        ("text", "is a str"),
    ],
)
def test_arrays_that_do_not_fit(values: object, text: str) -> None:
    with pytest.raises(finepruner.Error, match=text):
        finepruner.score(values, keep=1)


def test_settings_without_effect_are_warned_of(attention: Attention) -> None:
    with pytest.warns(UserWarning, match="every head strategy selects the same tokens"):
        finepruner.score(attention, image_range=RANGE, keep=8, num_selected_heads="all")


def test_strategies_and_budgets_are_those_of_the_command() -> None:
    assert finepruner.strategies() == command_json("strategies")
    assert finepruner.budget() == command_json("budget")
    assert finepruner.budget(keep=[100, 50], prune_layer=3) == command_json(
        "budget", "--keep", "100,50", "--prune-layer", "3"
    )
    assert finepruner.budget(schedule={3: 309, 7: 204}) == command_json(
        "budget", "--schedule", "3:309,7:204"
    )
    with pytest.raises(finepruner.Error, match="must be between"):
        finepruner.budget(average_visual_tokens=1)
    with pytest.raises(finepruner.Error, match="llava-1.5-7b"):
        finepruner.budget(model="gpt")


def test_equivalence(attention: Attention) -> None:
    found = finepruner.score(attention, image_range=RANGE, keep=8)
    matrix = finepruner.equivalence(found + found)
    assert (matrix.num_samples, len(matrix.labels)) == (2, len(found))
    expected = found[0].to_dict()["equivalence"]
    for label, cell in expected.items():
        assert matrix.mean_jaccard[found[0].label][label] == cell["mean_jaccard"]
        assert matrix.identical_share[found[0].label][label] == cell["identical_share"]
    by_name = finepruner.equivalence({"a": [[1, 2]], "b": [[2, 3]]})
    assert by_name.mean_jaccard["a"]["b"] == 1 / 3
    with pytest.raises(finepruner.Error, match="different numbers of samples"):
        finepruner.equivalence({"a": [[1]], "b": [[1], [2]]})
    with pytest.raises(finepruner.Error, match="ascending"):
        finepruner.equivalence({"a": [[2, 1]]})
    with pytest.raises(finepruner.Error, match="is empty"):
        finepruner.equivalence([])


def test_token_quality() -> None:
    importance = np.zeros(16)
    importance[[0, 5]] = [0.25, 0.75]
    features = np.eye(16)
    found = finepruner.token_quality(
        [0, 5],
        grid=4,
        importance=importance,
        features=features,
        boxes=[(0, 0, 25, 25)],
        image_size=(100, 100),
    )
    assert found["attention"]["max"] == 0.75
    assert found["diversity"]["mean_cosine_distance"] == 1.0
    assert found["evidence"]["overlap"]["area_recall"] == 1.0
    assert found["evidence"]["attention"]["mass"] == 0.25
    assert found["spatial"]["centroid"] == [0.5, 0.5]
    # Three columns and one row over the whole of a wide image.
    wide = finepruner.token_quality(
        [1], grid=(3, 1), boxes=[(100, 0, 150, 100)], image_size=(300, 100)
    )
    assert wide["evidence"]["overlap"]["area_precision"] == 0.5
    assert wide["row_profile"] == [1.0]
    with pytest.raises(finepruner.Error, match="below 16"):
        finepruner.token_quality([16], grid=4)
    with pytest.raises(finepruner.Error, match="image_size"):
        finepruner.token_quality([1], grid=4, boxes=[(0, 0, 1, 1)])
    with pytest.raises(finepruner.Error, match="expected one row for each of 16"):
        finepruner.token_quality([1], grid=4, features=features[:3])

"""Tiny random models of transformers, and prompts for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the tests of finepruner.hf need PyTorch")
transformers = pytest.importorskip(
    "transformers", reason="the tests of finepruner.hf need transformers"
)

# Threads cost more than such models take.
torch.set_num_threads(1)

VOCABULARY = 100
IMAGE_TOKEN = 90
LAYERS = 4


@dataclass
class Tiny:
    """A model and the inputs of one prompt."""

    model: Any
    inputs: dict[str, Any]
    #: Where the image stands.
    image_range: tuple[int, int]

    @property
    def length(self) -> int:
        """Tokens of the prompt."""
        return int(self.inputs["input_ids"].shape[1])


def _text(kind: Any, **more: Any) -> Any:
    return kind(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **more,
    )


def _vision(kind: Any) -> Any:
    return kind(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
    )


def _prompt(num_image: int, num_before: int = 4, num_after: int = 7) -> Any:
    generator = torch.Generator().manual_seed(3)

    def words(count: int) -> Any:
        return torch.randint(3, IMAGE_TOKEN, (count,), generator=generator)

    image = torch.full((num_image,), IMAGE_TOKEN)
    return torch.cat([words(num_before), image, words(num_after)])[None]


def _spread(model: Any) -> Any:
    """Weights large enough for attention to differ among tokens."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "q_proj" in name or "k_proj" in name:
                values.mul_(6.0)
    return model.eval()


def _pixels(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def _finished(model: Any, inputs: dict[str, Any], num_image: int) -> Tiny:
    ids = _prompt(num_image)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **inputs}
    return Tiny(_spread(model), inputs, (4, 4 + num_image))


def llava() -> Tiny:
    """LLaVA-1.5."""
    config = transformers.LlavaConfig(
        vision_config=_vision(transformers.CLIPVisionConfig),
        text_config=_text(transformers.LlamaConfig),
        image_token_id=IMAGE_TOKEN,
        image_seq_length=16,
    )
    model = transformers.LlavaForConditionalGeneration(config)
    return _finished(model, {"pixel_values": _pixels(1, 3, 56, 56)}, 16)


def _tiled(model: Any) -> Tiny:
    inputs = {"pixel_values": _pixels(1, 3, 3, 56, 56), "image_sizes": torch.tensor([[50, 110]])}
    with torch.no_grad():
        found = model.get_image_features(**inputs)
    features = getattr(found, "pooler_output", found)
    return _finished(model, inputs, len(features[0]))


def llava_next() -> Tiny:
    """LLaVA-NeXT."""
    config = transformers.LlavaNextConfig(
        vision_config=_vision(transformers.CLIPVisionConfig),
        text_config=_text(transformers.LlamaConfig),
        image_token_id=IMAGE_TOKEN,
        image_grid_pinpoints=[[56, 112], [112, 56], [112, 112]],
    )
    return _tiled(transformers.LlavaNextForConditionalGeneration(config))


def llava_onevision() -> Tiny:
    """LLaVA-OneVision."""
    config = transformers.LlavaOnevisionConfig(
        vision_config=_vision(transformers.SiglipVisionConfig),
        text_config=_text(transformers.Qwen2Config),
        image_token_id=IMAGE_TOKEN,
        video_token_id=IMAGE_TOKEN + 1,
        image_grid_pinpoints=[[56, 112], [112, 56], [112, 112]],
        vision_feature_select_strategy="full",
    )
    return _tiled(transformers.LlavaOnevisionForConditionalGeneration(config))


def _qwen(config_kind: Any, model_kind: Any, vision: dict[str, Any]) -> Tiny:
    rotary = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    text = _text(
        type(config_kind().text_config), rope_parameters=rotary, use_sliding_window=False
    )
    config = config_kind(
        text_config=text.to_dict(),
        vision_config={"depth": 2, "num_heads": 2, "patch_size": 14, **vision},
        image_token_id=IMAGE_TOKEN,
        video_token_id=IMAGE_TOKEN + 1,
        vision_start_token_id=IMAGE_TOKEN + 2,
        vision_end_token_id=IMAGE_TOKEN + 3,
    )
    model = model_kind(config)
    inputs = {
        "pixel_values": _pixels(64, 3 * 2 * 14 * 14),
        "image_grid_thw": torch.tensor([[1, 8, 8]]),
    }
    tiny = _finished(model, inputs, 16)
    ids = tiny.inputs["input_ids"]
    ids[0, 3], ids[0, 20] = IMAGE_TOKEN + 2, IMAGE_TOKEN + 3
    tiny.inputs["mm_token_type_ids"] = (ids == IMAGE_TOKEN).to(torch.int32)
    return tiny


def qwen2_vl() -> Tiny:
    """Qwen2-VL."""
    vision = {"embed_dim": 32, "hidden_size": 64}
    return _qwen(
        transformers.Qwen2VLConfig, transformers.Qwen2VLForConditionalGeneration, vision
    )


def qwen2_5_vl() -> Tiny:
    """Qwen2.5-VL."""
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "out_hidden_size": 64,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    return _qwen(
        transformers.Qwen2_5_VLConfig, transformers.Qwen2_5_VLForConditionalGeneration, vision
    )


def internvl() -> Tiny:
    """InternVL."""
    config = transformers.InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [112, 112],
            "patch_size": [14, 14],
        },
        text_config=_text(transformers.Qwen2Config),
        image_token_id=IMAGE_TOKEN,
    )
    model = transformers.InternVLForConditionalGeneration(config)
    return _finished(model, {"pixel_values": _pixels(1, 3, 112, 112)}, 16)


MODELS: dict[str, Callable[[], Tiny]] = {
    make.__name__: make
    for make in (llava, llava_next, llava_onevision, qwen2_vl, qwen2_5_vl, internvl)
}


def tiny(name: str, implementation: str = "sdpa") -> Tiny:
    """The model of this name; the same weights whatever the implementation of attention."""
    torch.manual_seed(7)
    made = MODELS[name]()
    made.model.set_attn_implementation(implementation)
    return made

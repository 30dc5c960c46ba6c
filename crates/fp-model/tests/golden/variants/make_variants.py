#!/usr/bin/env python3
"""Makes the tiny checkpoints beside this file, and what transformers gives on them.

Each one differs from the plain case in several ways at once: `grouped` has fewer
key heads than query heads, tied embeddings and pickled f16 shards; `biased` has
biases in decoder attention and MLP, stretched rotary positions, an explicit head
width, and keeps the class token; `next` is a LLaVA-NeXT on a Mistral decoder in
bf16, with tiles. Run with torch 2.4.1 and transformers 4.46.3.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    MistralConfig,
)

HERE = Path(__file__).parent
VOCAB, IMAGE_TOKEN = 64, 60
VISION = dict(
    hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
    image_size=28, patch_size=14, initializer_range=0.3, projection_dim=16, attn_implementation="eager",
)
TEXT = dict(
    vocab_size=VOCAB, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
    max_position_embeddings=512, initializer_range=0.2, rms_norm_eps=1e-5, attn_implementation="eager",
)


def randomise(model, dtype):
    """Random biases too, and values that `dtype` holds exactly."""
    torch.manual_seed(5)
    for name, p in model.named_parameters():
        if name.endswith("bias") or "norm" in name or name == "image_newline":
            p.data.add_(0.1 * torch.randn_like(p))
        p.data.copy_(p.data.to(dtype).float())
    return model.eval()


def store(name, model, dtype, expected, pickled=False):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.save_pretrained(
        folder, safe_serialization=not pickled, max_shard_size="40KB" if pickled else "10GB",
        state_dict={k: v.to(dtype) for k, v in model.state_dict().items()},
    )
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")


def main():
    torch.set_grad_enabled(False)

    text = LlamaConfig(**TEXT, num_key_value_heads=2, tie_word_embeddings=True)
    config = LlavaConfig(CLIPVisionConfig(**VISION), text, image_token_index=IMAGE_TOKEN,
                         tie_word_embeddings=True, image_seq_length=4, attn_implementation="eager")
    torch.manual_seed(1)
    model = randomise(LlavaForConditionalGeneration(config), torch.float16)
    model.tie_weights()
    pixels = torch.randn(1, 3, 28, 28)
    ids = torch.tensor([[1, 5, IMAGE_TOKEN] + [IMAGE_TOKEN] * 3 + [7, 9, 11]])
    logits = model(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids)).logits[0, -1]
    store("grouped", model, torch.float16, dict(pixel_values=pixels, logits=logits), pickled=True)

    text = LlamaConfig(**TEXT, attention_bias=True, mlp_bias=True, head_dim=12, rope_theta=5e5,
                       rope_scaling={"rope_type": "linear", "factor": 2.0})
    config = LlavaConfig(CLIPVisionConfig(**VISION), text, image_token_index=IMAGE_TOKEN,
                         vision_feature_layer=-1, vision_feature_select_strategy="full", image_seq_length=5,
                         attn_implementation="eager")
    torch.manual_seed(2)
    model = randomise(LlavaForConditionalGeneration(config), torch.float32)
    pixels = torch.randn(1, 3, 28, 28)
    ids = torch.tensor([[1, 5] + [IMAGE_TOKEN] * 5 + [7, 9, 11]])
    logits = model(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids)).logits[0, -1]
    store("biased", model, torch.float32, dict(pixel_values=pixels, logits=logits))

    text = MistralConfig(**TEXT, num_key_value_heads=2, sliding_window=None)
    config = LlavaNextConfig(CLIPVisionConfig(**VISION), text, image_token_index=IMAGE_TOKEN,
                             image_grid_pinpoints=[[28, 56], [56, 28], [56, 56]], image_seq_length=1,
                             attn_implementation="eager")
    torch.manual_seed(3)
    model = randomise(LlavaNextForConditionalGeneration(config), torch.bfloat16)
    expected = {}
    # (height, width): a wide image in two tiles, a tall one in a grid of four.
    for height, width, tiles in [(20, 60, 3), (70, 50, 5)]:
        pixels = torch.randn(1, tiles, 3, 28, 28)
        sizes = torch.tensor([[height, width]])
        features = model.get_image_features(pixels, sizes, -2, "default")
        packed, _ = model.pack_image_features(features, sizes, "default", model.image_newline)
        ids = torch.tensor([[1, 5] + [IMAGE_TOKEN] * packed.shape[0] + [7, 9, 11]])
        logits = model(input_ids=ids, pixel_values=pixels, image_sizes=sizes,
                       attention_mask=torch.ones_like(ids)).logits[0, -1]
        key = f"{height}x{width}"
        expected |= {f"pixel_values_{key}": pixels[0], f"features_{key}": packed, f"logits_{key}": logits}
    store("next", model, torch.bfloat16, expected)


if __name__ == "__main__":
    main()

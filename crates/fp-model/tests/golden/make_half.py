#!/usr/bin/env python3
"""Writes half.safetensors beside this file: what PyTorch gives on the golden model with its
weights rounded to bf16.

Of each golden view the logits at the last position of the unpruned prompt: `reference_VIEW`
computed in f64 throughout, `torch_bf16_VIEW` by the model in bf16. Run with torch 2.15 and
transformers 5.24.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

HERE = Path(__file__).parent


def main():
    torch.set_grad_enabled(False)
    half = LlavaForConditionalGeneration.from_pretrained(
        HERE / "model", dtype=torch.bfloat16, attn_implementation="sdpa"
    ).eval()
    wide = LlavaForConditionalGeneration.from_pretrained(
        HERE / "model", dtype=torch.float64, attn_implementation="eager"
    ).eval()
    for parameter in wide.parameters():
        parameter.data.copy_(parameter.data.to(torch.bfloat16).double())
    expected = load_file(HERE / "expected.safetensors")
    found = {}
    for case in json.loads((HERE / "cases.json").read_text()):
        if case["study"] is not None:
            continue
        view = f"{case['image'][5]}_{case['aspect']}"
        at, count = case["image_position"], case["visual_tokens"]
        ids = case["input_ids"]
        image = wide.config.image_token_id
        ids = torch.tensor([ids[:at] + [image] * count + ids[at + 1 :]])
        pixels = expected[f"pixel_values_{view}"][None]
        mask = torch.ones_like(ids)
        run = lambda model, dtype: model(
            input_ids=ids, pixel_values=pixels.to(dtype), attention_mask=mask
        ).logits[0, -1]
        found[f"reference_{view}"] = run(wide, torch.float64).contiguous()
        found[f"torch_bf16_{view}"] = run(half, torch.bfloat16).float().contiguous()
        error = (found[f"torch_bf16_{view}"].double() - found[f"reference_{view}"]).abs()
        before = (expected[f"logits_{view}_none"].double() - found[f"reference_{view}"]).abs()
        print(view, f"error of bf16 at most {error.max():.4f}, of rounding weights {before.max():.4f}")
    save_file(found, HERE / "half.safetensors")


if __name__ == "__main__":
    main()

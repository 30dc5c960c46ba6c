#!/usr/bin/env python3
"""Makes tiny checkpoints of LLaVA-OneVision, Qwen2-VL and Qwen2.5-VL with Hugging Face
transformers, and what transformers gives on them: crates/fp-model/tests/golden/families.

Each family has three checkpoints of random weights (three seeds, two shapes, one of them with
grouped key heads), five pictures (square, wide, tall, tiny, large) and two questions on each.
Stored per picture: pixel values, image tokens, position ids, features and logits; greedy tokens
with their smallest margin; and, with tokens dropped after layer K, what a plain forward pass
gives that drops the same tokens and keeps positions, for every query strategy.

Resizing follows Pillow 12 (from 13 on, `Image.resize` rounds tall pictures in another order):

    PYTHONPATH=/path/to/pillow12 python3 benches/peers/family_goldens.py

Run with transformers 5.24, torch 2.15 and Pillow 12.3.
"""

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers import AddedToken
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

OUT = Path(__file__).resolve().parents[2] / "crates/fp-model/tests/golden/families"
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>", "<image>", "<video>",
]
VOCAB = 272
ID = {token: 256 + index for index, token in enumerate(SPECIAL)}
QUESTIONS = ["What color is it?", "How many?\nAnswer in one word."]
PRUNE_LAYER = 2
NEW_TOKENS = 5


def tokenizer():
    """Bytes as tokens, and the families' special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    assert all(made.token_to_id(token) == ID[token] for token in SPECIAL)
    return made


def pictures():
    """Smooth pictures with sharp edges, of all kinds of shapes."""
    made = {}
    for name, (width, height) in dict(
        square=(40, 40), wide=(90, 30), tall=(30, 90), tiny=(5, 7), large=(200, 160)
    ).items():
        x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
        values = np.stack([x, y, (x + y) / 2], -1) * 255
        image = Image.fromarray(values.astype(np.uint8))
        draw = ImageDraw.Draw(image)
        draw.ellipse([width * 0.2, height * 0.2, width * 0.6, height * 0.7], fill=(220, 30, 60))
        draw.rectangle([width * 0.6, height * 0.1, width * 0.9, height * 0.5], fill=(20, 200, 90))
        image.save(OUT / f"{name}.png", optimize=True)
        made[name] = image
    return made


def randomise(model, seed):
    """Weights that make attention uneven, biases and norms that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() == 1 and ("norm" in name or "ln_q" in name) and name.endswith("weight"):
            p.data = 1 + 0.1 * noise
        elif p.dim() == 1:
            p.data = 0.1 * noise
        else:
            fan = p[0].numel()
            scale = 1.6 if ("q_proj" in name or "k_proj" in name) else 1.0
            p.data = noise * (0.35 if "embed" in name else scale / math.sqrt(fan))
    model.tie_weights()
    return model.eval()


TEXT_SHAPES = {
    "a": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
              num_key_value_heads=4),
    "b": dict(hidden_size=48, intermediate_size=40, num_hidden_layers=3, num_attention_heads=6,
              num_key_value_heads=2),
}
TEXT = dict(vocab_size=VOCAB, max_position_embeddings=4096, rms_norm_eps=1e-6, bos_token_id=None,
            eos_token_id=ID["<|im_end|>"], pad_token_id=None, use_sliding_window=False)
# Halves of a head that turn by time, row and column.
MROPE = [1, 2, 1]


def onevision(shape, seed):
    text = dict(model_type="qwen2", **TEXT, **TEXT_SHAPES[shape], rope_theta=10000.0,
                tie_word_embeddings=shape == "b")
    vision = dict(model_type="siglip_vision_model", hidden_size=24, intermediate_size=40,
                  num_hidden_layers=3, num_attention_heads=2 if shape == "a" else 3, image_size=20,
                  patch_size=3, vision_use_head=False)
    sides = [20, 40, 60, 80]
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_token_index=ID["<image>"],
        video_token_index=ID["<video>"], tie_word_embeddings=shape == "b",
        image_grid_pinpoints=[[h, w] for h in sides for w in sides],
        vision_aspect_ratio="anyres_max_9" if shape == "a" else "anyres_max_4",
    )
    config._attn_implementation = "eager"
    return randomise(LlavaOnevisionForConditionalGeneration(config), seed)


def qwen2_vl(shape, seed):
    text = dict(**TEXT, **TEXT_SHAPES[shape], tie_word_embeddings=shape == "b",
                rope_theta=1000000.0, rope_scaling=dict(type="mrope", mrope_section=MROPE))
    vision = dict(depth=3, embed_dim=24 if shape == "a" else 32, hidden_size=text["hidden_size"],
                  num_heads=2, mlp_ratio=2, patch_size=4, spatial_merge_size=2,
                  temporal_patch_size=2)
    config = Qwen2VLConfig(text_config=text, vision_config=vision, **QWEN_IDS,
                           tie_word_embeddings=shape == "b")
    config._attn_implementation = "eager"
    return randomise(Qwen2VLForConditionalGeneration(config), seed)


def qwen2_5_vl(shape, seed):
    text = dict(**TEXT, **TEXT_SHAPES[shape], tie_word_embeddings=shape == "b",
                rope_theta=1000000.0, rope_scaling=dict(type="mrope", mrope_section=MROPE))
    vision = dict(depth=4, hidden_size=24 if shape == "a" else 32, intermediate_size=36,
                  num_heads=2, patch_size=4, spatial_merge_size=2, temporal_patch_size=2,
                  window_size=24, out_hidden_size=text["hidden_size"],
                  fullatt_block_indexes=[1, 3] if shape == "a" else [2])
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **QWEN_IDS,
                              tie_word_embeddings=shape == "b")
    config._attn_implementation = "eager"
    return randomise(Qwen2_5_VLForConditionalGeneration(config), seed)


QWEN_IDS = dict(
    image_token_id=ID["<|image_pad|>"], video_token_id=ID["<|video_pad|>"],
    vision_start_token_id=ID["<|vision_start|>"], vision_end_token_id=ID["<|vision_end|>"],
)
QWEN_PROMPT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "<|vision_start|><|image_pad|><|vision_end|>{}<|im_end|>\n<|im_start|>assistant\n"
)
ONEVISION_PROMPT = "<|im_start|>user <image>\n{}<|im_end|><|im_start|>assistant\n"
FAMILIES = {
    "llava_onevision": (onevision, ONEVISION_PROMPT, ID["<image>"]),
    "qwen2_vl": (qwen2_vl, QWEN_PROMPT, ID["<|image_pad|>"]),
    "qwen2_5_vl": (qwen2_5_vl, QWEN_PROMPT, ID["<|image_pad|>"]),
}


def processor(family, model):
    if family == "llava_onevision":
        return LlavaOnevisionImageProcessorPil(
            size=dict(height=20, width=20), image_mean=[0.5] * 3, image_std=[0.5] * 3,
            image_grid_pinpoints=model.config.image_grid_pinpoints,
        )
    return Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2, min_pixels=8 * 8 * 4,
        max_pixels=8 * 8 * 40,
    )


class Decoder:
    """The decoder layer by layer, with the attention of one of them."""

    def __init__(self, model):
        self.lm = model.model.language_model
        self.head = model.lm_head

    def run(self, layers, hidden, positions, watch=None):
        """Layers on `hidden [S, D]` at `positions [3, S]` or `[S]`."""
        attention = {}
        x = hidden[None]
        ids = positions[:, None] if positions.dim() == 2 else positions[None]
        rotary = self.lm.rotary_emb(x, ids)
        mask = torch.full((x.shape[1],) * 2, float("-inf")).triu(1)[None, None]
        for index in layers:
            layer = self.lm.layers[index]
            hook = layer.self_attn.register_forward_hook(
                lambda _, __, out, index=index: attention.update({index: out[1][0]})
            )
            x = layer(x, attention_mask=mask, position_embeddings=rotary)
            x = x[0] if isinstance(x, tuple) else x
            hook.remove()
        return x[0], attention.get(watch)

    def logits(self, hidden):
        return self.head(self.lm.norm(hidden))

    def embed(self, ids):
        return self.lm.embed_tokens(ids)


def rows_and_weights(strategy, attention, system, image, text):
    """A query strategy's rows and weights, in f64; `attention [H, S, S]`."""
    length = system + image + text
    outside = [*range(system), *range(system + image, length)]
    totals = attention[:, :, system:system + image].sum((0, 2))[outside]
    last = lambda n: [*range(max(length - n, 0), length)]
    alike = lambda rows: (rows, torch.ones(len(rows), dtype=torch.float64) / len(rows))
    if strategy == "last_token":
        return alike(last(1))
    if strategy == "last_n_tokens":
        return alike(last(3))
    if strategy == "last_5_tokens":
        return alike(last(5))
    if strategy == "text_tokens_only":
        return alike([*range(system + image, length)])
    if strategy == "weighted_recent":
        rows = last(5)
        weights = torch.linspace(0.5, 1.0, len(rows), dtype=torch.float64)
        return rows, weights / weights.sum()
    if strategy == "system_and_text":
        return alike(outside)
    if strategy == "attention_weighted":
        return outside, torch.softmax(totals, 0)
    if strategy == "max_attention_token":
        return [outside[int(totals.argmax())]], torch.ones(1, dtype=torch.float64)
    if strategy == "adaptive_by_length":
        assert text > 10
        return outside, torch.softmax(totals, 0)
    raise ValueError(strategy)


STRATEGIES = [
    "last_token", "last_n_tokens", "last_5_tokens", "text_tokens_only", "weighted_recent",
    "system_and_text", "attention_weighted", "max_attention_token", "adaptive_by_length",
]


def decode(decoder, hidden, positions, kept=None, system=0, image=0):
    """Greedy tokens, the logits of the first, and the smallest margin. With `kept`, layers
    behind PRUNE_LAYER see those image tokens alone."""
    count = len(decoder.lm.layers)
    tokens, margins, first = [], [], None
    next_position = int(positions.max()) + 1
    for _ in range(NEW_TOKENS):
        if kept is None:
            out, _ = decoder.run(range(count), hidden, positions)
        else:
            rows = [*range(system), *(system + k for k in kept),
                    *range(system + image, hidden.shape[0])]
            out, _ = decoder.run(range(PRUNE_LAYER), hidden, positions)
            out, _ = decoder.run(range(PRUNE_LAYER, count), out[rows], positions[..., rows])
        logits = decoder.logits(out[-1])
        first = logits if first is None else first
        best = logits.topk(2).values
        margins.append(float(best[0] - best[1]))
        token = int(logits.argmax())
        tokens.append(token)
        hidden = torch.cat([hidden, decoder.embed(torch.tensor([token]))])
        new = torch.full((*positions.shape[:-1], 1), next_position)
        positions = torch.cat([positions, new], -1)
        next_position += 1
    return tokens, first, min(margins)


def prepared(family, model, images):
    """Pixel values, features and grid of one picture."""
    if family == "llava_onevision":
        pixels = images["pixel_values"]
        out = model.model.get_image_features(pixels, images["image_sizes"], return_dict=True)
        features = out.pooler_output
        features = features[0] if isinstance(features, (list, tuple)) else features
        return pixels[0], features, None
    grid = images["image_grid_thw"]
    out = model.model.get_image_features(images["pixel_values"], grid, return_dict=True)
    features = out.pooler_output
    features = features[0] if isinstance(features, (list, tuple)) else features
    return images["pixel_values"], features, grid


def case(family, model, decoder, text_ids, image_token, picture, is_pruned):
    """One question on one picture, with tokens dropped too if `is_pruned`."""
    pixels, features, grid, images = picture
    at = text_ids.index(image_token)
    system, image, text = at, features.shape[0], len(text_ids) - at - 1
    ids = text_ids[:at] + [image_token] * image + text_ids[at + 1:]
    tensor = torch.tensor([ids])
    if grid is None:
        positions = torch.arange(len(ids))
    else:
        types = (tensor == image_token).int()
        positions, _ = model.model.get_rope_index(tensor, types, image_grid_thw=grid)
        positions = positions[:, 0]
    hidden = decoder.embed(tensor[0]).clone()
    hidden[system:system + image] = features
    tokens, logits, margin = decode(decoder, hidden, positions)
    # The model's own forward pass agrees.
    extra = {"image_sizes": images["image_sizes"]} if grid is None else {
        "image_grid_thw": grid, "mm_token_type_ids": (tensor == image_token).int()}
    whole = model(input_ids=tensor, attention_mask=torch.ones_like(tensor),
                  pixel_values=images["pixel_values"], **extra).logits[0, -1]
    assert torch.allclose(whole, logits, atol=2e-5), (whole - logits).abs().max()
    found = dict(input_ids=text_ids, image_position=at, num_image_tokens=image,
                 tokens=tokens, margin=margin, pruned=[])
    tensors = {"logits": logits, "positions": positions.to(torch.int64)}
    if not is_pruned:
        return found, tensors
    kept_count = max(1, image // 3)
    _, attention = decoder.run(range(PRUNE_LAYER), hidden, positions, watch=PRUNE_LAYER - 1)
    attention = attention.double()
    for strategy in STRATEGIES:
        rows, weights = rows_and_weights(strategy, attention, system, image, text)
        columns = attention[:, rows, system:system + image]
        importance = (columns * weights[None, :, None]).sum(1).mean(0)
        order = torch.argsort(importance, descending=True, stable=True)
        kept = sorted(order[:kept_count].tolist())
        gap = float("inf")
        if kept_count < image:
            gap = float(importance[order[kept_count - 1]] - importance[order[kept_count]])
            gap /= float(importance.max() - importance.min()) or 1.0
        tokens, logits, margin = decode(decoder, hidden, positions, kept, system, image)
        found["pruned"].append(dict(strategy=strategy, kept=kept, gap=min(gap, 1.0),
                                    tokens=tokens, margin=margin))
        tensors[f"pruned_{strategy}"] = logits
    return found, tensors


@torch.no_grad()
def checkpoint(family, shape, seed, layout, images):
    build, prompt, image_token = FAMILIES[family]
    model = build(shape, seed)
    name = f"{family}/{shape}{seed}"
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokens = tokenizer()
    tokens.save(str(folder / "tokenizer.json"), pretty=False)
    prepare = processor(family, model)
    prepare.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(
        dict(eos_token_id=[ID["<|im_end|>"], ID["<|endoftext|>"]], do_sample=False)))
    if layout == "flat":
        flatten(folder)
    rename(folder, RENAMED[family].get(shape + str(seed), []))
    decoder = Decoder(model)
    expected, cases = {}, []
    for picture_name, image in images.items():
        inputs = prepare(images=[image], return_tensors="pt")
        pixels, features, grid = prepared(family, model, inputs)
        expected[f"{picture_name}.features"] = features
        if shape == "a":
            expected[f"{picture_name}.pixel_values"] = once(pixels, grid)
        for index, question in enumerate(QUESTIONS):
            ids = tokens.encode(prompt.format(question), add_special_tokens=False).ids
            found, tensors = case(family, model, decoder, ids, image_token,
                                  (pixels, features, grid, inputs), index == 0)
            found |= dict(picture=picture_name, question=question)
            if grid is not None:
                found["grid"] = [int(grid[0, 2]) // 2, int(grid[0, 1]) // 2]
            cases.append(found)
            expected |= {f"{picture_name}.{index}.{k}": v for k, v in tensors.items()}
            print(name, picture_name, found["num_image_tokens"], round(found["margin"], 4), flush=True)
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
    (folder / "cases.json").write_text(json.dumps(cases))


def once(pixels, grid):
    """Patches of a still image without the repetition in time."""
    if grid is None:
        return pixels
    return pixels.reshape(pixels.shape[0], 3, 2, -1)[:, :, 0].contiguous()


# Tensor names of the hub, and of the modules since transformers 4.52, by checkpoint.
RENAMED = {
    "llava_onevision": {
        "b2": [("vision_tower.", "vision_tower.vision_model.")],
        "b3": [
            ("vision_tower.", "model.vision_tower.vision_model."),
            ("language_model.model.", "model.language_model."),
            ("multi_modal_projector.", "model.multi_modal_projector."),
            ("image_newline", "model.image_newline"),
        ],
    },
    "qwen2_vl": {"b2": [("model.", "model.language_model."), ("visual.", "model.visual.")]},
    "qwen2_5_vl": {"b2": [("model.", "model.language_model."), ("visual.", "model.visual.")]},
}


def rename(folder, pairs):
    """Gives tensors the names of another layout."""
    tensors = load_file(folder / "model.safetensors")

    def new(name):
        for old, replacement in pairs:
            if name.startswith(old):
                return replacement + name[len(old):]
        return name

    named = {new(name): tensor for name, tensor in tensors.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})


def flatten(folder):
    """The config as the hub has it: decoder fields at the top."""
    config = json.loads((folder / "config.json").read_text())
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    rope_scaling = dict(type="mrope", mrope_section=rope["mrope_section"])
    text |= dict(rope_theta=rope["rope_theta"], rope_scaling=rope_scaling)
    tie = config.get("tie_word_embeddings", False)
    model_type = config["model_type"]
    config = text | config | dict(model_type=model_type, tie_word_embeddings=tie)
    config["vision_config"].pop("model_type", None)
    config["vision_config"]["in_chans"] = config["vision_config"].pop("in_channels")
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def main():
    assert PIL.__version__.startswith("12."), f"Pillow {PIL.__version__}"
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    images = pictures()
    only = sys.argv[1:]
    for family in FAMILIES:
        if only and family not in only:
            continue
        for shape, seed, layout in [("a", 1, "nested"), ("b", 2, "nested"), ("b", 3, "flat")]:
            layout = "nested" if family == "llava_onevision" else layout
            checkpoint(family, shape, seed, layout, images)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Holds any-resolution input to Hugging Face transformers, from image files to tokens.

Writes two small LLaVA-NeXT checkpoints with random weights (a Llama decoder in f32,
a Mistral one with fewer key heads in bf16), images of many shapes, and runs both
sides on the same files: transformers through its own processor, FinePruner through
its command. Compared are the number of image tokens, the logits at the prompt's last
position, and greedy tokens.

    cargo build --release && python benches/peers/next_transformers.py

Needs torch 2.4.1, transformers 4.46.3, pillow below 13. transformers 4.46 loses a row
or column of pixels where an image's padding to its grid is odd; the shapes here pad
evenly. Prints one line per case and a summary; ends with code 1 on a difference.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    MistralConfig,
    PreTrainedTokenizerFast,
)
from transformers.image_processing_utils import select_best_resolution

TEMPLATE = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions. USER: <image>\n{} ASSISTANT:"
)
QUESTIONS = ["What is it?", "How many circles are there?\nAnswer with a number."]
SIDE, PATCH = 336, 14
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
# (width, height): square, wide, tall, of a grid's own shape, tiny, very long.
SHAPES = [
    (336, 336), (640, 480), (480, 640), (672, 336), (336, 1008), (1000, 301), (301, 1000),
    (500, 503), (93, 34), (64, 64), (2000, 241), (1344, 1008), (12, 600), (5, 4),
]
NEW_TOKENS, LOGITS, MARGIN = 8, 1e-3, 1e-3


def tokenizer():
    """Byte-level pairs from the prompts themselves; `<image>` is a token of its own."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([TEMPLATE.format(question) for question in QUESTIONS], trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return made


def build(folder, decoder, dtype, made):
    torch.manual_seed(7)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=SIDE,
        patch_size=PATCH, projection_dim=32, initializer_range=0.3,
    )
    shape = dict(
        vocab_size=made.get_vocab_size(), hidden_size=64, intermediate_size=96, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=8192, initializer_range=0.15, rms_norm_eps=1e-5,
    )
    text = {
        "llama": lambda: LlamaConfig(**shape),
        "mistral": lambda: MistralConfig(**shape, num_key_value_heads=2, sliding_window=None),
    }[decoder]()
    config = LlavaNextConfig(
        vision, text, image_token_index=made.token_to_id("<image>"), image_grid_pinpoints=PINPOINTS,
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    model = LlavaNextForConditionalGeneration(config).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias") or "norm" in name or name == "image_newline":
            weight.data.add_(0.1 * torch.randn_like(weight))
        weight.data.copy_(weight.data.to(dtype).float())
    model.save_pretrained(folder, state_dict={name: value.to(dtype) for name, value in model.state_dict().items()})
    made.save(str(folder / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"], model_input_names=["input_ids", "attention_mask"],
    )
    images = LlavaNextImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=PINPOINTS
    )
    images.save_pretrained(folder)
    return model, LlavaNextProcessor(
        images, fast, patch_size=PATCH, vision_feature_select_strategy="default", image_token="<image>"
    )


def picture(width, height):
    """Blocks of colour with an edge that runs through every pixel row."""
    pixels = [
        ((x * 7 + y * 3) % 256, (x // 16 * 40 + y // 16 * 70) % 256, 255 if (x + 2 * y) % 50 < 25 else 20)
        for y in range(height)
        for x in range(width)
    ]
    image = Image.new("RGB", (width, height))
    image.putdata(pixels)
    return image


def pads_evenly(width, height):
    grid_height, grid_width = select_best_resolution((height, width), PINPOINTS)
    scale_width, scale_height = grid_width / width, grid_height / height
    if scale_width < scale_height:
        return (grid_height - min(-int(-height * scale_width // 1), grid_height)) % 2 == 0
    return (grid_width - min(-int(-width * scale_height // 1), grid_width)) % 2 == 0


def reference(model, processor, image, prompt):
    """Image tokens, logits at the prompt's end, greedy tokens, and the smallest margin on the way."""
    inputs = processor(images=image, text=prompt, return_tensors="pt")
    count = int((inputs["input_ids"] == model.config.image_token_index).sum())
    out = model.generate(
        **inputs, max_new_tokens=NEW_TOKENS, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    tokens = out.sequences[0, inputs["input_ids"].shape[1]:].tolist()
    best = [step[0].topk(2).values.tolist() for step in out.logits]
    margin = min(first - second for first, second in best)
    return count, out.logits[0][0].float(), [token for token in tokens if token != 2], margin


def answer(binary, folder, image, prompt, logits):
    command = [
        binary, "generate", f"--model={folder}", f"--image={image}", f"--raw-prompt={prompt}", "--json",
        f"--max-new-tokens={NEW_TOKENS}", f"--logits={logits}",
    ]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result["layout"]["num_image"], load_file(logits)["logits"], result["token_ids"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/finepruner")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    made = tokenizer()
    worst, bad, close, total = 0.0, 0, 0, 0
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        for decoder, dtype in [("llama", torch.float32), ("mistral", torch.bfloat16)]:
            folder = root / decoder
            model, processor = build(folder, decoder, dtype, made)
            for width, height in SHAPES:
                if not pads_evenly(width, height):
                    print(f"{width}x{height}: padding is odd, left out")
                    continue
                image = picture(width, height)
                file = root / f"{width}x{height}.png"
                image.save(file)
                for question in QUESTIONS:
                    prompt = TEMPLATE.format(question)
                    count, logits, tokens, margin = reference(model, processor, image, prompt)
                    got = answer(args.binary, folder, file, prompt, root / "logits.safetensors")
                    difference = float((logits - got[1]).abs().max())
                    worst = max(worst, difference)
                    is_close = margin <= MARGIN
                    wrong = count != got[0] or difference > LOGITS or (tokens != got[2] and not is_close)
                    total, bad, close = total + 1, bad + wrong, close + is_close
                    print(
                        f"{decoder} {width}x{height}: {count} tokens, logits differ by {difference:.1e}, "
                        f"margin {margin:.1e}, tokens {'equal' if tokens == got[2] else 'DIFFER'}"
                        f"{' WRONG' if wrong else ''}"
                    )
    print(f"{total} cases, {bad} wrong, {close} near-ties of tokens, largest logit difference {worst:.1e}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

"""Holds the shipped model to Hugging Face transformers, token by token.

Both read the same folder and answer the same questions of the shipped benchmark in
f32. Answers must be equal wherever the reference's margin between the best and the
second-best token exceeds 1e-3 all along.

    python benches/peers/embedded_transformers.py --binary target/release/finepruner

Needs torch, transformers 4.46, pillow below 13.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image
from transformers import CLIPImageProcessor, LlavaForConditionalGeneration, PreTrainedTokenizerFast

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: "
)
MARGIN = 1e-3


def reference(model, processor, tokenizer, image, question, max_new_tokens):
    """Greedy tokens without the stop token, and the smallest margin on the way."""
    left = tokenizer(SYSTEM)["input_ids"]
    right = tokenizer(f"\n{question} ASSISTANT:", add_special_tokens=False)["input_ids"]
    side = model.config.vision_config.image_size // model.config.vision_config.patch_size
    ids = torch.tensor([left + [model.config.image_token_index] * side**2 + right])
    pixels = processor(image.convert("RGB"), return_tensors="pt")["pixel_values"]
    tokens, margin = [], float("inf")
    for _ in range(max_new_tokens):
        logits = model(input_ids=ids, pixel_values=pixels, attention_mask=torch.ones_like(ids)).logits[0, -1]
        best, second = logits.topk(2).values.tolist()
        margin = min(margin, best - second)
        token = int(logits.argmax())
        if token == tokenizer.eos_token_id:
            break
        tokens.append(token)
        ids = torch.cat([ids, torch.tensor([[token]])], 1)
    return tokens, margin


def ours(binary, model, image, question, max_new_tokens):
    command = [binary, "generate", "--model", model, "--image", str(image), "--prompt", question]
    command += ["--max-new-tokens", str(max_new_tokens), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["token_ids"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/finepruner")
    parser.add_argument("--model", default="assets/finepruner-tiny")
    parser.add_argument("--dataset", default="assets/benchmark/confirm")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--max-new-tokens", type=int, default=4)
    args = parser.parse_args()
    model = LlavaForConditionalGeneration.from_pretrained(args.model, torch_dtype=torch.float32).eval()
    processor = CLIPImageProcessor.from_pretrained(args.model)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.model)
    dataset = Path(args.dataset)
    lines = (dataset / "questions.jsonl").read_text().splitlines()
    stride = max(1, len(lines) // args.questions)
    equal = near = right = 0
    different = []
    chosen = [json.loads(line) for line in lines[::stride][: args.questions]]
    for sample in chosen:
        path = dataset / sample["image"]
        with torch.no_grad():
            tokens, margin = reference(
                model, processor, tokenizer, Image.open(path), sample["question"], args.max_new_tokens
            )
        mine = ours(args.binary, args.model, path, sample["question"], args.max_new_tokens)
        right += tokenizer.decode(tokens) in sample["answers"]
        if mine == tokens:
            equal += 1
        elif margin <= MARGIN:
            near += 1
        else:
            different.append((sample["id"], tokens, mine, margin))
    print(f"{len(chosen)} questions: {equal} equal, {near} differ within a margin of {MARGIN}, {len(different)} differ")
    print(f"{right} of them answered right by the reference")
    for row in different:
        print("differs:", *row)
    sys.exit(bool(different))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Prefill speed of Hugging Face transformers on the CPU, to compare with.

Builds a LLaVA with random weights (hidden 1024, 12 layers, 576 image tokens),
writes it to a folder if asked, and times the decoder's prefill of one prompt of
35 + 576 + 27 tokens, vision apart, with a KV cache and logits for the last
position alone. The other side times the same folder:

    python benches/peers/prefill_transformers.py --save target/bench-1024 --threads 2
    RAYON_NUM_THREADS=2 cargo run --release -p fp-model --example prefill_timings -- target/bench-1024

Prints one JSON object.
"""

import argparse
import json
import statistics
import time

import torch
import transformers
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

SYSTEM, IMAGE, TEXT = 35, 576, 27


def build(attention):
    text = LlamaConfig(
        vocab_size=32064,
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=12,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        attn_implementation=attention,
    )
    vision = CLIPVisionConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=336,
        patch_size=14,
        projection_dim=256,
    )
    config = LlavaConfig(vision, text, image_token_index=32000, attn_implementation=attention)
    torch.manual_seed(1)
    return LlavaForConditionalGeneration(config).eval()


def timed(run, repeats):
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return {"median_ms": statistics.median(times), "min_ms": min(times)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--save", help="folder to write the model to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)

    length = SYSTEM + IMAGE + TEXT
    result = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": args.threads,
        "tokens": length,
        "prefill": {},
    }
    for attention in ["eager", "sdpa"]:
        model = build(attention)
        if args.save and attention == "sdpa":
            model.save_pretrained(args.save, max_shard_size="200MB")
        decoder = model.language_model
        embeds = torch.randn(1, length, decoder.config.hidden_size)
        result["prefill"][attention] = timed(
            lambda: decoder(inputs_embeds=embeds, use_cache=True, num_logits_to_keep=1), args.repeats
        )
    pixels = torch.randn(1, 3, 336, 336)
    result["vision"] = timed(
        lambda: model.get_image_features(pixels, -2, "default"), args.repeats
    )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

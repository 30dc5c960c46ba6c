#!/usr/bin/env python3
"""Prefill and decoding of a model like Qwen2.5-VL beside Hugging Face transformers, in turns.

Builds a Qwen2.5-VL with random weights (hidden 1024, 12 layers, 8 query heads of 128 on 2 key
heads, MLP 2816; vision hidden 256, 4 layers, windows), writes it to a folder, and times on both
sides the prefill of one prompt of 15 + 576 + 30 tokens on an image of 672 x 672 pixels, with a
KV cache and logits for the last position alone; one further token; and the vision part with its
merger, apart. All in f32. The sides read the same weights and inputs and take turns within one
round, a pause between them, as in prefill_transformers.py.

    cargo build --release -p fp-model --example prefill_timings
    python benches/peers/qwen_transformers.py --record benches/record/cpu/DATE

Writes qwen.json and qwen.md to the folder; without one, prints the JSON. Ends with code 1 where
the two sides' logits differ. Needs torch 2.15, transformers 5.24.
"""

import datetime
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from prefill_transformers import DECODED, PAUSE, FinePruner, commit, cpu, options, summary

SYSTEM, IMAGE, TEXT = 15, 576, 30
IMAGE_TOKEN = 32000
PATCH, MERGE, PICTURES = 14, 2, 2
# Cells of the image along a side, and its pixels.
CELLS = 24
SIDE = CELLS * PATCH * MERGE
TOLERANCE = 1e-3


def build():
    text = dict(
        vocab_size=32064, hidden_size=1024, intermediate_size=2816, num_hidden_layers=12, num_attention_heads=8,
        num_key_value_heads=2, max_position_embeddings=4096, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_theta=1000000.0, rope_scaling=dict(type="mrope", mrope_section=[16, 24, 24]),
        bos_token_id=None, eos_token_id=2, pad_token_id=None, use_sliding_window=False,
    )
    vision = dict(
        depth=4, hidden_size=256, intermediate_size=512, num_heads=4, patch_size=PATCH, spatial_merge_size=MERGE,
        temporal_patch_size=PICTURES, window_size=112, out_hidden_size=1024, fullatt_block_indexes=[3],
    )
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=IMAGE_TOKEN, video_token_id=IMAGE_TOKEN + 1,
        vision_start_token_id=IMAGE_TOKEN + 2, vision_end_token_id=IMAGE_TOKEN + 3, tie_word_embeddings=False,
    )
    torch.manual_seed(1)
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def patches(pixels):
    """Pixel values `[1, 3, h, w]` as transformers' processor flattens them, cell by cell."""
    cells = pixels.reshape(3, CELLS, MERGE, PATCH, CELLS, MERGE, PATCH).permute(1, 4, 2, 5, 0, 3, 6)
    rows = cells.reshape(-1, 3, 1, PATCH, PATCH).expand(-1, 3, PICTURES, PATCH, PATCH)
    return rows.reshape(len(rows), -1).contiguous()


class Transformers:
    """This side: one model with one kind of attention."""

    def __init__(self, folder, pixels, ids, kind):
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder, attn_implementation=kind, dtype=torch.float32
        ).eval()
        self.decoder, self.head = model.model.language_model, model.lm_head
        self.embed = model.get_input_embeddings()
        flat, grid = patches(pixels), torch.tensor([[1, CELLS * MERGE, CELLS * MERGE]])
        self.vision = lambda: self.features(model, flat, grid)
        whole = torch.cat([ids[:SYSTEM], torch.full((IMAGE,), IMAGE_TOKEN), ids[SYSTEM + 1 :]])[None]
        types = (whole == IMAGE_TOKEN).int()
        self.positions, _ = model.model.get_rope_index(whole, types, image_grid_thw=grid)
        embeds = self.embed(ids)
        self.embeds = torch.cat([embeds[:SYSTEM], self.vision(), embeds[SYSTEM + 1 :]])[None]
        self.logits = self.prefill()[1]

    @staticmethod
    def features(model, flat, grid):
        found = model.model.get_image_features(flat, grid, return_dict=True).pooler_output
        return found[0] if isinstance(found, (list, tuple)) else found

    def prefill(self):
        out = self.decoder(inputs_embeds=self.embeds, position_ids=self.positions, use_cache=True)
        return out.past_key_values, self.head(out.last_hidden_state[:, -1])[0].float()

    def time(self, what):
        """Milliseconds; of decoding, of one token."""
        if what == "decode":
            cache, logits = self.prefill()
            at = int(self.positions.max()) + 1
            start = time.perf_counter()
            for step in range(DECODED):
                token = self.embed(logits.argmax()[None, None])
                positions = torch.full((3, 1, 1), at + step)
                out = self.decoder(
                    inputs_embeds=token, position_ids=positions, past_key_values=cache, use_cache=True
                )
                logits = self.head(out.last_hidden_state[:, -1])[0].float()
            return 1e3 * (time.perf_counter() - start) / DECODED
        run = self.prefill if what == "prefill" else self.vision
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)


# What both sides do, and which stage of ours it is.
WHAT = {"prefill": "whole", "decode": "decode", "vision": "vision"}


def markdown(record):
    show = lambda s: f"{s['median_ms']:.1f} ms ({s['p10_ms']:.1f}–{s['p90_ms']:.1f})"
    versions = record["versions"]
    lines = [
        f"# A model like Qwen2.5-VL on {record['threads']} CPU threads",
        "",
        f"Random Qwen2.5-VL of hidden 1024, 12 layers, 8 query heads of 128 on 2 key heads, MLP 2816; prompt {SYSTEM} + "
        f"{IMAGE} + {TEXT} tokens; f32; medians (p10–p90) of {record['rounds']} rounds in which both took turns. "
        f"{record['cpu']}, instructions {record['instructions']}; load average {record['load_before']:.2f} before, "
        f"{record['load_after']:.2f} after; commit {record['commit']}. transformers {versions['transformers']}, torch "
        f"{versions['torch']}.",
        "",
        *([record["note"], ""] if record["note"] else []),
        "| | prefill, decoder alone | one further token | vision |",
        "|---|---|---|---|",
    ]
    for name, times in [("FinePruner", record["finepruner"]), *record["transformers"].items()]:
        name = name if name == "FinePruner" else f"transformers {name}"
        lines.append(f"| {name} | " + " | ".join(show(times[what]) for what in WHAT) + " |")
    speeds = ", ".join(f"{what} {value:.2f}" for what, value in record["speed_against_transformers"].items())
    lines += [
        "",
        f"How many times as fast as transformers' faster kind: {speeds}. Logits at the last position differ by "
        f"{record['largest_logit_difference']:.1e} at most.",
        "",
        "To repeat: `benches/peers/qwen_transformers.py --record DIR`, as its first lines say.",
    ]
    return "\n".join(lines) + "\n"


def main():
    args = options(__doc__, "qwen")
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as root:
        build().save_pretrained(root)
        generator = torch.Generator().manual_seed(2)
        pixels = torch.randn(1, 3, SIDE, SIDE, generator=generator)
        ids = torch.randint(3, IMAGE_TOKEN, (SYSTEM + 1 + TEXT,), generator=generator)
        ids[SYSTEM] = IMAGE_TOKEN
        inputs = str(Path(root) / "inputs.safetensors")
        save_file({"pixel_values": pixels, "input_ids": ids, "image_position": torch.tensor([SYSTEM])}, inputs)
        theirs = {kind: Transformers(root, pixels, ids, kind) for kind in ["sdpa", "eager"]}
        ours = FinePruner(args.binary, ["--dtype=f32", *args.settings], root, inputs, args.threads)
        stages = ours.header["stages"]
        index = {
            what: next(i for i, s in enumerate(stages) if s["name"] == name and s["branches"] <= 1)
            for what, name in WHAT.items()
        }
        times = {(name, what): [] for name in ["ours", *theirs] for what in WHAT}
        load_before = os.getloadavg()[0]
        for turn in range(args.rounds + args.warm_up):
            for what in WHAT:
                for name in ["ours", *theirs]:
                    time.sleep(PAUSE)
                    elapsed = ours.ask(index[what]) if name == "ours" else theirs[name].time(what)
                    if turn >= args.warm_up:
                        times[name, what].append(elapsed)
        header = ours.header
        ours.close()
    found = {name: {what: summary(times[name, what]) for what in WHAT} for name in ["ours", *theirs]}
    fastest = lambda what: min(found[name][what]["median_ms"] for name in theirs)
    difference = float((torch.tensor(header["logits"]) - theirs["sdpa"].logits).abs().max())
    record = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "cpu": cpu(),
        "instructions": header["instructions"],
        "threads": args.threads,
        "rounds": args.rounds,
        "note": args.note,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "largest_logit_difference": difference,
        "finepruner": found["ours"],
        "transformers": {name: found[name] for name in theirs},
        "speed_against_transformers": {what: fastest(what) / found["ours"][what]["median_ms"] for what in WHAT},
    }
    text = json.dumps(record, indent=1)
    if args.record:
        args.record.mkdir(parents=True, exist_ok=True)
        (args.record / "qwen.json").write_text(text + "\n")
        (args.record / "qwen.md").write_text(markdown(record))
    else:
        print(text)
    if not difference < TOLERANCE:
        sys.exit(f"logits differ by {difference}")


if __name__ == "__main__":
    main()

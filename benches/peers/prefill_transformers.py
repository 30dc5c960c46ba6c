#!/usr/bin/env python3
"""Prefill on the CPU beside Hugging Face transformers, both sides in turns.

Builds a LLaVA with random weights (hidden 1024, 12 layers, 576 image tokens), writes
it to a folder, and times the prefill of one prompt of 35 + 576 + 27 tokens on both
sides, vision apart, with a KV cache and logits for the last position alone. The sides
read the same weights and inputs and take turns within one round, a pause between
them, so that whatever happens to the machine happens to both. FinePruner is also
timed pruned, and with nine branches in one call, beside what counting
multiply-accumulates predicts.

    cargo build --release -p fp-model --example prefill_timings
    python benches/peers/prefill_transformers.py --record benches/record/cpu/DATE

Writes prefill.json and prefill.md to the folder; without one, prints the JSON. Ends
with code 1 where the two sides' logits differ. Needs torch 2.4.1, transformers 4.46.3.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

SYSTEM, IMAGE, TEXT = 35, 576, 27
IMAGE_TOKEN = 32000
WARM_UP = 2
# Threads of the side that isn't timed go to sleep meanwhile.
PAUSE = 0.05
# What is asked of the measured ratios, as a share of the predicted ones.
ASKED = {"pruned": 0.80, "branches": 0.85}


def build():
    text = LlamaConfig(
        vocab_size=32064, hidden_size=1024, intermediate_size=2816, num_hidden_layers=12, num_attention_heads=16,
        num_key_value_heads=16, max_position_embeddings=4096, rms_norm_eps=1e-5,
    )
    vision = CLIPVisionConfig(
        hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4, image_size=336,
        patch_size=14, projection_dim=256,
    )
    torch.manual_seed(1)
    return LlavaForConditionalGeneration(LlavaConfig(vision, text, image_token_index=IMAGE_TOKEN)).eval()


class FinePruner:
    """The other side, which times a stage when asked to."""

    def __init__(self, binary, folder, inputs, threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [binary, folder, "serve", inputs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )
        self.header = json.loads(self.read())

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"prefill_timings ended with code {self.process.wait()}")
        return line

    def time(self, index):
        self.process.stdin.write(f"{index}\n")
        self.process.stdin.flush()
        return float(self.read())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Transformers:
    """This side: decoders with both kinds of attention, and the vision tower."""

    def __init__(self, folder, pixels, ids):
        load = LlavaForConditionalGeneration.from_pretrained
        models = {kind: load(folder, attn_implementation=kind).eval() for kind in ["sdpa", "eager"]}
        model = models["sdpa"]
        self.pixels = pixels
        image = model.get_image_features(pixels, -2, "default")[0]
        embeds = model.get_input_embeddings()(ids)
        self.embeds = torch.cat([embeds[:SYSTEM], image, embeds[SYSTEM + 1 :]])[None]
        self.runs = {kind: lambda m=m: self.prefill(m.language_model) for kind, m in models.items()}
        self.runs["vision"] = lambda: model.get_image_features(pixels, -2, "default")
        self.logits = self.prefill(model.language_model).logits[0, -1]

    def prefill(self, decoder):
        return decoder(inputs_embeds=self.embeds, use_cache=True, num_logits_to_keep=1)

    def time(self, name):
        start = time.perf_counter()
        self.runs[name]()
        return 1e3 * (time.perf_counter() - start)


def summary(times):
    ordered = sorted(times)
    at = lambda share: ordered[round(share * (len(ordered) - 1))]
    return {"median_ms": statistics.median(ordered), "p10_ms": at(0.1), "p90_ms": at(0.9), "min_ms": ordered[0]}


def cpu():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'}, {os.cpu_count()} cores"


def commit():
    run = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return run.stdout.strip() or "unknown"


def ratios(stages):
    """Measured and predicted ratios of pruned prefill and of nine branches in one call."""
    whole = next(stage for stage in stages if stage["name"] == "whole")
    rows = []
    for single, many in zip(stages, stages[1:]):
        if single["name"] != "pruned" or single["branches"] != 1:
            continue
        count = many["branches"]
        measured = whole["median_ms"] / single["median_ms"], count * single["median_ms"] / many["median_ms"]
        predicted = whole["macs"] / single["macs"], count * single["macs"] / many["macs"]
        row = {"kept": single["kept"], "num_branches": count}
        for name, got, expected in zip(["pruned", "branches"], measured, predicted):
            share = got / expected
            row[name] = dict(measured=got, predicted=expected, share=share, met=share >= ASKED[name])
        rows.append(row)
    return rows


def markdown(record):
    stages = record["finepruner"]["stages"]
    ours = {stage["name"]: stage for stage in stages if stage["name"] != "pruned"}
    theirs = record["transformers"]
    show = lambda s: f"{s['median_ms']:.0f} ms ({s['p10_ms']:.0f}–{s['p90_ms']:.0f})"
    lines = [
        f"# Prefill on {record['threads']} CPU threads",
        "",
        f"Random LLaVA of hidden 1024, 12 layers, MLP 2816; prompt {SYSTEM} + {IMAGE} + {TEXT} tokens; f32, K = 2; "
        f"medians (p10–p90) of {record['rounds']} rounds in which all took turns. {record['cpu']}; load average "
        f"{record['load_before']:.2f} before, {record['load_after']:.2f} after; commit {record['commit']}.",
        "",
        f"| | FinePruner | transformers {record['versions']['transformers']}, torch {record['versions']['torch']} |",
        "|---|---|---|",
        f"| decoder prefill, unpruned | {show(ours['whole'])} | {show(theirs['sdpa'])} sdpa, {show(theirs['eager'])} eager |",
        f"| vision tower | {show(ours['vision'])} | {show(theirs['vision'])} |",
        "",
        f"Unpruned prefill is {record['speed_against_transformers']:.2f} times as fast as the faster of the two. Logits at "
        f"the last position differ by {record['largest_logit_difference']:.1e} at most.",
        "",
        "Ratios against what counting multiply-accumulates predicts:",
        "",
        "| kept | pruned prefill | speed-up | predicted | share | branches in one call | single runs ÷ one call | predicted | share |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["ratios"]:
        single, many = (
            next(s for s in stages if s["kept"] == row["kept"] and s["branches"] == count)
            for count in (1, row["num_branches"])
        )
        cells = [row["kept"], show(single)]
        for name, extra in [("pruned", []), ("branches", [f"{row['num_branches']}: {show(many)}"])]:
            ratio = row[name]
            cells += extra + [f"{ratio['measured']:.2f}", f"{ratio['predicted']:.2f}", f"{100 * ratio['share']:.0f} %"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "To repeat: `benches/peers/prefill_transformers.py --record DIR`, as its first lines say."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--binary", default="target/release/examples/prefill_timings")
    parser.add_argument("--record", type=Path, help="folder to write prefill.json and prefill.md to")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as root:
        build().save_pretrained(root, max_shard_size="200MB")
        generator = torch.Generator().manual_seed(2)
        pixels = torch.randn(1, 3, 336, 336, generator=generator)
        ids = torch.randint(3, IMAGE_TOKEN, (SYSTEM + 1 + TEXT,), generator=generator)
        ids[SYSTEM] = IMAGE_TOKEN
        inputs = str(Path(root) / "inputs.safetensors")
        save_file({"pixel_values": pixels, "input_ids": ids}, inputs)
        theirs = Transformers(root, pixels, ids)
        ours = FinePruner(args.binary, root, inputs, args.threads)
        load_before = os.getloadavg()[0]
        stages = ours.header["stages"]
        times = {("ours", index): [] for index in range(len(stages))} | {("theirs", name): [] for name in theirs.runs}
        # One of theirs after each two of ours, so that neither side runs for long on its own.
        queue, others = [], [key for key in times if key[0] == "theirs"]
        for key in [key for key in times if key[0] == "ours"]:
            queue.append(key)
            if len(queue) % 3 == 2 and others:
                queue.append(others.pop(0))
        queue += others
        for turn in range(args.rounds + WARM_UP):
            for side, what in queue:
                time.sleep(PAUSE)
                elapsed = ours.time(what) if side == "ours" else theirs.time(what)
                if turn >= WARM_UP:
                    times[side, what].append(elapsed)
        ours.close()
    header = ours.header
    difference = float((torch.tensor(header.pop("logits")) - theirs.logits).abs().max())
    for index, stage in enumerate(stages):
        stage.update(summary(times["ours", index]))
    peers = {name: summary(times["theirs", name]) for name in theirs.runs}
    whole = next(stage for stage in stages if stage["name"] == "whole")["median_ms"]
    record = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "cpu": cpu(),
        "threads": args.threads,
        "rounds": args.rounds,
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "largest_logit_difference": difference,
        "speed_against_transformers": min(peers["sdpa"]["median_ms"], peers["eager"]["median_ms"]) / whole,
        "ratios": ratios(stages),
        "finepruner": header,
        "transformers": peers,
    }
    text = json.dumps(record, indent=2)
    if args.record:
        args.record.mkdir(parents=True, exist_ok=True)
        (args.record / "prefill.json").write_text(text + "\n")
        (args.record / "prefill.md").write_text(markdown(record))
        print(markdown(record))
    else:
        print(text)
    sys.exit(0 if difference < 1e-3 else 1)


if __name__ == "__main__":
    main()

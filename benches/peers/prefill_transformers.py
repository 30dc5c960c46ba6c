#!/usr/bin/env python3
"""Prefill and decoding on the CPU beside Hugging Face transformers, both sides in turns.

Builds a LLaVA with random weights (hidden 1024, 12 layers, 576 image tokens), writes
it to a folder, and times the prefill of one prompt of 35 + 576 + 27 tokens on both
sides, vision apart, with a KV cache and logits for the last position alone, and further
tokens behind it. In f32, and with weights in bf16: transformers computes in bf16 then,
FinePruner with rows in f32 and with rows rounded to bf16 too. The sides read the same
weights and inputs and take turns within one round, a pause between them, so that whatever
happens to the machine happens to both. FinePruner is also timed pruned, and with nine
branches in one call, beside what counting multiply-accumulates predicts. Beside the times
stands what the machine can do: the speed of a product whose weights lie in its caches, and
how fast its memory is read.

    cargo build --release -p fp-model --example prefill_timings
    python benches/peers/prefill_transformers.py --record benches/record/cpu/DATE

Writes prefill.json and prefill.md to the folder; without one, prints the JSON. Ends
with code 1 where the two sides' logits in f32 differ. Needs torch 2.15, transformers 5.24.
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
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

SYSTEM, IMAGE, TEXT = 35, 576, 27
IMAGE_TOKEN = 32000
WARM_UP = 2
# Threads of the side that isn't timed go to sleep meanwhile.
PAUSE = 0.05
# What is asked of the measured ratios, as a share of the predicted ones.
ASKED = {"pruned": 0.93, "branches": 0.85}


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
    return LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE_TOKEN)).eval()


def store(model, root):
    """Saves under the names that published checkpoints have: version 5 leaves `vision_model` out of the tower's."""
    model.save_pretrained(root)
    path = Path(root) / "model.safetensors"
    tensors = load_file(path)
    old, new = "vision_tower.", "vision_tower.vision_model."
    rename = lambda name: name if new in name else name.replace(old, new)
    save_file({rename(name): tensor for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


# What FinePruner is asked for, by what a record calls it.
OURS = {
    "f32": ["--dtype=f32"],
    "bf16": ["--dtype=bf16"],
    "bf16 rows": ["--dtype=bf16", "--activations=bf16"],
}
# Transformers' formats and kinds of attention.
THEIRS = {"f32 sdpa": ("float32", "sdpa"), "f32 eager": ("float32", "eager"), "bf16 sdpa": ("bfloat16", "sdpa")}
DECODED = 8


class FinePruner:
    """The other side, which times a stage when asked to."""

    def __init__(self, binary, settings, folder, inputs, threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [binary, *settings, folder, "serve", inputs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )
        self.header = json.loads(self.read())

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"prefill_timings ended with code {self.process.wait()}")
        return line

    def ask(self, what):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return float(self.read())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Transformers:
    """This side: one model in one format with one kind of attention."""

    def __init__(self, folder, pixels, ids, dtype, kind):
        dtype = getattr(torch, dtype)
        model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation=kind, dtype=dtype).eval()
        self.decoder, self.head = model.model.language_model, model.lm_head
        self.embed = model.get_input_embeddings()
        self.vision = lambda: self.features(model, pixels.to(dtype))
        embeds = self.embed(ids)
        self.embeds = torch.cat([embeds[:SYSTEM], self.vision(), embeds[SYSTEM + 1 :]])[None]
        self.logits = self.prefill()[1]

    @staticmethod
    def features(model, pixels):
        found = model.get_image_features(
            pixel_values=pixels, vision_feature_layer=-2, vision_feature_select_strategy="default"
        )
        return getattr(found, "pooler_output", found)[0]

    def prefill(self):
        out = self.decoder(inputs_embeds=self.embeds, use_cache=True)
        return out.past_key_values, self.head(out.last_hidden_state[:, -1])[0].float()

    def time(self, what):
        """Milliseconds; of decoding, of one token."""
        if what == "decode":
            cache, logits = self.prefill()
            start = time.perf_counter()
            for _ in range(DECODED):
                token = self.embed(logits.argmax()[None, None])
                out = self.decoder(inputs_embeds=token, past_key_values=cache, use_cache=True)
                logits = self.head(out.last_hidden_state[:, -1])[0].float()
            return 1e3 * (time.perf_counter() - start) / DECODED
        run = self.prefill if what == "prefill" else self.vision
        start = time.perf_counter()
        run()
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


def roofline(record, name):
    """Shares of what the machine can do: of the product's speed in prefill, of reading the weights in decoding."""
    ours = record["finepruner"][name]
    stage = lambda kind: next(s for s in ours["stages"] if s["name"] == kind and s["branches"] == 1)
    # Two threads of f32; a product of bf16 pairs may be faster than this.
    prefill = stage("whole")["macs"] / 1e9 / ours["product_gmacs_per_second"] * 1e3 / stage("whole")["median_ms"]
    decode = ours["decoded_bytes"] / 1e9 / ours["read_gb_per_second"] * 1e3 / stage("decode")["median_ms"]
    return {"prefill_of_product": prefill, "decode_of_read": decode}


def markdown(record):
    show = lambda s: f"{s['median_ms']:.1f} ms ({s['p10_ms']:.1f}–{s['p90_ms']:.1f})"
    ours = lambda name, kind: next(
        s for s in record["finepruner"][name]["stages"] if s["name"] == kind and s["branches"] <= 1
    )
    first = record["finepruner"]["f32"]
    versions = record["versions"]
    lines = [
        f"# Prefill and decoding on {record['threads']} CPU threads",
        "",
        f"Random LLaVA of hidden 1024, 12 layers, MLP 2816; prompt {SYSTEM} + {IMAGE} + {TEXT} tokens; K = 2; medians "
        f"(p10–p90) of {record['rounds']} rounds in which all took turns. {record['cpu']}, instructions "
        f"{first['instructions']}; load average {record['load_before']:.2f} before, {record['load_after']:.2f} after; "
        f"commit {record['commit']}. transformers {versions['transformers']}, torch {versions['torch']}.",
        "",
    ]
    if record["note"]:
        lines += [record["note"], ""]
    lines += [
        "| | prefill, unpruned | share of the product's speed | one further token | share of reading the weights |",
        "|---|---|---|---|---|",
    ]
    for name in record["finepruner"]:
        roof = record["roofline"][name]
        lines.append(
            f"| FinePruner {name} | {show(ours(name, 'whole'))} | {100 * roof['prefill_of_product']:.0f} % | "
            f"{show(ours(name, 'decode'))} | {100 * roof['decode_of_read']:.0f} % |"
        )
    for name, stages in record["transformers"].items():
        lines.append(f"| transformers {name} | {show(stages['prefill'])} | | {show(stages['decode'])} | |")
    lines += [
        "",
        f"The machine: {first['product_gmacs_per_second']:.0f} G multiply-accumulates/s in f32 from the caches, "
        f"{first['read_gb_per_second']:.1f} GB/s read by all threads. Logits at the last position differ by "
        f"{record['largest_logit_difference']:.1e} at most in f32. Vision tower: {show(ours('f32', 'vision'))} in f32, "
        f"transformers {show(record['transformers']['f32 sdpa']['vision'])}.",
        "",
        "How many times as fast as transformers' faster kind in the same format: "
        + ", ".join(f"{name} {value:.2f}" for name, value in record["speed_against_transformers"].items())
        + ".",
        "",
        "Ratios against what counting multiply-accumulates predicts:",
        "",
        "| format | kept | pruned prefill | speed-up | predicted | share | branches in one call | single runs ÷ one call | predicted | share |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, side in record["finepruner"].items():
        stages = side["stages"]
        for row in record["ratios"][name]:
            single, many = (
                next(s for s in stages if s["kept"] == row["kept"] and s["branches"] == count)
                for count in (1, row["num_branches"])
            )
            cells = [name, row["kept"], show(single)]
            for what, extra in [("pruned", []), ("branches", [f"{row['num_branches']}: {show(many)}"])]:
                ratio = row[what]
                cells += extra + [
                    f"{ratio['measured']:.2f}", f"{ratio['predicted']:.2f}", f"{100 * ratio['share']:.0f} %",
                ]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "To repeat: `benches/peers/prefill_transformers.py --record DIR`, as its first lines say."]
    return "\n".join(lines) + "\n"


def turns(keys):
    """An order in which neither side runs for long on its own."""
    ours = [key for key in keys if key[0] == "ours"]
    theirs = [key for key in keys if key[0] == "theirs"]
    queue = []
    for index, key in enumerate(ours):
        queue.append(key)
        due = (index + 1) * len(theirs) // len(ours) - index * len(theirs) // len(ours)
        queue += [theirs.pop(0) for _ in range(due)]
    return queue + theirs


def speeds(ours, theirs):
    """How many times as fast as transformers in the same format the unpruned prefill is."""
    found = {}
    for name, side in ours.items():
        whole = next(stage for stage in side["stages"] if stage["name"] == "whole")["median_ms"]
        peers = [stages["prefill"]["median_ms"] for peer, stages in theirs.items() if peer.split()[0] == name.split()[0]]
        found[name] = min(peers) / whole
    return found


def options(text, record, add=lambda parser: None):
    """What a run is told by its command line; `record` names the files that it writes, `add` adds arguments."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="rounds before them that aren't counted")
    parser.add_argument("--binary", default="target/release/examples/prefill_timings")
    parser.add_argument("--note", default="", help="what else to say of the run, such as that the machine was shared")
    parser.add_argument("--record", type=Path, help=f"folder to write {record}.json and {record}.md to")
    parser.add_argument("--instructions", choices=["avx2"], help="confine both sides to these")
    add(parser)
    args = parser.parse_args()
    # The libraries below PyTorch read these when they are loaded.
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    if args.instructions and any(os.environ.get(name) != value for name, value in limits.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **limits})
    args.settings = [f"--instructions={args.instructions}"] if args.instructions else []
    return args


def main():
    formats = dict(nargs="*", choices=["bf16"], default=["bf16"], help="formats of weights beside f32")
    args = options(__doc__, "prefill", lambda parser: parser.add_argument("--formats", **formats))
    chosen = lambda sides: {name: how for name, how in sides.items() if name.split()[0] in ["f32", *args.formats]}
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as root:
        store(build(), root)
        generator = torch.Generator().manual_seed(2)
        pixels = torch.randn(1, 3, 336, 336, generator=generator)
        ids = torch.randint(3, IMAGE_TOKEN, (SYSTEM + 1 + TEXT,), generator=generator)
        ids[SYSTEM] = IMAGE_TOKEN
        inputs = str(Path(root) / "inputs.safetensors")
        save_file({"pixel_values": pixels, "input_ids": ids}, inputs)
        theirs = {name: Transformers(root, pixels, ids, *how) for name, how in chosen(THEIRS).items()}
        ours = {
            name: FinePruner(args.binary, [*how, *args.settings], root, inputs, args.threads)
            for name, how in chosen(OURS).items()
        }
        load_before = os.getloadavg()[0]
        keys = [("ours", name, index) for name, side in ours.items() for index in range(len(side.header["stages"]))]
        keys += [("theirs", name, what) for name in theirs for what in ["prefill", "decode", "vision"]]
        times = {key: [] for key in keys}
        queue = turns(keys)
        for turn in range(args.rounds + args.warm_up):
            for key in queue:
                side, name, what = key
                time.sleep(PAUSE)
                elapsed = ours[name].ask(what) if side == "ours" else theirs[name].time(what)
                if turn >= args.warm_up:
                    times[key].append(elapsed)
        headers = {}
        for name, side in ours.items():
            headers[name] = {**side.header, "peak_resident_bytes": side.ask("peak")}
            side.close()
    difference = float((torch.tensor(headers["f32"]["logits"]) - theirs["f32 sdpa"].logits).abs().max())
    for name, header in headers.items():
        header.pop("logits")
        for index, stage in enumerate(header["stages"]):
            stage.update(summary(times["ours", name, index]))
    peers = {
        name: {what: summary(times["theirs", name, what]) for what in ["prefill", "decode", "vision"]} for name in theirs
    }
    record = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "cpu": cpu(),
        "threads": args.threads,
        "rounds": args.rounds,
        "note": args.note,
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "largest_logit_difference": difference,
        "speed_against_transformers": speeds(headers, peers),
        "ratios": {name: ratios(header["stages"]) for name, header in headers.items()},
        "finepruner": headers,
        "transformers": peers,
    }
    record["roofline"] = {name: roofline(record, name) for name in headers}
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

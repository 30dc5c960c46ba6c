"""Stage 2: the decoder and the projector learn to answer, the vision tower being fixed.

The loss is the cross-entropy of the answer and of the end after it, plus a penalty on
the *amount* that questions read from the image in the first layers (squared norm of
that part of a layer's output, relative to the residual). Without it a shallow model
moves all evidence into the text at once, and dropping image tokens later shows
nothing. A second run may add a loss on what a chain of look-ups finds on its way: its
question mark, read by the LM head after middle layers, should say first what the first
look-up finds, and then the answer. No attention weight of any layer enters a loss, no head starts with a role,
and no strategy is looked at; the measure for choosing is accuracy on the validation
split.

A curriculum: look-ups on scenes of three or four objects first, in short words, then
everything; yes and no can be guessed and teach little to begin with. In training only
some background tokens are shown, so that steps are cheap.
"""

import argparse
import json
import math
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from data import SYSTEM, Scenes, Vocabulary
from model import Shape, TinyLlava
from muon import optimizers, set_rate


def cached_features(model, scenes, path, mixed):
    """Features of all scenes, `[images, patches, width]` in bf16; computed once."""
    count, patches, width = scenes.count, model.shape.patches, model.shape.vision_width
    if not path.exists():
        features = torch.empty(count, patches, width, dtype=torch.bfloat16)
        with torch.no_grad(), mixed:
            for start in range(0, count, 250):
                chunk = np.arange(start, min(start + 250, count))
                features[chunk] = model.vision(scenes.pixel_values(chunk)).to(torch.bfloat16)
        torch.save(features, path)
    return torch.load(path, mmap=True)


def choose_patches(rng, labels, num_image):
    """Every patch that shows an object, and background at random, `[B, num_image]`."""
    shown = (labels[..., 0] > 0).numpy()
    order = rng.random(shown.shape) + shown
    kept = np.argsort(-order, axis=1)[:, :num_image]
    return torch.from_numpy(np.sort(kept, axis=1))


def evaluate(model, system, scenes, features, vocabulary, early_layers, mixed, limit):
    """Accuracy by family on whole images: unpruned, without any image token after the
    early layers, and without an image from the start."""
    hits = defaultdict(lambda: defaultdict(list))
    ways = {"": None, "dropped": early_layers, "blind": 0}
    rng = np.random.default_rng(0)
    with torch.no_grad(), mixed:
        for start in range(0, min(limit, len(scenes.askable)), 24):
            images = scenes.askable[start : min(start + 24, limit)]
            kept = torch.arange(model.shape.patches).expand(len(images), -1)
            for group in range(2):
                text, rows, targets, families = scenes.batch(rng, images, 6, vocabulary, group)
                for way, layer in ways.items():
                    seen = None
                    if layer is not None:
                        mask = torch.zeros(len(images), text.shape[1], kept.shape[1], dtype=torch.bool)
                        seen = layer, mask
                    inputs = features[images].float()
                    logits, *_ = model(system, inputs, kept, text, rows[..., :2], seen)
                    right = (logits[:, :, 0].argmax(-1) == targets[:, :, 0]).tolist()
                    for names, marks in zip(families, right):
                        for name, mark in zip(names, marks):
                            hits[way][name].append(mark)
                            hits[way]["all"].append(mark)
    return {way or "unpruned": {k: round(float(np.mean(v)), 4) for k, v in sorted(h.items())} for way, h in hits.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with the sets train, easy, validation, words")
    parser.add_argument("--vision", required=True, help="checkpoint of stage 1")
    parser.add_argument("--out", required=True, help="checkpoint to write, and to resume from")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--images", type=int, default=12, help="images a step")
    parser.add_argument("--questions", type=int, default=16, help="questions an image")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--matrix-factor", type=float, default=1.0, help="Muon's rate over AdamW's")
    parser.add_argument("--easy", type=float, default=0.3, help="share of the steps that only see three objects")
    parser.add_argument("--init", help="checkpoint of an earlier run of this stage to start from")
    parser.add_argument("--first", default="easy", help="the set of the curriculum's first part")
    parser.add_argument("--first-share", type=float, default=1.0, help="share of that part's steps that use it")
    parser.add_argument("--first-contexts", type=int, nargs=3, help="image tokens of that part's steps")
    parser.add_argument("--early-layers", type=int, default=2)
    parser.add_argument("--early-weight", type=float, default=0.3, help="weight of the penalty on early reading")
    parser.add_argument("--link-weight", type=float, default=0.0, help="weight of the loss on links of chains")
    parser.add_argument(
        "--link-layers", type=int, nargs=2, default=(4, 6), help="layers after which a link and its answer should be known"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16", help="f32 where bf16 is emulated")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--validate", type=int, default=240, help="validation images at every fifth point")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="seconds")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    stage_1 = torch.load(args.vision)
    vocabulary = Vocabulary(stage_1["words"])
    model = TinyLlava(Shape(**stage_1["shape"]))
    model.load_state_dict(stage_1["model"])
    with torch.no_grad():
        # Words as long as image tokens, which are sums of four of them.
        model.embed_tokens.weight.mul_(2.0)
    earlier = []
    if args.init:
        start_from = torch.load(args.init)
        model.load_state_dict(start_from["model"])
        earlier = start_from.get("stages", [])
    sets = {}
    for name in ("train", args.first, "validation"):
        scenes = Scenes(f"{args.data}/{name}")
        features = cached_features(model, scenes, Path(f"{args.data}/{name}.features.pt"), mixed)
        scenes.encode(vocabulary, 2 if name == "validation" else 3)
        sets[name] = scenes, features
    trained = [(name, p) for name, p in model.named_parameters() if not name.startswith("vision.")]
    steps = optimizers(trained, args.lr, args.matrix_factor)
    system = torch.tensor([vocabulary.ids["<s>"]] + vocabulary.encode(SYSTEM))
    curve, first, seconds = [], 0, 0.0
    if os.path.exists(args.out):
        saved = torch.load(args.out)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(steps, saved["optimizers"]):
            optimizer.load_state_dict(state)
        curve, first, seconds = saved["decoder_curve"], saved["step"], saved["seconds"]
    start, recent = time.time() - seconds, []
    for step in range(first, args.steps):
        done = step / args.steps
        lr = args.lr * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        set_rate(steps, lr)
        # A step's draw depends on its number alone, so that a resumed run is the same run.
        rng = np.random.default_rng([args.seed, step])
        is_easy = rng.random() < (args.first_share if done < args.easy else 0.1)
        scenes, features = sets[args.first if is_easy else "train"]
        shares = (0.6, 0.3, 0.1) if done < 0.8 else (0.4, 0.3, 0.3)
        is_first = is_easy and done < args.easy / 2
        is_small = is_easy and done < args.easy
        few = args.first_contexts or ([16, 20, 24] if is_first else [24, 40, 64])
        sizes = few if is_small else [52, 80, 144]
        num_image = int(rng.choice(sizes, p=shares))
        num_images = max(4, args.images * 52 // max(52, num_image))
        images = np.sort(rng.choice(scenes.askable, num_images, replace=False))
        kept = choose_patches(rng, scenes.labels[images], num_image)
        # Short texts only, to begin with.
        group = 0 if is_first else None
        text, rows, targets, _ = scenes.batch(rng, images, args.questions, vocabulary, group)
        inputs = features[images].gather(1, kept[..., None].expand(-1, -1, features.shape[-1])).float()
        with mixed:
            # Positions are relative: without the system's words, all the rest stays in place.
            shown = system[-2:] if is_first else system
            middle = (args.link_layers if args.link_weight > 0 else (), rows[..., 2])
            logits, early, between = model(
                shown, inputs, kept, text, rows[..., :2], early_layers=args.early_layers, middle=middle
            )
        answer = F.cross_entropy(logits[:, :, 0].flatten(0, 1), targets[:, :, 0].flatten())
        end = F.cross_entropy(logits[:, :, 1].flatten(0, 1), targets[:, :, 1].flatten())
        # The penalty sets in when look-ups have been learned, and little by little.
        ramp = 1.0 if args.init else min(1.0, max(0.0, 10 * (done - args.easy)))
        early_weight = args.early_weight * ramp
        loss = answer + 0.05 * end + early_weight * early
        is_chain = targets[:, :, 2] >= 0
        linked = np.zeros(2)
        if between and is_chain.any():
            for place, (found, sought) in enumerate(zip(between, (targets[:, :, 2], targets[:, :, 0]))):
                found, sought = found[is_chain], sought[is_chain]
                loss = loss + args.link_weight * F.cross_entropy(found, sought)
                linked[place] = (found.argmax(-1) == sought).float().mean().item()
        for optimizer in steps:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trained], 1.0)
        for optimizer in steps:
            optimizer.step()
        right = (logits[:, :, 0].argmax(-1) == targets[:, :, 0]).float().mean().item()
        recent.append((answer.item(), right, early.item(), *linked))
        is_last = step + 1 == args.steps or time.time() - start - seconds > args.stop_after
        if (step + 1) % args.save_every == 0 or is_last:
            mean = np.mean(recent[-args.save_every :], axis=0)
            point = dict(step=step + 1, seconds=round(time.time() - start), loss=round(mean[0], 4))
            point.update(accuracy=round(mean[1], 4), early=round(mean[2], 4), lr=float(f"{lr:.2e}"))
            if args.link_weight > 0:
                point.update(link=round(mean[3], 4), chained=round(mean[4], 4))
            if (step + 1) % (5 * args.save_every) == 0 or is_last:
                point.update(evaluate(model, system, *sets["validation"], vocabulary, args.early_layers, mixed, args.validate))
            curve.append(point)
            print(json.dumps(point), flush=True)
            saved = dict(model=model.state_dict(), optimizers=[o.state_dict() for o in steps])
            saved.update(shape=model.shape.as_dict(), words=vocabulary.words, step=step + 1)
            saved.update(seconds=time.time() - start, decoder_curve=curve, vision_curve=stage_1["vision_curve"])
            flags = {k: v for k, v in vars(args).items() if k not in ("data", "vision", "out", "init")}
            saved.update(stages=earlier + [dict(seconds=round(saved["seconds"]), arguments=flags, curve=curve)])
            torch.save(saved, args.out + ".new")
            os.replace(args.out + ".new", args.out)
        if is_last:
            break


if __name__ == "__main__":
    main()

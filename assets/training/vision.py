"""Stage 1: vision tower and projector learn what each patch shows.

Targets are the words themselves: a patch of a red star is to be the sum of `red`,
`star` and its size's word in the decoder's embedding space. Nothing here knows of
questions, attention or pruning.
"""

import argparse
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F

from data import LABEL_WORDS, Scenes, Vocabulary
from model import Shape, TinyLlava
from muon import optimizers, set_rate

# Weight of patches without an object, and of each kind of label.
BACKGROUND = 0.15
KIND_WEIGHTS = (1.5, 1.0, 1.0, 1.5)


def word_table(vocabulary):
    """Ids of the words of each kind of label, `<pad>` standing for none."""
    return [
        torch.tensor([vocabulary.ids["<pad>"]] + [vocabulary.ids[word] for word in words])
        for words in LABEL_WORDS
    ]


def losses(model, table, mixed, pixels, labels, with_accuracy=False):
    with mixed:
        embeds = model.project_image(model.vision(pixels))
    embeds = embeds.float()
    words = model.embed_tokens.weight.detach()
    is_object = labels[..., 0] > 0
    weight = torch.where(is_object, 1.0, BACKGROUND)
    target, loss, accuracy = 0.0, 0.0, {}
    for kind, ids in enumerate(table):
        label = labels[..., kind]
        logits = 5 * embeds @ words[ids].T
        kind_weight = weight if kind < 3 else torch.where(label > 0, 3.0, weight * 0.5)
        entropy = F.cross_entropy(logits.flatten(0, 1), label.flatten(), reduction="none").view_as(label)
        loss = loss + KIND_WEIGHTS[kind] * (entropy * kind_weight).sum() / kind_weight.sum()
        target = target + words[ids[label]] * torch.where(label > 0, 1.0, 0.25)[..., None]
        if with_accuracy:
            best = logits[..., 1:].argmax(-1) + 1
            name = ("shape", "color", "size", "digit")[kind]
            accuracy[name] = (best == label)[label > 0].float().mean().item()
    error = ((embeds - target).pow(2).sum(-1) * weight).sum() / weight.sum()
    return loss + error, accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with the sets train, easy, validation, words")
    parser.add_argument("--out", required=True, help="checkpoint to write")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16", help="f32 where bf16 is emulated")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    torch.manual_seed(args.seed)
    vocabulary = Vocabulary.of(Scenes(f"{args.data}/words").question_texts())
    train, validation = Scenes(f"{args.data}/train"), Scenes(f"{args.data}/validation")
    shape = Shape(vocab=len(vocabulary.words))
    model = TinyLlava(shape)
    table = word_table(vocabulary)
    trained = [
        (name, p) for name, p in model.named_parameters() if name.startswith(("vision.", "linear_"))
    ]
    steps = optimizers(trained, args.lr)
    held = np.arange(min(256, validation.count))
    held = validation.pixel_values(held), validation.labels[held]
    curve, start = [], time.time()
    for step in range(args.steps):
        lr = args.lr * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        set_rate(steps, lr)
        images = np.random.default_rng([args.seed, step]).integers(0, train.count, args.batch)
        loss, _ = losses(model, table, mixed, train.pixel_values(images), train.labels[images])
        for optimizer in steps:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trained], 1.0)
        for optimizer in steps:
            optimizer.step()
        if step % 100 == 0 or step + 1 == args.steps:
            with torch.no_grad():
                held_loss, accuracy = losses(model, table, mixed, *held, with_accuracy=True)
            point = dict(step=step, seconds=round(time.time() - start), loss=round(held_loss.item(), 3))
            point.update({name: round(value, 4) for name, value in accuracy.items()})
            curve.append(point)
            print(json.dumps(point), flush=True)
            saved = dict(model=model.state_dict(), shape=shape.as_dict(), words=vocabulary.words, vision_curve=curve)
            torch.save(saved, args.out)


if __name__ == "__main__":
    main()

"""Scenes, labels and questions as `finepruner data generate --form training` writes them."""

import json
import re
from pathlib import Path

import numpy as np
import torch

# The template vicuna_v1 around a question.
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER:"
)
TAIL = "ASSISTANT:"
# CLIP's statistics of pixel values.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
# In the order of the labels that the generator writes, from 1.
SHAPES = "circle square triangle star diamond cross ring heart".split()
COLORS = "red green blue yellow purple orange cyan pink".split()
SIZES = "small large".split()
DIGITS = [str(digit) for digit in range(10)]
LABEL_WORDS = [SHAPES, COLORS, SIZES, DIGITS]


def words_of(text):
    """As the tokenizer splits: runs of letters and digits, and runs of punctuation."""
    return re.findall(r"\w+|[^\w\s]+", text)


class Vocabulary:
    def __init__(self, words):
        self.words = list(words)
        self.ids = {word: index for index, word in enumerate(self.words)}

    @classmethod
    def of(cls, texts):
        """Every word of the template, the labels and some texts, in alphabetical order."""
        found = set(words_of(SYSTEM) + words_of(TAIL) + sum(LABEL_WORDS, []))
        for text in texts:
            found.update(words_of(text))
        return cls(SPECIAL + sorted(found))

    def encode(self, text):
        return [self.ids[word] for word in words_of(text)]

    def tokenizer(self):
        """As tokenizer.json."""
        added = [
            dict(id=index, content=word, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
            for index, word in enumerate(SPECIAL)
        ]
        start = {"SpecialToken": {"id": "<s>", "type_id": 0}}
        return dict(
            version="1.0",
            truncation=None,
            padding=None,
            added_tokens=added,
            normalizer=None,
            pre_tokenizer={"type": "Whitespace"},
            post_processor=dict(
                type="TemplateProcessing",
                single=[start, {"Sequence": {"id": "A", "type_id": 0}}],
                pair=[start, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                special_tokens={"<s>": {"id": "<s>", "ids": [SPECIAL.index("<s>")], "tokens": ["<s>"]}},
            ),
            decoder=None,
            model=dict(type="WordLevel", vocab=self.ids, unk_token="<unk>"),
        )


class Scenes:
    """One folder of raw arrays, memory-mapped."""

    def __init__(self, folder):
        folder = Path(folder)
        self.meta = json.loads((folder / "meta.json").read_text())
        count, side = self.meta["images"], self.meta["side"]
        patches = (side // self.meta["patch"]) ** 2
        self.count = count
        self.pixels = np.memmap(folder / "images.rgb", np.uint8, "r", shape=(count, side, side, 3))
        labels = np.fromfile(folder / "labels.u8", np.uint8).reshape(count, patches, 4)
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.texts = (folder / "questions.tsv").read_text().splitlines()

    def pixel_values(self, indices):
        pixels = (self.pixels[indices].astype(np.float32) / 255 - MEAN) / STD
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def question_texts(self):
        return (line.split("\t")[2].replace("\\n", "\n") for line in self.texts)

    def encode(self, vocabulary, groups):
        """Questions per image, sorted by length and dealt to `groups` equal groups."""
        tail = vocabulary.encode(TAIL)
        per_image = [[] for _ in range(self.count)]
        for line in self.texts:
            image, family, text, answer, link = line.split("\t")
            ids = vocabulary.encode(text.replace("\\n", "\n")) + tail
            per_image[int(image)].append((ids, vocabulary.ids[answer], family, vocabulary.ids.get(link)))
        self.groups = []
        for questions in per_image:
            questions.sort(key=lambda question: len(question[0]))
            size = max(1, -(-len(questions) // groups))
            self.groups.append([questions[i : i + size] for i in range(0, len(questions), size)])
        # Now and then a scene has nothing to ask for.
        self.askable = np.array([image for image, group in enumerate(self.groups) if group])
        self.texts = None

    def batch(self, rng, images, num_questions, vocabulary, group=None):
        """`text [B, Q, T]`, `rows [B, Q, 3]`, `targets [B, Q, 3]` and families `[B][Q]`:
        the rows that predict the answer and the end, and what they should predict;
        last the question mark of a chain, and what the chain has found before its last
        look-up (-100 for none)."""
        chosen, share = [], rng.random() if group is None else None
        for image in images:
            groups = self.groups[image]
            pool = groups[min(int(share * len(groups)), len(groups) - 1)] if group is None else groups[min(group, len(groups) - 1)]
            picks = rng.permutation(len(pool))[:num_questions]
            if len(picks) < num_questions:
                picks = np.concatenate([picks, rng.integers(0, len(pool), num_questions - len(picks))])
            chosen.append([pool[pick] for pick in picks])
        longest = max(len(question[0]) for questions in chosen for question in questions) + 1
        text = np.full((len(chosen), num_questions, longest), vocabulary.ids["<pad>"], np.int64)
        rows = np.zeros((len(chosen), num_questions, 3), np.int64)
        targets = np.full((len(chosen), num_questions, 3), vocabulary.ids["</s>"], np.int64)
        targets[..., 2] = -100
        for b, questions in enumerate(chosen):
            for q, (ids, answer, _, link) in enumerate(questions):
                text[b, q, : len(ids) + 1] = ids + [answer]
                rows[b, q, :2] = len(ids) - 1, len(ids)
                targets[b, q, 0] = answer
                if link is not None:
                    rows[b, q, 2] = ids.index(vocabulary.ids["?"])
                    targets[b, q, 2] = link
        families = [[question[2] for question in questions] for questions in chosen]
        return torch.from_numpy(text), torch.from_numpy(rows), torch.from_numpy(targets), families

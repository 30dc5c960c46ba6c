#!/usr/bin/env python3
"""Writes what Hugging Face's processors make of questions on an image, for every family:
crates/fp-model/tests/golden/families/prompts.json.

A chat template belongs to a checkpoint and is no part of transformers, so it is read from the
folder of a real one, `chat_template.json`, `chat_template.jinja` or `tokenizer_config.json`:

    python3 benches/peers/family_prompts.py llava=DIR llava_onevision=DIR qwen2_vl=DIR qwen2_5_vl=DIR

of llava-hf/llava-1.5-7b-hf, llava-hf/llava-onevision-qwen2-0.5b-ov-hf, Qwen/Qwen2-VL-2B-Instruct
and Qwen/Qwen2.5-VL-3B-Instruct. The tokenizers and image processors are those of the tiny golden
checkpoints; nothing of a real one is stored but the SHA-256 of its template. Run with
transformers 5.24.
"""

import hashlib
import json
import sys
from pathlib import Path

from PIL import Image
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPImageProcessorPil,
    LlavaOnevisionProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLProcessor,
    Qwen2VLProcessor,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

# Processors of videos take torchvision, and no video is read here.
_check = ProcessorMixin.check_argument_for_proper_class
ProcessorMixin.check_argument_for_proper_class = lambda self, name, given: (
    None if name == "video_processor" else _check(self, name, given)
)

GOLDEN = Path(__file__).resolve().parents[2] / "crates/fp-model/tests/golden"
FAMILIES = GOLDEN / "families"
QUESTIONS = [
    "What color is it?",
    "How many?\nAnswer in one word.",
    "  two  spaces, a newline at the end\n",
    "",
]
# What LLaVA-1.5 was trained with before the first turn; its template leaves that to the caller.
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)


def template(folder):
    """The chat template of a checkpoint's folder."""
    folder = Path(folder)
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text()
    for name in ["chat_template.json", "processor_config.json", "tokenizer_config.json"]:
        if (folder / name).is_file():
            found = json.loads((folder / name).read_text()).get("chat_template")
            if found:
                return found
    raise SystemExit(f"{folder} has no chat template")


def processor(family, folder, chat):
    """The processor of a tiny checkpoint, of the class that AutoProcessor takes for it."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    if family == "llava":
        # What LLaMA's tokenizer has beside the file: every sequence begins with <s>.
        bos = tokenizer.convert_tokens_to_ids("<s>")
        tokenizer._tokenizer.post_processor = TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", bos)])
        images = CLIPImageProcessorPil.from_pretrained(folder)
        made = LlavaProcessor(
            images, tokenizer, patch_size=json.loads((folder / "config.json").read_text())
            ["vision_config"]["patch_size"], vision_feature_select_strategy="default",
            num_additional_image_tokens=1, chat_template=chat)
    elif family == "llava_onevision":
        config = json.loads((folder / "config.json").read_text())
        vision = config["vision_config"]
        images = LlavaOnevisionImageProcessorPil.from_pretrained(folder)
        made = LlavaOnevisionProcessor(
            images, tokenizer, num_image_tokens=(vision["image_size"] // vision["patch_size"]) ** 2,
            vision_feature_select_strategy="full",
            vision_aspect_ratio=config["vision_aspect_ratio"], chat_template=chat)
    else:
        images = Qwen2VLImageProcessorPil.from_pretrained(folder)
        kind = Qwen2VLProcessor if family == "qwen2_vl" else Qwen2_5_VLProcessor
        made = kind(images, tokenizer, chat_template=chat)
    return made


def runs(ids):
    """Ids with repetitions counted: [id, count] each."""
    made = []
    for token in ids:
        if made and made[-1][0] == token:
            made[-1][1] += 1
        else:
            made.append([token, 1])
    return made


def main():
    golden = []
    for given in sys.argv[1:]:
        family, _, source = given.partition("=")
        folder = GOLDEN / "model" if family == "llava" else FAMILIES / family / "b2"
        chat = template(source)
        prepare = processor(family, folder, chat)
        for picture in ["wide", "tall"]:
            image = Image.open(FAMILIES / f"{picture}.png").convert("RGB")
            for question in QUESTIONS:
                content = [{"type": "image"}, {"type": "text", "text": question}]
                messages = [{"role": "user", "content": content}]
                if family == "llava":
                    system = [{"type": "text", "text": VICUNA_SYSTEM}]
                    messages.insert(0, {"role": "system", "content": system})
                text = prepare.apply_chat_template(messages, add_generation_prompt=True)
                ids = prepare(images=[image], text=text, return_tensors="pt").input_ids[0].tolist()
                golden.append(dict(
                    family=family, picture=picture, question=question, text=text, ids=runs(ids),
                    template_sha256=hashlib.sha256(chat.encode()).hexdigest()))
                print(family, picture, repr(question), len(ids))
    lines = ",\n".join(json.dumps(case) for case in golden)
    (FAMILIES / "prompts.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()

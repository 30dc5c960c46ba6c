"""What a model of transformers looks at, and what it says with half of that dropped.

python hf_capture_and_prune.py MODEL IMAGE QUESTION

MODEL is a LLaVA-1.5 checkpoint, such as llava-hf/llava-1.5-7b-hf. Needs torch, transformers and
Pillow. Writes what the last method keeps to mine.jsonl in the current folder, for
finepruner study --selection.
"""

import sys
from importlib import import_module

from finepruner import hf

if len(sys.argv) != 4:
    sys.exit("usage: python hf_capture_and_prune.py MODEL IMAGE QUESTION")
folder, picture, question = sys.argv[1:]

# Of their types nothing is needed here.
torch = import_module("torch")
transformers = import_module("transformers")
Image = import_module("PIL.Image")

model = transformers.LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
processor = transformers.LlavaProcessor.from_pretrained(
    folder,
    patch_size=model.config.vision_config.patch_size,
    vision_feature_select_strategy=model.config.vision_feature_select_strategy,
    num_additional_image_tokens=1,
)
inputs = processor(
    text=f"USER: <image>\n{question} ASSISTANT:",
    images=Image.open(picture).convert("RGB"),
    return_tensors="pt",
)


def answer() -> str:
    """What the model says."""
    ids = model.generate(**inputs, max_new_tokens=16, do_sample=False)
    new = ids[0, inputs["input_ids"].shape[1] :]
    return str(processor.tokenizer.decode(new, skip_special_tokens=True))


with hf.capture(model, layer=2, queries=["last_token", "text_tokens_only"]) as captured:
    print("unpruned:", answer())
sample = captured[-1]
print(f"{sample.num_image} image tokens, rows {sample.query_rows} of layer {sample.layer}")
for chosen in sample.score(keep=sample.num_image // 2, heads=["sum", "variance"]):
    print(chosen.label, chosen.selected_heads.tolist(), chosen.kept_tokens[:8].tolist(), "...")

with hf.prune(model, "variance", keep=sample.num_image // 2) as pruned:
    print("by variance:", answer())


def strongest_head(seen: hf.Captured) -> list[int]:
    """A method of one's own: tokens that some head attends to more than all do on average."""
    rows = seen.image_attention()[:, -1]
    order = rows.max(axis=0).argsort()[::-1]
    return [int(token) for token in order[: seen.num_image // 2]]


with hf.prune(model, strongest_head) as pruned, hf.record_selections("mine.jsonl") as record:
    print("by a method of one's own:", answer())
    record.add("question-1", pruned)
print("wrote mine.jsonl")

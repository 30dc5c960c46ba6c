"""Writes a trained model as a Hugging Face LLaVA folder in half precision."""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from data import MEAN, STD, Vocabulary
from model import Shape, TinyLlava

TOWER = "vision_tower.vision_model."
DECODER = "language_model.model."


def tower_tensors(model):
    """The tower under CLIP's names, with a last layer that no one reads."""
    tower, shape = model.vision, model.shape
    width, patch = shape.vision_width, shape.patch
    yield "embeddings.class_embedding", tower.class_embedding
    yield "embeddings.patch_embedding.weight", tower.patch_embedding.weight.view(width, 3, patch, patch)
    yield "embeddings.position_embedding.weight", tower.position_embedding
    for name in ("weight", "bias"):
        yield f"pre_layrnorm.{name}", getattr(tower.pre_layrnorm, name)
        yield f"post_layernorm.{name}", torch.full((width,), float(name == "weight"))
    for number in range(shape.vision_layers + 1):
        is_read = number < shape.vision_layers
        layer = tower.layers[min(number, shape.vision_layers - 1)]
        place = f"encoder.layers.{number}."
        linear = dict(zip(("q_proj", "k_proj", "v_proj"), zip(layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3))))
        linear["out_proj"] = layer.out_proj.weight, layer.out_proj.bias
        parts = {f"self_attn.{name}": pair for name, pair in linear.items()}
        for name in ("layer_norm1", "layer_norm2"):
            parts[name] = getattr(layer, name).weight, getattr(layer, name).bias
        for name in ("fc1", "fc2"):
            parts[f"mlp.{name}"] = getattr(layer, name).weight, getattr(layer, name).bias
        for name, (weight, bias) in parts.items():
            yield f"{place}{name}.weight", weight if is_read else torch.zeros_like(weight)
            yield f"{place}{name}.bias", bias if is_read else torch.zeros_like(bias)


def tensors(model):
    for name, tensor in tower_tensors(model):
        yield TOWER + name, tensor
    for name in ("linear_1", "linear_2"):
        for part in ("weight", "bias"):
            yield f"multi_modal_projector.{name}.{part}", getattr(getattr(model, name), part)
    yield DECODER + "embed_tokens.weight", model.embed_tokens.weight
    yield DECODER + "norm.weight", model.norm.weight
    yield "language_model.lm_head.weight", model.lm_head.weight
    for number, layer in enumerate(model.layers):
        for name, tensor in layer.named_parameters():
            group = "self_attn." if name[:2] in ("q_", "k_", "v_", "o_") else ""
            group = "mlp." if name.startswith(("gate_", "up_", "down_")) else group
            yield f"{DECODER}layers.{number}.{group}{name}", tensor


def config(shape, vocabulary):
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "ignore_index": -100,
        "image_token_index": vocabulary.ids["<image>"],
        "pad_token_id": vocabulary.ids["<pad>"],
        "image_seq_length": shape.patches,
        "projector_hidden_act": "gelu",
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "text_config": {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "vocab_size": shape.vocab,
            "hidden_size": shape.width,
            "intermediate_size": shape.mlp,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "hidden_act": "silu",
            "max_position_embeddings": 1024,
            "rms_norm_eps": shape.rms_eps,
            "rope_theta": shape.rope_theta,
            "tie_word_embeddings": False,
            "bos_token_id": vocabulary.ids["<s>"],
            "eos_token_id": vocabulary.ids["</s>"],
            "pad_token_id": vocabulary.ids["<pad>"],
            "torch_dtype": "float16",
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": shape.vision_width,
            "intermediate_size": shape.vision_mlp,
            "num_hidden_layers": shape.vision_layers + 1,
            "num_attention_heads": shape.vision_heads,
            "image_size": shape.image_side,
            "patch_size": shape.patch,
            "projection_dim": shape.vision_width,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-5,
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True, help="folder to write")
    args = parser.parse_args()
    saved = torch.load(args.checkpoint)
    vocabulary, shape = Vocabulary(saved["words"]), Shape(**saved["shape"])
    model = TinyLlava(shape)
    model.load_state_dict(saved["model"])
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().to(torch.float16).clone().contiguous() for name, tensor in tensors(model)}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    write = lambda name, value: (out / name).write_text(json.dumps(value, indent=2) + "\n")
    write("config.json", config(shape, vocabulary))
    write("generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3})
    write("tokenizer.json", vocabulary.tokenizer())
    write(
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "model_max_length": 1024,
        },
    )
    side = shape.image_side
    write(
        "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": side},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": {"height": side, "width": side},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [float(f"{value:.8f}") for value in MEAN],
            "image_std": [float(f"{value:.8f}") for value in STD],
        },
    )
    write(
        "processor_config.json",
        {
            "processor_class": "LlavaProcessor",
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": shape.patch,
            "vision_feature_select_strategy": "default",
        },
    )
    write(
        "training.json",
        {
            "vision": saved.get("vision_curve"),
            "decoder": saved.get("stages"),
        },
    )
    digest = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    print(f"{digest}  model.safetensors")


if __name__ == "__main__":
    main()

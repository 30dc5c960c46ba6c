"""Where things are in a model of transformers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from .. import _native

#: A tensor or module of PyTorch, which this package doesn't depend on.
Tensor: TypeAlias = Any
Module: TypeAlias = Any

# Where the language model stands in what transformers' classes have been.
_DECODERS = (
    "model.language_model",
    "model.language_model.model",
    "language_model.model",
    "language_model",
    "model",
    "",
)
# What attention can have beside a causal mask, and how it is called.
_MORE_THAN_CAUSAL = ("attn_logit_softcapping", "sinks")


def torch() -> Any:
    """PyTorch."""
    try:
        return import_module("torch")
    except ImportError as error:
        raise _native.Error(
            "finepruner.hf needs PyTorch and transformers, and torch can't be imported; "
            "pip install torch transformers"
        ) from error


def at(root: Module, path: str) -> Module | None:
    """The part of a module at a path with dots; None where there is none."""
    for name in filter(None, path.split(".")):
        root = root[int(name)] if name.isdigit() else getattr(root, name, None)
        if root is None:
            return None
    return root


def decoder(model: Module) -> Module:
    """The part of a model that has the decoder's layers."""
    for path in _DECODERS:
        found = at(model, path)
        layers = getattr(found, "layers", None)
        if layers is not None and len(layers) > 0 and hasattr(layers[0], "self_attn"):
            return found
    raise _native.Error(
        f"no decoder was found in {type(model).__name__}; looked for layers with self_attn at "
        + ", ".join(f"{path or '.'}" for path in _DECODERS)
        + ": name the attention module of the layer with attention="
    )


def attention_of(model: Module, layer: int, named: Module | str | None) -> Module:
    """The attention of layer ``layer``, counted from 1, or the one that is named."""
    if isinstance(named, str):
        found = at(model, named)
        if found is None:
            raise _native.Error(f"attention={named!r}: {type(model).__name__} has no such module")
        return checked(found)
    if named is not None:
        return checked(named)
    layers = decoder(model).layers
    if not 1 <= layer <= len(layers):
        raise _native.Error(f"layer {layer}: the decoder has layers 1 to {len(layers)}")
    return checked(layers[layer - 1].self_attn)


def checked(attention: Module) -> Module:
    """An attention module whose rows can be computed from outside."""
    kind = type(attention).__name__
    for name in ("q_proj", "k_proj"):
        if not hasattr(attention, name):
            raise _native.Error(
                f"{kind} has no {name}; expected an attention module with q_proj and k_proj"
            )
    for name in _MORE_THAN_CAUSAL:
        if getattr(attention, name, None) is not None:
            raise _native.Error(f"{kind} has {name}, which isn't reproduced here")
    return attention


def rotary_of(attention: Module) -> Callable[[Tensor, Tensor, Tensor, Tensor], Any]:
    """How the model turns queries and keys by position: the function of its own file."""
    file = sys.modules[type(attention).__module__]
    multimodal = getattr(file, "apply_multimodal_rotary_pos_emb", None)
    if multimodal is not None:
        config = attention.config
        said = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
        section = (said or {}).get("mrope_section")
        if section is None:
            raise _native.Error(f"{type(config).__name__} has no mrope_section")
        return lambda q, k, cos, sin: multimodal(q, k, cos, sin, section)
    plain = getattr(file, "apply_rotary_pos_emb", None)
    if plain is None:
        raise _native.Error(
            f"{type(attention).__name__}: {file.__name__} has neither apply_rotary_pos_emb nor "
            "apply_multimodal_rotary_pos_emb; expected an attention of transformers"
        )
    turn: Callable[[Tensor, Tensor, Tensor, Tensor], Any] = plain
    return turn


def image_token_of(model: Module, said: int | None) -> int:
    """The id of image tokens."""
    config = getattr(model, "config", None)
    for name in ("image_token_id", "image_token_index"):
        found = getattr(config, name, None) if said is None else said
        if found is not None:
            return int(found)
    raise _native.Error(
        f"the configuration of {type(model).__name__} has no image_token_id; "
        "say it with image_token_id="
    )

"""A causal language model whose hidden states a small head reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from judge.devices import resolve
from judge.encoding import tokenizer_digest
from judge.errors import ModelError
from judge.models import find_model, load_model

VALUES_PER_TENSOR = 1024
"""How much of every tensor goes into the fingerprint: reading all of a large model would take minutes."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A model in evaluation mode, its tokenizer, and what identifies both."""

    name: str
    """What the settings call the model."""
    model: Any
    """A causal language model of transformers."""
    tokenizer: Any
    fingerprint: str
    """12 hex digits over the weights, the same for every file format that holds them."""
    tokenizer_digest: str

    @property
    def body(self) -> Any:
        """The model without its vocabulary head."""
        return self.model.get_decoder()

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def num_layers(self) -> int:
        """Layers of the whole model, those that were cut off included."""
        return int(self.model.config.get_text_config().num_hidden_layers)


def load_backbone(name: str, *, last_layer: int | None = None, device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a model to read from.

    Args:
        name: as `judge.models.find_model` takes it.
        last_layer: leave out the layers above this one and the final norm, so that the last hidden state is this
            layer's output (1-based: 1 is the first layer's); None keeps the model whole.
        device: see `judge.devices.resolve`; so is ``dtype``.

    Raises:
        ModelError: when there is no such model, or it has no such layer.
        ConfigError: when there is no such device or type.
    """
    files = find_model(name)
    # Packaged weights in bfloat16, so that they equal their export as a checkpoint.
    model, tokenizer = load_model(files, "bfloat16" if files.packaged else "auto")
    identity = fingerprint(model)
    if last_layer is not None:
        cut(model, last_layer, name)
    where, number_type = resolve(device, dtype)
    model = model.to(device=where, dtype=number_type).eval().requires_grad_(False)
    return Backbone(name, model, tokenizer, identity, tokenizer_digest(tokenizer))


def cut(model: Any, last_layer: int, name: str) -> None:
    """Drop the layers above ``last_layer`` and the final norm."""
    import torch

    body = model.get_decoder()
    if not isinstance(getattr(body, "layers", None), torch.nn.ModuleList) or not hasattr(body, "norm"):
        raise ModelError(f"model '{name}': {type(body).__name__} keeps its layers elsewhere; only whole models work")
    if not 1 <= last_layer <= len(body.layers):
        raise ModelError(f"model '{name}' has layers 1 to {len(body.layers)}, and layer {last_layer} was asked for")
    body.layers = body.layers[:last_layer]
    body.norm = torch.nn.Identity()


def fingerprint(model: Any) -> str:
    """12 hex digits over shapes and the first `VALUES_PER_TENSOR` values of every tensor, as bfloat16."""
    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        head = tensor.detach().flatten()[:VALUES_PER_TENSOR].to("cpu", torch.bfloat16).view(torch.int16)
        total.update(f"{name} {tuple(tensor.shape)}\n".encode())
        total.update(head.numpy().tobytes())
    return total.hexdigest()[:12]

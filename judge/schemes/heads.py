"""Models with a head of two labels for every token, loaded without code from the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.backbone import fingerprint
from judge.devices import resolve
from judge.encoding import tokenizer_digest
from judge.errors import ModelError
from judge.models import find_model, load_tokenizer

TWO_LAYERS = ("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias")
"""Qwen2.5-Math-PRM's head: linear, ReLU, linear. Upstream it comes as code inside the checkpoint."""


@dataclass(frozen=True, slots=True)
class TokenClassifier:
    """A loaded model."""

    body: Any
    head: Any
    tokenizer: Any
    identity: str
    """Digests of the weights and of the tokenizer."""


def load_token_classifier(name: str, device: str, dtype: str) -> TokenClassifier:
    """Load a checkpoint for token classification with two labels.

    Args:
        name: as `judge.models.find_model` takes it.
        device: see `judge.devices.resolve`; so is ``dtype``.

    Raises:
        ModelError: no such model, or it has no such head.
    """
    files = find_model(name)
    if files.packaged is not None:
        raise ModelError(f"model '{name}' is a language model without a head that scores steps")
    try:
        from transformers import AutoModelForTokenClassification

        tokenizer = load_tokenizer(files)
        model, info = AutoModelForTokenClassification.from_pretrained(
            files.folder, dtype="auto", trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"model in {files.folder} cannot be loaded: {error}") from None
    _check_head(model, set(info["missing_keys"]), set(info["unexpected_keys"]), files.folder)
    where, number_type = resolve(device, dtype)
    model = model.to(device=where, dtype=number_type).eval().requires_grad_(False)
    return TokenClassifier(
        model.base_model, model.score, tokenizer, f"{fingerprint(model)}.{tokenizer_digest(tokenizer)}"
    )


def _check_head(model: Any, missing: set[str], unexpected: set[str], folder: Path) -> None:
    """A head that the checkpoint does not hold would be random: refuse it, or build the one that is there."""
    if not hasattr(model, "score"):
        raise ModelError(f"model in {folder}: {type(model).__name__} is not a causal model with a 'score' head")
    if unexpected.issuperset(TWO_LAYERS):
        model.score = _two_layers(folder)
        missing = {key for key in missing if not key.startswith("score.")}
    if missing:
        raise ModelError(f"model in {folder} does not hold {', '.join(sorted(missing))}; it scores no steps")
    last = model.score if hasattr(model.score, "out_features") else model.score[-1]
    if last.out_features != 2:
        raise ModelError(f"model in {folder} has {last.out_features} labels; wrong and right are needed")


def _two_layers(folder: Path) -> Any:
    import torch
    from safetensors import safe_open

    tensors: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys() if key in TWO_LAYERS}  # noqa: SIM118
    inner, outer = tensors["score.0.weight"], tensors["score.2.weight"]
    head = torch.nn.Sequential(
        torch.nn.Linear(inner.shape[1], inner.shape[0]),
        torch.nn.ReLU(),
        torch.nn.Linear(outer.shape[1], outer.shape[0]),
    )
    head.load_state_dict({key.removeprefix("score."): tensor for key, tensor in tensors.items()})
    return head

"""Classifiers that ``sgpo-judge train classifier`` made: a linear head on the last token of every step.

The folder holds the head, and an adapter for the base model (``adapter/``) or a whole model of its own (``model/``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from judge.backbone import Backbone, load_backbone
from judge.encoding import StepEncoder
from judge.errors import ConfigError, ModelError
from judge.judge_folder import Manifest, check_base, folder_digest, read_arrays, read_manifest
from judge.registry import MANIFEST
from judge.schemes.reader import StepReader
from judge.settings import Settings, describe

KIND: Final = "classifier"
ADAPTER: Final = "adapter"
MODEL: Final = "model"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
WRONG: Final = 1
"""The head's label of a wrong step."""


class ClassifierHead(Settings):
    """What ``head`` of the manifest holds."""

    method: Literal["full", "lora"]
    adapter_digest: str = ""
    """SHA-256 of the adapter's weights, first 12 hex digits."""


def load_own(folder: Path, model: str, device: str, dtype: str) -> tuple[Manifest, StepReader]:
    """Load a judge folder.

    Args:
        model: where the base model lies; empty for the name that the manifest gives.
        device: see `judge.devices.resolve`; so is ``dtype``.

    Raises:
        ModelError: a folder, adapter or base model that is missing, damaged or does not fit.
        ConfigError: ``model`` given for a folder that holds its own.
    """
    manifest = read_manifest(folder, KIND)
    head = _head_settings(manifest, folder)
    if manifest.base is None:
        raise ModelError(f"{folder / MANIFEST}: 'base' is missing")
    if head.method == "full" and model:
        raise ConfigError(f"'model' = {model!r}: judge folder '{folder}' holds its own model; leave 'model' empty")
    name = str(folder / MODEL) if head.method == "full" else model or manifest.base.name
    backbone = load_backbone(name, device=device, dtype=dtype)
    check_base(manifest, backbone, folder)
    body = backbone.body if head.method == "full" else _with_adapter(backbone, folder, head.adapter_digest)
    encoder = StepEncoder(backbone.tokenizer, manifest.base.template, manifest.base.separator)
    reader = StepReader(
        encode=encoder.encode,
        body=body,
        logits=_linear(folder, backbone),
        wrong=WRONG,
        identity=folder_digest(folder),
    )
    return manifest, reader


def adapter_digest(folder: Path) -> str:
    """12 hex digits over the weights of an adapter folder."""
    return hashlib.sha256((folder / ADAPTER_WEIGHTS).read_bytes()).hexdigest()[:12]


def _head_settings(manifest: Manifest, folder: Path) -> ClassifierHead:
    try:
        return ClassifierHead.model_validate(manifest.head)
    except ValidationError as error:
        raise ModelError(f"{folder / MANIFEST}: 'head': {describe(error, ClassifierHead)}") from None


def _with_adapter(backbone: Backbone, folder: Path, digest: str) -> Any:
    """The body with the adapter's weights added to its own."""
    path = folder / ADAPTER
    try:
        found = adapter_digest(path)
    except OSError as error:
        raise ModelError(f"{path / ADAPTER_WEIGHTS}: cannot be read: {error}") from None
    if found != digest:
        raise ModelError(f"judge folder '{folder}' was written with adapter {digest}, and {path} holds {found}")
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError(f"adapters need the extra 'train' ({error}); run: pip install 'sgpo[train]'") from None
    try:
        adapted = PeftModel.from_pretrained(backbone.body, path)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot be loaded: {error}") from None
    return adapted.merge_and_unload().eval().requires_grad_(False)


def _linear(folder: Path, backbone: Backbone) -> Any:
    import torch

    arrays = read_arrays(folder)
    shapes = {name: array.shape for name, array in arrays.items()}
    expected = {"weight": (2, backbone.hidden_size), "bias": (2,)}
    if shapes != expected:
        raise ModelError(f"judge folder '{folder}': its head has the shapes {shapes}, and {expected} is needed")
    device = backbone.model.device
    weight, bias = (torch.from_numpy(arrays[name]).to(device, torch.float32) for name in ("weight", "bias"))
    return lambda states: torch.nn.functional.linear(states.float(), weight, bias)

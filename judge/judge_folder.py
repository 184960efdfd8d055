"""The folder of a trained judge: all that it needs but the base model.

``judge.json`` says what it is and what it was made for, ``weights.safetensors`` holds its numbers, ``README.md`` is its
card. A folder is written whole or not at all, and is refused where another tokenizer, segmenter or base model runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from judge.backbone import Backbone
from judge.calibration import Decoding
from judge.encoding import Template
from judge.errors import ConfigError, ModelError
from judge.registry import MANIFEST
from judge.settings import Settings, describe
from judge.steps import SEGMENTER_VERSION

WEIGHTS: Final = "weights.safetensors"
CARD: Final = "README.md"

FORMAT: Final = 1


class BaseModelRef(Settings):
    """The language model that a judge reads."""

    name: str
    fingerprint: str
    tokenizer_digest: str
    template: Template = "plain"
    separator: str = "\n\n"


class Manifest(Settings):
    """What ``judge.json`` holds."""

    format: Literal[1] = FORMAT
    kind: str
    """``probe``, ``classifier`` or ``features``."""
    segmenter: str = SEGMENTER_VERSION
    base: BaseModelRef | None = None
    """None for a judge that needs no language model."""
    decoding: Decoding = Decoding()
    data_digest: str = ""
    head: dict[str, Any] = Field(default_factory=dict)
    """Shape of the head, as its kind reads it."""
    training: dict[str, Any] = Field(default_factory=dict)
    """The settings of the training run."""
    metrics: dict[str, Any] = Field(default_factory=dict)


def write_folder(
    folder: Path, manifest: Manifest, arrays: Mapping[str, Any], card: str, extra: Callable[[Path], None] | None = None
) -> None:
    """Write a judge folder in one step: a full disk leaves what was there before.

    Args:
        folder: replaced when it holds a judge; otherwise it must not exist or be empty.
        arrays: numpy arrays for ``weights.safetensors``.
        card: Markdown.
        extra: writes more files (an adapter, pictures) into the folder it is given.

    Raises:
        ConfigError: when ``folder`` holds something else.
    """
    import numpy as np
    from safetensors.numpy import save_file

    refuse_foreign(folder)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelError(f"'{name}' of the trained judge is not finite: the training failed, nothing was written")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        save_file(dict(arrays), scratch / WEIGHTS)
        (scratch / MANIFEST).write_text(json.dumps(manifest.model_dump(), indent=2) + "\n", encoding="utf-8")
        (scratch / CARD).write_text(card, encoding="utf-8")
        if extra is not None:
            extra(scratch)
        scratch.chmod(0o755)
        for file in scratch.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        _swap(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def refuse_foreign(folder: Path) -> None:
    """Refuse to write a judge over something else.

    Raises:
        ConfigError: when ``folder`` is there and holds no judge.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: exists and holds no judge; give another output folder")


def _swap(scratch: Path, folder: Path) -> None:
    if not folder.exists():
        os.rename(scratch, folder)
        return
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    os.rename(folder, old)
    os.rename(scratch, folder)
    shutil.rmtree(old)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """The manifest of a judge folder.

    Raises:
        ModelError: no such folder, no judge in it, another kind, or made for another segmenter.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"judge folder '{folder}': no {MANIFEST} there; give the output of sgpo-judge train") from None
    except OSError as error:
        raise ModelError(f"judge folder '{folder}': cannot be read: {error}") from None
    except ValidationError as error:
        raise ModelError(f"{path}: {describe(error, Manifest)}") from None
    if manifest.kind != kind:
        raise ModelError(f"judge folder '{folder}' holds a judge of kind '{manifest.kind}'; set kind = that")
    if manifest.segmenter != SEGMENTER_VERSION:
        raise ModelError(
            f"judge folder '{folder}' was made for segmenter '{manifest.segmenter}', and this version of sgpo has "
            f"'{SEGMENTER_VERSION}': train it again, or install the version that made it"
        )
    return manifest


def read_arrays(folder: Path) -> dict[str, Any]:
    """The numpy arrays of a judge folder.

    Raises:
        ModelError: when the weights are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be read: {error}") from None


def check_base(manifest: Manifest, backbone: Backbone, folder: Path) -> None:
    """Refuse a base model or a tokenizer that the judge was not made for.

    Raises:
        ModelError: naming both.
    """
    base = manifest.base
    if base is None:
        return
    pairs = (
        ("base model", base.fingerprint, backbone.fingerprint),
        ("tokenizer", base.tokenizer_digest, backbone.tokenizer_digest),
    )
    for what, made_for, found in pairs:
        if made_for != found:
            raise ModelError(
                f"judge folder '{folder}' was made for {what} {made_for} ('{base.name}'), and '{backbone.name}' has "
                f"{found}; set 'model' to the one it was made for"
            )


def folder_digest(folder: Path) -> str:
    """12 hex digits over manifest and weights, for judge ids."""
    total = hashlib.sha256()
    for name in (MANIFEST, WEIGHTS):
        total.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()[:12]

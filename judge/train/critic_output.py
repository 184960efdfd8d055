"""The output folder of a critic's training: taken up, resumed, and finished at once.

While a run goes on the folder holds ``critic.json`` and ``training/checkpoints``; the files of the model appear when it
ends, the model card last, and then the checkpoints go. What a full disk or a kill leaves is a run that can be resumed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from judge.errors import ConfigError
from judge.judges.critic_folder import MANIFEST, CriticManifest
from judge.train.card import TRAINING_CURVE, draw_training
from judge.train.critic_card import write_card

CARD: Final = "README.md"
TRAINING: Final = "training"
CHECKPOINTS: Final = "checkpoints"
METRICS: Final = "metrics.json"
TRAINER_STATE: Final = "trainer_state.json"
"""The last file that transformers writes into a checkpoint."""


def claim(output: Path, manifest: CriticManifest) -> None:
    """Make the folder ready for a run, or see that it holds the same run, not finished.

    Raises:
        ConfigError: a finished critic, another run, or something else lies there.
    """
    path = output / MANIFEST
    if (output / CARD).exists():
        raise ConfigError(f"{output}: holds a finished model; give another --output")
    if not path.is_file():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ConfigError(f"{output}: exists and holds no training of a critic; give another --output")
        output.mkdir(parents=True, exist_ok=True)
        replace_file(path, manifest.model_dump_json(indent=2) + "\n")
        return
    try:
        former = CriticManifest.model_validate_json(path.read_bytes())
    except ValidationError:
        raise ConfigError(f"{path}: not the manifest of a critic; give another --output") from None
    changed = sorted(differences(former.model_dump(), manifest.model_dump()))
    if changed:
        raise ConfigError(
            f"{output}: holds an unfinished run with other {', '.join(changed)}; give another --output, or run it to "
            "its end with what it began with"
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Dotted names of the fields that differ."""
    found = set()
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found |= differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.add(f"{prefix}{key}")
    return found


def last_checkpoint(output: Path) -> str | None:
    """The newest whole checkpoint; None when there is none. Torn ones are deleted."""
    whole: dict[int, Path] = {}
    for folder in (output / TRAINING / CHECKPOINTS).glob("checkpoint-*"):
        try:
            step = json.loads((folder / TRAINER_STATE).read_bytes())["global_step"]
        except (OSError, ValueError, KeyError):
            shutil.rmtree(folder)
            continue
        whole[step] = folder
    return str(whole[max(whole)]) if whole else None


def publish(output: Path, model: Any, tokenizer: Any, manifest: CriticManifest, metrics: Mapping[str, Any]) -> None:
    """Write model, tokenizer, metrics, curve and card beside the manifest, then drop the checkpoints."""
    scratch = output / TRAINING / "result"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    replace_file(output / TRAINING / METRICS, json.dumps(metrics, indent=1) + "\n")
    for file in sorted(scratch.iterdir()):
        if file.name == CARD:  # PEFT writes one without content
            continue
        file.chmod(0o644)  # safetensors writes 0600, which another user's server could not read
        os.replace(file, output / file.name)
    draw_training(output / TRAINING_CURVE, metrics["history"])
    replace_file(output / CARD, write_card(output, manifest, metrics))
    shutil.rmtree(scratch)
    shutil.rmtree(output / TRAINING / CHECKPOINTS)


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)

"""The folder of a trained critic: a checkpoint with ``critic.json``, which says what it was made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from judge.errors import ModelError
from judge.prompting import CRITIC_PROMPTS, prompts_digest
from judge.settings import Settings, describe
from judge.steps import SEGMENTER_VERSION

MANIFEST: Final = "critic.json"


class CriticManifest(Settings):
    """What ``critic.json`` holds."""

    format: Literal[1] = 1
    segmenter: str = SEGMENTER_VERSION
    prompts: str
    """Digest of the prompt files that it learned to answer."""
    base_model: str
    base_digest: str
    data_digest: str
    settings: dict[str, Any]
    """Of the training run."""


def critic_prompts() -> str:
    """Digest of the prompts that the critic judge sends."""
    return prompts_digest(CRITIC_PROMPTS)


def check_critic_folder(folder: Path) -> None:
    """Refuse a trained critic that learned other prompts or other steps; other models are let through.

    Raises:
        ModelError: naming both versions, or what is wrong with ``critic.json``.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return
    try:
        manifest = CriticManifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelError(f"{path}: {describe(error, CriticManifest)}") from None
    pairs = (
        ("prompts", manifest.prompts, critic_prompts()),
        ("segmenter", manifest.segmenter, SEGMENTER_VERSION),
    )
    for what, made_for, found in pairs:
        if made_for != found:
            raise ModelError(
                f"critic '{folder}' was trained for {what} '{made_for}', and this version of sgpo has '{found}': "
                "train it again, or install the version that made it"
            )

"""The run folder: made, resumed or replaced on rank 0; what the run was is written to run.json."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sgpo_client.config import TrainConfig
from sgpo_client.errors import ConfigError, RunFolderError

MARKER = "run.json"


def prepare(config: TrainConfig, command: str, problems: Mapping[str, int]) -> Path:
    """Make the run folder and write run.json.

    Args:
        config: the run's.
        command: as it was typed.
        problems: how many there are, by what they are for.

    Raises:
        ConfigError: when the folder holds another run, something that is no run at all, or cannot be made.
        RunFolderError: when nothing can be written in it.
    """
    folder = config.run.output_dir
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run.output_dir = {folder} is a file; give a folder")
    occupied = folder.exists() and any(folder.iterdir())
    if occupied and not config.run.resume:
        _clear(folder, config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"run.output_dir = {folder} cannot be made: {error.strerror}; give another folder") from None
    facts = {
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json"),
        "fingerprint": config.fingerprint(),
        "problems": dict(problems),
        "versions": {name: version(name) for name in ("sgpo", "torch", "transformers")},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}",
    }
    partial = folder / f"{MARKER}.partial"
    try:
        partial.write_text(json.dumps(facts, indent=2) + "\n")
        partial.replace(folder / MARKER)
    except OSError as error:
        raise RunFolderError(f"run.output_dir = {folder} cannot be written ({error.strerror})") from None
    return folder


def _clear(folder: Path, config: TrainConfig) -> None:
    if not config.run.overwrite:
        raise ConfigError(
            f"run.output_dir = {folder} already holds files; choose another folder, go on with "
            "--set run.resume=true, or replace it with --set run.overwrite=true"
        )
    if not (folder / MARKER).is_file():
        raise ConfigError(f"run.output_dir = {folder} holds no former run, so run.overwrite does not remove it")
    shutil.rmtree(folder)

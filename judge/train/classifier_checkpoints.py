"""Checkpoints of a run that may be interrupted at any moment, also while it writes one.

transformers' Trainer writes a checkpoint file by file, its ``trainer_state.json`` last, and deletes an older one after
that: so the newest folder with a whole ``trainer_state.json`` is the one to go on from.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from judge.errors import ConfigError

logger = logging.getLogger(__name__)

RUN: Final = "run.json"
STATE: Final = "trainer_state.json"
FREE: Final = frozenset({"calibration", "device", "evaluation", "log_steps", "save_steps"})
"""Settings that a resumed run may change: they have no part in what is learnt."""
TORCH_WRITER: Final = "inline_container"
"""What torch's RuntimeError names when a file cannot be written."""


def claim(folder: Path, run: Mapping[str, Any]) -> None:
    """Make the folder this run's, or see that it already is.

    Args:
        run: JSON-able; all that decides about the result.

    Raises:
        ConfigError: when another run's checkpoints are there.
    """
    path = folder / RUN
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # a file that is no JSON was being written when the run ended
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        return
    different = sorted(key for key in {*run, *found} - FREE if run.get(key) != found.get(key))
    if different:
        raise ConfigError(
            f"{folder}: holds an interrupted run with other settings ({', '.join(different)}); go on with the same "
            "ones, delete that folder, or give another output"
        )


def last_whole(folder: Path) -> Path | None:
    """The newest whole checkpoint. Half-written ones are deleted."""
    whole = None
    for path in sorted(folder.glob("checkpoint-*"), key=_step):
        if _is_whole(path):
            whole = path
        else:
            logger.warning("%s is half written; deleted", path)
            shutil.rmtree(path)
    return whole


@contextmanager
def room_needed(path: Path, advice: str) -> Iterator[None]:
    """Turn what a full disk raises, in whichever library, into one line.

    Raises:
        OSError: saying what could not be written, and what to do.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and TORCH_WRITER not in str(error):
            raise
        raise OSError(f"{path} could not be written ({error}); {advice}") from error


def _is_whole(path: Path) -> bool:
    try:
        json.loads((path / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _step(path: Path) -> int:
    match = re.fullmatch(r"checkpoint-(\d+)", path.name)
    return int(match[1]) if match else -1

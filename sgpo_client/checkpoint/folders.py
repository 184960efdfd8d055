"""Folders that appear whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path


def temporary_sibling(folder: Path) -> Path:
    """An empty folder beside ``folder`` to fill; what an interrupted attempt left there is removed."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    return temporary


def put_in_place(temporary: Path, folder: Path) -> None:
    """Rename ``temporary`` to ``folder``, replacing a former one."""
    former = folder.with_name(folder.name + ".old")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    temporary.rename(folder)
    shutil.rmtree(former, ignore_errors=True)

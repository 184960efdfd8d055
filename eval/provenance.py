"""Which code made a result."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "sgpo"
TIMEOUT_S: Final = 10.0


def provenance(root: Path | None = None) -> dict[str, Any]:
    """``version``, ``commit`` and ``uncommitted_changes``; None where nothing is known.

    The commit is the one that pip installed from, or that of the checkout that the code lies in.

    Args:
        root: the folder that holds the packages; None: this one's.
    """
    installed = _installed_commit()
    if installed is not None:
        return {"version": version(PACKAGE), "commit": installed, "uncommitted_changes": False}
    root = root or Path(__file__).resolve().parents[1]
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    changes = _git(root, "status", "--porcelain") if commit else None
    return {
        "version": _version(),
        "commit": commit,
        "uncommitted_changes": None if changes is None else bool(changes),
    }


def _version() -> str | None:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


def _installed_commit() -> str | None:
    """What pip wrote down when it installed from a repository (PEP 610)."""
    try:
        text = distribution(PACKAGE).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    commit = json.loads(text).get("vcs_info", {}).get("commit_id") if text else None
    return commit if isinstance(commit, str) else None


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

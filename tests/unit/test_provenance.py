"""Version and commit: from a checkout, from what pip wrote down, and from neither."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from eval import provenance as module
from eval.provenance import provenance


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@x"]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert len(commit) == 40
    assert provenance(tmp_path) == {"version": version("sgpo"), "commit": commit, "uncommitted_changes": False}
    (tmp_path / "a").write_text("2")
    assert provenance(tmp_path)["uncommitted_changes"] is True


def test_no_checkout(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    git(tmp_path, "init", "-q")  # a repository further up is not this code's
    git(tmp_path, "commit", "-qm", "first", "--allow-empty")
    found = provenance(tmp_path / "packages")
    assert (found["commit"], found["uncommitted_changes"]) == (None, None)


def test_installed_from_a_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return json.dumps({"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": "f" * 40}})

    monkeypatch.setattr(module, "distribution", lambda name: Installed())
    assert provenance(tmp_path)["commit"] == "f" * 40


def test_without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert provenance(tmp_path)["commit"] is None
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    assert provenance(tmp_path)["commit"] is None

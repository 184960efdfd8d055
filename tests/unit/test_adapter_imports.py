"""Importing an adapter loads no trainer and no torch."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import sgpo_client.adapters

TRAINERS = ("trl", "verl", "swift", "verifiers", "roll", "slime", "skyrl", "nemo_rl", "areal", "ray", "torch", "numpy")


def test_adapters_import_no_trainer() -> None:
    modules = [f"sgpo_client.adapters.{each.name}" for each in pkgutil.iter_modules(sgpo_client.adapters.__path__)]
    assert "sgpo_client.adapters.trl" in modules
    code = f"import sys, {', '.join(modules)}\nprint([name for name in {TRAINERS} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

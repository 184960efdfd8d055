"""Which package may import which, and that nothing heavy is loaded before it is needed.

``eval`` and ``reward_server`` build on ``judge``; ``sgpo_client`` reaches the server over HTTP only.
"""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {"judge": set(), "reward_server": {"judge"}, "sgpo_client": set(), "eval": {"judge"}}
OURS = {*MAY_IMPORT, "tests", "benchmarks", "examples"}
HEAVY = ("torch", "transformers", "vllm", "datasets", "sklearn", "reasoning_gym", "matplotlib")
COMMANDS = ("judge", "eval", "reward_server", "sgpo_client.train")


def imported_packages(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import, wherever it stands: in functions and type checks as well."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [str(node.module)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        for name in names:
            yield node.lineno, name.partition(".")[0]


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("import judge", ["judge"]),
        ("import os, judge.types as t", ["os", "judge"]),
        ("from judge.types import Record", ["judge"]),
        ("from . import judge", []),
        ("from .judge import x", []),
        ("def f():\n    from eval import x", ["eval"]),
        ("if TYPE_CHECKING:\n    import tests", ["tests"]),
        ("import importlib\nimportlib.import_module('judge.cli')", ["importlib", "judge"]),
        ("__import__('judge')", ["judge"]),
        ("import_module(name)", []),
        ("x = 'import judge'", []),
    ],
)
def test_imports_are_found(source: str, packages: list[str]) -> None:
    assert [package for _, package in imported_packages(source)] == packages


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_imports_only_what_it_may(package: str) -> None:
    forbidden = OURS - MAY_IMPORT[package] - {package}
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    breaches = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imported_packages(path.read_text(encoding="utf-8"))
        if name in forbidden
    ]
    assert not breaches


def heavy_after(code: str) -> list[str]:
    """The heavy packages that a fresh interpreter holds after running ``code``."""
    report = f"print('HEAVY', *[name for name in {HEAVY} if name in sys.modules])"
    script = f"import sys\ntry:\n{textwrap.indent(code, '    ')}\nexcept SystemExit:\n    pass\n{report}"
    done = run([sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    # Coverage and the like, if any, start from the environment; the caller's folder is as a user's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False)


def test_heavy_imports_are_noticed() -> None:
    assert heavy_after("sys.modules['sklearn'] = sys") == ["sklearn"]


@pytest.mark.parametrize(
    "module",
    [
        "judge",
        "judge.types",
        "judge.settings",
        "judge.registry",
        "reward_server.schemas",
        "reward_server.app",
        "sgpo_client.reward_client",
        "sgpo_client.server_process",
        "sgpo_client.config",
        "sgpo_client.data.order",
        "eval",
    ],
)
def test_import_is_light(module: str) -> None:
    assert heavy_after(f"import {module}") == []


@pytest.mark.parametrize("module", COMMANDS)
def test_help_is_light(module: str) -> None:
    code = f"import runpy\nsys.argv = ['x', '--help']\nrunpy.run_module('{module}', run_name='__main__')"
    assert heavy_after(code) == []


@pytest.mark.parametrize("module", COMMANDS)
def test_help_answers_within_a_second(module: str) -> None:
    """Processor time, best of three: a busy machine stretches the time on the clock, not the work."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run([sys.executable, "-m", module, "--help"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: sgpo-")
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1.0

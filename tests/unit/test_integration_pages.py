"""The pages and examples for trainers against what is there: names, routes, options, files."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from reward_server.config import LimitSettings
from reward_server.dialects.openrlhf import OpenRLHFRequest, samples_of
from reward_server.probe.trainers import TRAINERS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").iterdir())
PAGES = sorted((ROOT / "docs" / "integrations").glob("*.md"))
TEXTS = [path for path in EXAMPLES + PAGES if path.suffix in {".md", ".py", ".sh", ".yaml"}]


def by_suffix(suffix: str) -> list[Path]:
    return [path for path in EXAMPLES if path.suffix == suffix]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_what_is_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for module, name in re.findall(r"\b(sgpo_client\.adapters\.\w+)[.:]([A-Za-z]\w+)", text):
        spec = find_spec(module)
        assert spec is not None, module
        assert spec.origin is not None
        assert re.search(rf"\b{name}\b", Path(spec.origin).read_text(encoding="utf-8")), f"{module} has no {name}"
    for dialect in re.findall(r"--dialect (\w+)", text):
        assert dialect in TRAINERS
    for script in re.findall(r"\b((?:benchmarks|tests|examples|configs)/[\w/]+\.(?:py|toml|sh|yaml))\b", text):
        theirs = script.startswith(("examples/math/", "examples/start_rlvr", "examples/run_grpo"))
        assert theirs or (ROOT / script).exists(), script


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert link.startswith("http") or (path.parent / link).exists(), link


@pytest.mark.parametrize("path", by_suffix(".py"), ids=lambda path: path.name)
def test_python_examples_are_python(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "it says how to run it"


@pytest.mark.parametrize("path", by_suffix(".sh"), ids=lambda path: path.name)
def test_shell_examples_are_shell(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("path", by_suffix(".yaml"), ids=lambda path: path.name)
def test_yaml_examples_are_tables(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


@pytest.mark.parametrize("key", ["", "k" * 40])
def test_openrlhf_and_the_probe_get_the_servers_key(tmp_path: Path, key: str) -> None:
    for name in ("python", "sgpo-serve"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/{name}.arguments"\n')
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SERVER": "http://host:1"} | (
        {"SGPO_API_KEY": key} if key else {}
    )
    script = ["bash", str(ROOT / "examples" / "openrlhf.sh"), "labelled.jsonl", "model"]
    subprocess.run(script, check=True, timeout=60, env=environment)
    trained = (tmp_path / "python.arguments").read_text().splitlines()
    probed = (tmp_path / "sgpo-serve.arguments").read_text().splitlines()
    url = trained[trained.index("--reward.remote_url") + 1]
    assert url == "http://host:1/v1/openrlhf" + (f"?key={key}" if key else "")
    assert probed[-2:] == (["--key-env", "SGPO_API_KEY"] if key else ["--url", "http://host:1"])


def test_the_labels_for_openrlhf_are_read_by_the_server(tmp_path: Path) -> None:
    problems, output = tmp_path / "problems.jsonl", tmp_path / "labelled.jsonl"
    problems.write_text('{"question": "What is 40 + 2?", "answer": 42}\n\n{"question": "6 * 7?", "answer": "42"}\n')
    command = [sys.executable, str(ROOT / "examples" / "openrlhf_data.py"), str(problems), str(output)]
    subprocess.run([*command, "--samples", "4", "--run", "seed-0"], check=True, timeout=120)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    prompts = [f"<|im_start|>user\n{row['prompt'][0]['content']}<|im_end|>\n<|im_start|>assistant\n" for row in rows]
    body = OpenRLHFRequest(query=[each + "42" for each in prompts], prompts=prompts, labels=[r["label"] for r in rows])
    samples = samples_of(body, LimitSettings(), reply_by=0.0, tenant="", group_size=None)
    assert [sample.problem for sample in samples] == ["What is 40 + 2?", "6 * 7?"]
    assert [sample.label.answer for sample in samples] == ["42", "42"]
    assert [sample.label.group_id for sample in samples] == ["seed-0:row-0", "seed-0:row-1"]
    assert {sample.label.group_size for sample in samples} == {4}
    problems.write_text('{"question": "What is 40 + 2?"}\n')
    failed = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert failed.returncode == 1
    assert "line 1: no 'answer'" in failed.stderr

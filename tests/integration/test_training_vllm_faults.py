"""A run whose vLLM server goes away in the middle."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from sgpo_client.rollout.vllm_check import PROBE
from tests.integration.training_run import ROOT, command, environment, rows, sets, write_config
from tests.integration.vllm_stub import TOKENS, VllmStub, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PER_STEP = 12
"""Responses, as `write_config` has it."""


class Counting(VllmStub):
    """Says when the second step is being sampled."""

    def __init__(self, policy: Path) -> None:
        said = {"model": str(policy), "logprobs_mode": "processed_logprobs", "max_model_len": 4096}
        tokenizer = AutoTokenizer.from_pretrained(policy)
        hf_config = json.loads((policy / "config.json").read_text())
        super().__init__(said, hf_config, tokenizer(PROBE, add_special_tokens=False)["input_ids"])
        self.in_second_step = threading.Event()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if len(self.sampled) > PER_STEP:
            self.in_second_step.set()
        return super().answer(path, body)


def start(config: Path, port: int, folder: Path, deadline_s: float) -> subprocess.Popen[str]:
    overrides = ["rollout.engine=vllm_server", f"rollout.vllm.url=http://127.0.0.1:{port}", "rollout.batch_size=2"]
    overrides += [f"rollout.vllm.deadline_s={deadline_s}", "run.export=false", "eval.enabled=false"]
    arguments = command(config, *sets(f"run.output_dir={folder}", *overrides))
    return subprocess.Popen(arguments, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True)


def test_gone_for_good_leaves_a_checkpoint_and_a_message(tiny_policy: Path, tmp_path: Path) -> None:
    config, folder, stub = write_config(tmp_path, tiny_policy), tmp_path / "run", Counting(tiny_policy)
    with serving(stub) as port:
        process = start(config, port, folder, deadline_s=2)
        assert stub.in_second_step.wait(240)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 1, errors
    assert f"vLLM at http://127.0.0.1:{port} gave no answer within 2 s (rollout.vllm.deadline_s)" in errors
    assert "Stopped after step 1, the checkpoint is in" in errors
    assert [row["step"] for row in rows(folder / "metrics.jsonl")] == [1]
    assert any((folder / "checkpoints").iterdir())


def test_away_for_a_while_is_waited_for(tiny_policy: Path, tmp_path: Path) -> None:
    config, folder = write_config(tmp_path, tiny_policy), tmp_path / "run"
    first, second = Counting(tiny_policy), Counting(tiny_policy)
    with serving(first) as port:
        process = start(config, port, folder, deadline_s=200)
        assert first.in_second_step.wait(240)
    with serving(second, port):
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    metrics = rows(folder / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert [(row["num_groups"], row["response_tokens_mean"]) for row in metrics] == [(3, len(TOKENS))] * 3
    # The new server had forgotten the weights: it got them before any of its responses counted.
    assert second.version == first.version != "default"

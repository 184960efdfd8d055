"""The real vLLM, in the process and as a server: greedy responses are transformers', whatever the weights."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.training_run import rows, sets, sgpo_train, write_config

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "VLLM_SERVER_DEV_MODE": "1"}


def compared(*arguments: str) -> dict[str, Any]:
    """What the program found."""
    program = [sys.executable, "-m", "tests.integration.vllm_program", *arguments]
    result = subprocess.run(program, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def check(found: dict[str, Any]) -> None:
    texts = [tuple(step["texts"]) for step in found["steps"]]
    assert len(set(texts)) == 3, "new weights must change the responses"
    for step in found["steps"]:
        assert all(step["same"]), found
        assert step["apart"] < 1e-3
    wrong = [name for name, value in found.items() if value is False]
    assert not wrong, found


@contextmanager
def vllm_server(model: Path, log: Path) -> Iterator[str]:
    """Its URL, perhaps before it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", "128", "--max-num-seqs", "8", "--kv-cache-memory-bytes", str(1 << 29)]
    command += ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm", "--enable-scale-out"]
    command += ["--worker-extension-cls", "sgpo_client.rollout.vllm_worker.WeightReceiver"]
    command += ["--weight-transfer-config", '{"backend": "sgpo"}']
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_in_the_process(smollm2: Path) -> None:
    check(compared(str(smollm2)))


def test_as_a_server(smollm2: Path, tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    with vllm_server(smollm2, log) as url:
        try:
            check(compared(str(smollm2), url))
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe server's log:\n{log.read_text()[-6000:]}") from None


def test_two_ranks_train_on_what_vllm_samples(smollm2: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, smollm2)
    overrides = ["run.steps=2", "run.export=false", "eval.enabled=false", "rollout.engine=vllm"]
    overrides += ["rollout.prompts_per_step=2", "rollout.max_new_tokens=64", "rollout.max_prompt_tokens=400"]
    overrides += ["rollout.vllm.kv_cache_gb=0.5", f"run.output_dir={tmp_path / 'run'}", "optim.lr=1e-4"]
    result = sgpo_train(config, "--nproc", 2, *sets(*overrides), timeout_s=800)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    metrics = rows(tmp_path / "run" / "metrics.jsonl")
    assert [row["num_groups"] for row in metrics] == [2, 2]
    assert all(row["num_trained_sequences"] and row["grad_norm"] > 0 for row in metrics), metrics
    # Both compute in float32: what is left of a mismatch is the order of sums. Old weights would be far above.
    assert all(row["mismatch_logprob"] < 1e-3 for row in metrics), metrics

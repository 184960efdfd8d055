"""Training on recorded responses as a person does it: the command lines, a real server, a tiny random policy."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = ("What is 2 + 3?", "What is 4 * 5 - 2?", "Ann has 3 bags of 4 apples. How many apples?")
ANSWERS = ("5", "18", "12")
RESPONSES = (
    "First add the two numbers.\nThe answer is 99.",
    "We multiply before we subtract.\nSo it is 17.\nThe answer is 17.",
    "I do not know.\nThe answer is 1.",
    "Count them one by one, 1, 2, 3.\nThe answer is 3.",
)
GOOD = (0, 2)
"""Responses with the higher rewards."""

RUN = """
[run]
steps = {steps}
save_every = 1
[model]
name = "{model}"
dtype = "float32"
[offline]
path = "{path}"
[rollout]
prompts_per_step = 3
[optim]
lr = 3e-3
[reward]
deadline_s = 60
server_config = "{server}"
"""
JUDGE = """
[judge]
kind = "scripted"
first_error = 1
[defences]
enabled = false
"""


def sgpo(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_responses(path: Path, **fields: Any) -> Path:
    with path.open("w") as file:
        for problem, answer in zip(PROBLEMS, ANSWERS, strict=True):
            for index, text in enumerate(RESPONSES):
                row = {"problem": problem, "reference_answer": answer, "response": text}
                row |= {name: make(index) if callable(make) else make for name, make in fields.items()}
                file.write(json.dumps(row) + "\n")
    return path


def write_config(folder: Path, model: Path, path: Path, steps: int) -> Path:
    (folder / "server.toml").write_text(JUDGE)
    target = folder / "run.toml"
    target.write_text(RUN.format(steps=steps, model=model, path=path, server=folder / "server.toml"))
    return target


def mean_logprobs(folder: Path, tokenizer: Any) -> list[float]:
    """Of each response, over its tokens and the problems, without any prompt template: only differences count."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    found = []
    for text in RESPONSES:
        total = []
        for problem in PROBLEMS:
            message = [{"role": "user", "content": problem}]
            prompt = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
            start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
            ids = torch.tensor([tokenizer(prompt + text, add_special_tokens=False)["input_ids"]])
            with torch.no_grad():
                logprobs = torch.log_softmax(model(ids).logits[0, :-1], dim=-1)
            total.append(float(logprobs.gather(1, ids[0, 1:, None])[start - 1 :].mean()))
        found.append(sum(total) / len(total))
    return found


def test_better_responses_become_more_probable(tmp_path: Path, tiny_policy: Path) -> None:
    path = write_responses(tmp_path / "responses.jsonl", reward=lambda index: 0.9 if index in GOOD else 0.1)
    config = write_config(tmp_path, tiny_policy, path, steps=8)
    folder = tmp_path / "run"
    result = sgpo("sgpo_client.train", config, "--nproc", 2, "--set", f"run.output_dir={folder}")
    assert result.returncode == 0, result.stderr
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    before, after = mean_logprobs(tiny_policy, tokenizer), mean_logprobs(folder / "model", tokenizer)
    rise = [new - old for new, old in zip(after, before, strict=True)]
    assert min(rise[i] for i in GOOD) > max(rise[i] for i in range(4) if i not in GOOD)
    metrics = rows(folder / "metrics.jsonl")
    assert metrics[0]["clip_share"] == 0, "the first step begins at the policy that the ratios are taken to"
    assert any(row["clip_share"] > 0 for row in metrics[1:]), "later ones have moved away from it"
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert not (folder / "offline.jsonl").exists(), "with rewards in the file nobody is asked"


def test_the_server_is_asked_once_and_a_resume_needs_none(tmp_path: Path, tiny_policy: Path) -> None:
    path = write_responses(tmp_path / "responses.jsonl")
    config = write_config(tmp_path, tiny_policy, path, steps=4)
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    settings = [f"run.output_dir={straight}", "run.keep_checkpoints=4", "run.export=false"]
    result = sgpo("sgpo_client.train", config, *[part for text in settings for part in ("--set", text)])
    assert result.returncode == 0, result.stderr
    kept = rows(straight / "offline.jsonl")
    assert len(kept) == len(PROBLEMS) * len(RESPONSES)
    assert {row["status"] for row in kept} == {"judged"}
    shutil.copytree(straight, resumed)
    for step in (3, 4):  # as if the run had been killed after the second
        shutil.rmtree(resumed / "checkpoints" / f"step-{step:06d}")
    with socket.socket() as held:  # bound and not listening: whoever asks is refused
        held.bind(("127.0.0.1", 0))
        nobody = f"reward.url=http://127.0.0.1:{held.getsockname()[1]}"
        settings = [f"run.output_dir={resumed}", "run.resume=true", "run.export=false", nobody]
        result = sgpo("sgpo_client.train", config, *[part for text in settings for part in ("--set", text)])
    assert result.returncode == 0, result.stderr
    assert "resumed after step 2 of 4" in result.stderr
    losses = [[row["loss"] for row in rows(folder / "metrics.jsonl")] for folder in (straight, resumed)]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 4


def test_verdicts_of_sgpo_judge(tmp_path: Path, tiny_policy: Path) -> None:
    path = write_responses(tmp_path / "responses.jsonl", final_answer_correct=False)
    verdicts = tmp_path / "verdicts.jsonl"
    judged = sgpo("judge", "run", "--judge", "rules", "--input", path, "--output", verdicts, "--known-wrong")
    assert judged.returncode == 0, judged.stderr
    config = write_config(tmp_path, tiny_policy, path, steps=1)
    folder = tmp_path / "run"
    settings = [f"run.output_dir={folder}", f"offline.verdicts={verdicts}"]
    result = sgpo("sgpo_client.train", config, *[part for text in settings for part in ("--set", text)])
    assert result.returncode == 0, result.stderr
    [row] = rows(folder / "metrics.jsonl")
    shares = [line["paid_rts"] for line in rows(verdicts) if line["status"] == "judged"]
    assert row["unscored_share"] == pytest.approx(1 - len(shares) / len(rows(verdicts)))
    if shares:
        assert row["rts_mean"] == pytest.approx(sum(shares) / len(shares))
    assert not (folder / "offline.jsonl").exists()


def test_a_bad_row_ends_the_run_with_its_place(tmp_path: Path, tiny_policy: Path) -> None:
    path = write_responses(tmp_path / "responses.jsonl", reward="high")
    config = write_config(tmp_path, tiny_policy, path, steps=1)
    result = sgpo("sgpo_client.train", config, "--set", f"run.output_dir={tmp_path / 'run'}")
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "responses.jsonl line 1: 'reward'" in line

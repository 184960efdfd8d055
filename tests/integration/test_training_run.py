"""`sgpo-train` as a person runs it: processes, sockets and a real server, with a tiny random policy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.integration.training_run import rows, sets, sgpo_train, write_config


@pytest.fixture
def config(tmp_path: Path, tiny_policy: Path) -> Path:
    return write_config(tmp_path, tiny_policy)


def without_times(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if not key.startswith("time_") and key != "tokens_per_s"}


def test_two_ranks_leave_a_whole_run_folder(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = sgpo_train(config, "--nproc", 2, "--set", f"run.output_dir={folder}")
    assert result.returncode == 0, result.stderr
    metrics = rows(folder / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert all(row["num_groups"] == 3 and row["all_negative_share"] == 1 for row in metrics)
    assert any(row["num_rescued"] and row["grad_norm"] > 0 for row in metrics), metrics
    assert [row["step"] for row in rows(folder / "eval.jsonl")] == [0, 3]
    assert "<html" in (folder / "report.html").read_text()
    assert (folder / "checkpoints").is_dir()
    assert "step 3/3" in result.stderr
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder / "model")


@pytest.mark.slow
@pytest.mark.parametrize("nproc", [1, 2])
def test_resume_takes_the_same_next_step_bit_for_bit(config: Path, tmp_path: Path, nproc: int) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    common = [config, "--nproc", nproc, "--set", "eval.enabled=false"]
    for folder, extra in (
        (straight, []),
        (resumed, ["run.steps=2", "run.export=false"]),
        (resumed, ["run.resume=true"]),
    ):
        result = sgpo_train(*common, *sets(f"run.output_dir={folder}", *extra))
        assert result.returncode == 0, result.stderr
    expected, actual = rows(straight / "metrics.jsonl"), rows(resumed / "metrics.jsonl")
    assert list(map(without_times, actual)) == list(map(without_times, expected))
    learnt = [(row["grad_norm"] or 0) > 0 for row in expected]
    assert any(learnt[:2]), "the checkpoint must hold an optimiser that has stepped"
    assert learnt[2], "the third step must have learnt something"
    weights, reference = (load_file(folder / "model" / "model.safetensors") for folder in (resumed, straight))
    assert weights.keys() == reference.keys()
    assert all(torch.equal(weights[name], reference[name]) for name in weights)


@pytest.mark.slow
def test_grpo_asks_no_judge(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = sgpo_train(config, "--set", "algo.name=grpo", "--set", "run.steps=1", "--set", f"run.output_dir={folder}")
    assert result.returncode == 0, result.stderr
    [row] = rows(folder / "metrics.jsonl")
    assert row["all_negative_share"] == 1
    assert row["num_rescued"] == 0
    assert row["num_trained_sequences"] == 0
    assert row["reward_mean"] == 0


@pytest.mark.slow
def test_several_epochs_clip_against_the_policy_that_sampled(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    overrides = ["algo.epochs=3", "run.steps=1", f"run.output_dir={folder}", "optim.lr=0.05"]
    result = sgpo_train(config, *sets(*overrides))
    assert result.returncode == 0, result.stderr
    [row] = rows(folder / "metrics.jsonl")
    assert row["clip_share"] > 0, "with so large a learning rate the third pass must leave the clipping range"


VARIANTS = {
    "rloo, outcome rewards only": ["algo.name=rloo"],
    "dapo with every wrong response judged": ["algo.name=dapo", "sgpo.groups=every_wrong", "algo.mask_truncated=false"],
    "prefix credit and a reference model": [
        "sgpo.credit=prefix",
        "sgpo.suffix_penalty=0.01",
        "sgpo.scale=std_floor",
        "sgpo.weight_end=0.5",
        "sgpo.schedule=linear",
        "algo.kl_coef=0.1",
        "algo.epochs=2",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_algorithm_runs(name: str, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    overrides = ["run.steps=2", "eval.enabled=false", "run.export=false", f"run.output_dir={folder}", *VARIANTS[name]]
    result = sgpo_train(config, *sets(*overrides))
    assert result.returncode == 0, result.stderr
    metrics = rows(folder / "metrics.jsonl")
    assert len(metrics) == 2
    learns = name != "rloo, outcome rewards only"
    assert all((row["num_trained_sequences"] > 0) == learns for row in metrics), metrics
    if "algo.kl_coef=0.1" in VARIANTS[name]:
        assert all(row["kl"] is not None for row in metrics)
        assert metrics[1]["kl"] > 0

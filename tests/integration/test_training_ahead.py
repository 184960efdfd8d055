"""Runs whose batches are sampled ahead, and whose groups without differences are replaced."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.integration.training_run import rows, sets, sgpo_train, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def config(tmp_path: Path, tiny_policy: Path) -> Path:
    return write_config(tmp_path, tiny_policy)


def run(config: Path, folder: Path, *overrides: str) -> list[dict[str, object]]:
    result = sgpo_train(config, *sets(f"run.output_dir={folder}", "run.export=false", *overrides))
    assert result.returncode == 0, result.stderr
    return rows(folder / "metrics.jsonl")


def test_a_stale_run_is_the_same_every_time_and_learns_from_older_weights(config: Path, tmp_path: Path) -> None:
    first, second = (
        run(config, tmp_path / name, "rollout.staleness=1", "eval.enabled=false") for name in ("first", "second")
    )
    times = [name for name in first[0] if name.startswith("time_")] + ["tokens_per_s"]
    plain = [
        [{key: value for key, value in row.items() if key not in times} for row in each] for each in (first, second)
    ]
    assert plain[0] == plain[1]
    assert [row["step"] for row in first] == [1, 2, 3]
    # The first batch is from the weights that are trained; later ones are from those before the last update.
    assert first[0]["mismatch_logprob"] == pytest.approx(0, abs=1e-4)
    assert first[1]["mismatch_logprob"] > 1e-3
    assert first[1]["mismatch_max_ratio"] > 1


def test_a_fresh_run_has_no_mismatch_to_tell_of(config: Path, tmp_path: Path) -> None:
    [row] = run(config, tmp_path / "run", "run.steps=1", "eval.enabled=false")
    assert row["num_trained_sequences"] > 0
    assert row["mismatch_logprob"] is None


def test_groups_without_differences_are_replaced_and_counted(config: Path, tmp_path: Path) -> None:
    [row] = run(config, tmp_path / "run", "algo.name=dapo", "algo.dynamic_sampling=2", "run.steps=1")
    # A random policy is always wrong: under outcome rewards no group differs, and three rounds of three are sampled.
    assert row["num_replaced_groups"] == 9
    assert row["num_groups"] == 9
    assert row["num_trained_sequences"] == 0


def test_a_vllm_server_that_is_away_stops_the_run_with_a_message(config: Path, tmp_path: Path) -> None:
    overrides = ["rollout.engine=vllm_server", "rollout.vllm.url=http://127.0.0.1:9", "rollout.vllm.deadline_s=1"]
    result = sgpo_train(config, *sets(f"run.output_dir={tmp_path / 'run'}", *overrides))
    assert result.returncode == 1
    assert "vLLM at http://127.0.0.1:9 gave no answer within 1 s (rollout.vllm.deadline_s)" in result.stderr


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_vllm_that_is_not_installed_is_named(config: Path, tmp_path: Path) -> None:
    result = sgpo_train(config, *sets(f"run.output_dir={tmp_path / 'run'}", "rollout.engine=vllm"))
    assert result.returncode == 2
    assert "rollout.engine = 'vllm' needs vLLM" in result.stderr

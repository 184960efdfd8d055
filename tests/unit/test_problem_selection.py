"""Which problems are held out, how many are trained on, and in what order."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.data.order import ProblemSampler, load_problems
from sgpo_client.data.settings import DataSettings
from sgpo_client.errors import DataError
from sgpo_client.types import Problem
from tests.unit.problem_rows import ids, rows, write


def test_held_out_problems_are_disjoint_and_do_not_depend_on_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", rows(50))
    whole = DataSettings(path=path, num_eval_problems=10, seed=3)
    few = whole.model_copy(update={"num_problems": 7})
    train, held_out = load_problems(whole, "train"), load_problems(whole, "eval")
    assert (len(train), len(held_out)) == (40, 10)
    assert ids(train) | ids(held_out) == {f"p-{i}" for i in range(1, 51)}
    assert load_problems(few, "eval") == held_out
    assert load_problems(few, "train") == train[:7]
    assert load_problems(whole.model_copy(update={"seed": 4}), "eval") != held_out


def test_no_evaluation_problems_by_default(tmp_path: Path) -> None:
    assert load_problems(DataSettings(path=write(tmp_path / "p.jsonl", rows(3))), "eval") == []


def test_evaluation_file_takes_its_problems_from_the_training_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = DataSettings(
        path=write(tmp_path / "train.jsonl", rows(20)),
        eval_path=write(tmp_path / "test.jsonl", rows(30)[15:]),
        num_eval_problems=15,
    )
    train, held_out = load_problems(settings, "train"), load_problems(settings, "eval")
    assert ids(held_out) == {f"test-{i}" for i in range(1, 16)}
    assert ids(train) == {f"train-{i}" for i in range(1, 16)}
    assert "5 training problems left out" in caplog.text


def test_missing_evaluation_file_names_its_setting(tmp_path: Path) -> None:
    settings = DataSettings(
        path=write(tmp_path / "p.jsonl", rows(3)), eval_path=tmp_path / "none.jsonl", num_eval_problems=1
    )
    with pytest.raises(DataError, match=r"none\.jsonl: no such file; set data\.eval_path"):
        load_problems(settings, "eval")


def test_holding_out_everything_is_an_error(tmp_path: Path) -> None:
    settings = DataSettings(path=write(tmp_path / "p.jsonl", rows(3)), num_eval_problems=3)
    with pytest.raises(DataError, match=r"no problem is left to train on.*data\.num_eval_problems = 3"):
        load_problems(settings, "train")


def test_fewer_problems_than_asked_for_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "p.jsonl", rows(3))
    with caplog.at_level(logging.WARNING):
        assert len(load_problems(DataSettings(path=path, num_problems=5), "train")) == 3
    assert "data.num_problems = 5, but there are only 3" in caplog.text


def numbered(count: int) -> list[Problem]:
    return [Problem(id=str(i), text=f"{i}?", answer=str(i)) for i in range(count)]


@given(st.integers(1, 40), st.integers(1, 17), st.integers(0, 5), st.integers(0, 3))
def test_every_problem_comes_once_an_epoch(count: int, batch_size: int, seed: int, epoch: int) -> None:
    sampler = ProblemSampler(numbered(count), seed)
    steps = range((epoch + 1) * count // batch_size + 1)
    order = [problem.id for step in steps for problem in sampler.batch(step, batch_size)]
    assert Counter(order[epoch * count : (epoch + 1) * count]) == Counter(p.id for p in numbered(count))


def test_a_step_has_the_same_batch_in_a_new_run() -> None:
    first = ProblemSampler(numbered(100), seed=1)
    batches = [first.batch(step, 8) for step in range(40)]
    resumed = ProblemSampler(numbered(100), seed=1)
    assert [resumed.batch(step, 8) for step in (39, 12, 13, 39)] == [batches[39], batches[12], batches[13], batches[39]]
    assert ProblemSampler(numbered(100), seed=2).batch(0, 8) != batches[0]


def test_epochs_have_different_orders() -> None:
    sampler = ProblemSampler(numbered(50), seed=0)
    assert sampler.batch(0, 50) != sampler.batch(1, 50)


def test_order_of_a_seed_never_changes() -> None:
    """A checkpoint of an older version of the code goes on with the same problems."""
    assert "".join(problem.id for problem in ProblemSampler(numbered(10), seed=0).batch(0, 10)) == "5032786419"

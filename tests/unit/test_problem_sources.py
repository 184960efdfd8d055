"""Problems from reasoning-gym and hub data sets, and settings that name no source of problems."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sgpo_client.data.order import load_problems
from sgpo_client.data.settings import DataSettings
from sgpo_client.errors import ConfigError, DataError, SgpoError
from tests.unit.problem_rows import ids, rows, write


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DataSettings(), "data.path is not set"),
        (DataSettings(source="hub"), "data.name is not set"),
        (DataSettings(source="reasoning_gym", name="gsm_symbolic"), "data.num_problems is not set"),
        (DataSettings(source="reasoning_gym", num_problems=1), "data.name = ''.*gsm_symbolic"),
        (DataSettings(source="reasoning_gym", name="gsm_symbol", num_problems=1), "did you mean 'gsm_symbolic'"),
        (
            DataSettings(source="reasoning_gym", name="gsm_symbolic", num_problems=1, task_options={"difficulty": 2.0}),
            "data.task_options = {'difficulty': 2.0}: 'gsm_symbolic' refuses",
        ),
        (
            DataSettings(source="reasoning_gym", name="chain_sum", num_problems=1, task_options={"max_digit": 2}),
            "data.task_options.*max_digit",
        ),
    ],
)
def test_wrong_settings_are_named(settings: DataSettings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_problems(settings, "train")


def test_gsm_symbolic() -> None:
    settings = DataSettings(source="reasoning_gym", name="gsm_symbolic", num_problems=300, num_eval_problems=50, seed=5)
    train, held_out = load_problems(settings, "train"), load_problems(settings, "eval")
    assert (len(train), len(held_out)) == (300, 50)
    texts = {problem.text for problem in train + held_out}
    assert len(texts) == len(ids(train + held_out)) == 350
    for problem in train + held_out:
        assert problem.solution is not None
        assert float(problem.solution.rpartition("####")[2]) == float(problem.answer)
    assert load_problems(settings, "train") == train
    few = settings.model_copy(update={"num_problems": 10})
    assert load_problems(few, "train") == train[:10]
    assert load_problems(few, "eval") == held_out
    assert load_problems(settings.model_copy(update={"seed": 6}), "train") != train


def test_generated_problem_can_be_easy() -> None:
    settings = DataSettings(
        source="reasoning_gym",
        name="chain_sum",
        num_problems=20,
        task_options={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
    )
    for problem in load_problems(settings, "train"):
        left, sign, right = re.fullmatch(r".*: (\d) ([+-]) (\d) =", problem.text).groups()  # type: ignore[union-attr]
        assert int(problem.answer) == int(left) + int(right) * (1 if sign == "+" else -1)
        assert problem.solution is None


def test_too_few_different_generated_problems() -> None:
    settings = DataSettings(
        source="reasoning_gym",
        name="chain_sum",
        num_problems=5000,
        task_options={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
    )
    with pytest.raises(DataError, match=r"different problems among .* lower data.num_problems"):
        load_problems(settings, "train")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_hub_loader_reads_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    for split, part in (("train", rows(12)), ("test", rows(15)[12:])):
        if form == "jsonl":
            write(folder / f"{split}.jsonl", part)
        else:
            datasets.Dataset.from_list(part).to_parquet(folder / f"{split}.parquet")
    settings = DataSettings(source="hub", name=str(folder), eval_split="test", num_eval_problems=3)
    train, held_out = load_problems(settings, "train"), load_problems(settings, "eval")
    assert {problem.text for problem in train} == {row["question"] for row in rows(12)}
    assert {problem.text for problem in held_out} == {row["question"] for row in rows(15)[12:]}
    inside = load_problems(settings.model_copy(update={"eval_split": None}), "eval")
    assert ids(inside) < ids(train)
    with pytest.raises(DataError, match=r"data\.split"):
        load_problems(settings.model_copy(update={"split": "nope"}), "train")


def test_every_error_is_one_line(tmp_path: Path) -> None:
    for settings in (DataSettings(path=tmp_path / "no"), DataSettings(source="hub", name=str(tmp_path / "no"))):
        with pytest.raises(SgpoError) as caught:
            load_problems(settings, "train")
        assert "\n" not in str(caught.value)

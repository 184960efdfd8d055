"""Problems from files, hub data sets and reasoning-gym; what is wrong with them; and the order of training."""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.data import ProblemSampler, load_problems
from sgpo_client.data_problems import final_answer
from sgpo_client.data_settings import DataSettings
from sgpo_client.errors import ConfigError, DataError, SgpoError
from sgpo_client.types import Problem


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(count: int) -> list[dict[str, Any]]:
    return [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(count)]


def load_row(tmp_path: Path, row: Any, **settings: Any) -> list[Problem]:
    return load_problems(DataSettings(path=write(tmp_path / "p.jsonl", [row]), **settings), "train")


def ids(problems: list[Problem]) -> set[str]:
    return {problem.id for problem in problems}


def test_gsm8k_train(data_dir: Path) -> None:
    settings = DataSettings(path=data_dir / "gsm8k" / "train.jsonl.gz")
    problems = {problem.id: problem for problem in load_problems(settings, "train")}
    assert len(problems) == 7473
    first = problems["train-1"]
    assert first.text.startswith("Natalia sold clips to 48 of her friends")
    assert first.answer == "72"
    assert first.solution is not None
    assert first.solution.startswith("Natalia sold 48/2")
    assert first.solution.endswith("#### 72")
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", problem.answer) for problem in problems.values())


def test_fields_of_another_data_set(data_dir: Path) -> None:
    settings = DataSettings(
        path=data_dir / "math" / "math500.jsonl.gz", problem_field="problem", solution_field="solution"
    )
    problem = next(p for p in load_problems(settings, "train") if p.id == "math500-1")
    assert problem.answer == r"\left( 3, \frac{\pi}{2} \right)"
    assert problem.solution is not None
    assert problem.solution.startswith("We have that")


def test_plain_and_gzipped_are_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path / "p.jsonl", rows(5))
    zipped = tmp_path / "p.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert load_problems(DataSettings(path=plain), "train") == load_problems(DataSettings(path=zipped), "train")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("5", "5"),
        ("So 1,080.\n#### 1,080", "1080"),
        ("a #### b #### -109,200,000 ", "-109200000"),
        ("#### $2,125.50", "$2125.50"),
        ("(1,2)", "(1,2)"),
        ("1,23", "1,23"),
        ("{100,200,300}", "{100,200,300}"),
        ("x####", ""),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(("value", "answer"), [(27.0, "27"), (3, "3"), (0.5, "0.5"), (" 12 ", "12"), (-1, "-1")])
def test_answers_may_be_numbers(tmp_path: Path, value: Any, answer: str) -> None:
    assert load_row(tmp_path, {"question": "?", "answer": value})[0].answer == answer


def test_only_a_worked_answer_is_a_solution(tmp_path: Path) -> None:
    assert load_row(tmp_path, {"question": "?", "answer": "5"})[0].solution is None
    assert load_row(tmp_path, {"question": "?", "answer": "2+3\n#### 5"})[0].solution == "2+3\n#### 5"
    assert load_row(tmp_path, {"question": "?", "answer": "5", "how": None}, solution_field="how")[0].solution is None


@pytest.mark.parametrize(
    ("row", "settings", "words"),
    [
        (
            {"problem": "?", "answer": "5"},
            {},
            ["line 1", "no field 'question'", "problem, answer", "data.problem_field"],
        ),
        ({"question": "", "answer": "5"}, {}, ["line 1", "'question' is empty"]),
        ({"question": 7, "answer": "5"}, {}, ["line 1", "'question' is of type int: 7"]),
        ({"question": "?"}, {}, ["line 1", "no field 'answer'", "data.answer_field", "data.skip_unanswered"]),
        ({"question": "?", "answer": None}, {}, ["line 1", "'answer' is empty", "data.skip_unanswered = true"]),
        ({"question": "?", "answer": " "}, {}, ["line 1", "'answer' is empty"]),
        ({"question": "?", "answer": "x ####"}, {}, ["line 1", "no answer"]),
        ({"question": "?", "answer": float("nan")}, {}, ["line 1", "no answer"]),
        (
            {"question": "?", "answer": ["5"]},
            {"skip_unanswered": True},
            ["line 1", "'answer' is of type list", "['5']"],
        ),
        ({"question": "?", "answer": True}, {}, ["line 1", "'answer' is of type bool"]),
        ({"question": "?", "answer": float("inf")}, {}, ["line 1", "'answer' is of type float: inf"]),
        ({"question": "?", "answer": "5"}, {"solution_field": "how"}, ["line 1", "no field 'how'"]),
        ({"question": "?", "answer": "5", "how": [1]}, {"solution_field": "how"}, ["'how' is of type list"]),
        ([1, 2], {}, ["line 1", "holds a list", "one JSON object"]),
    ],
)
def test_faulty_row_names_row_field_and_setting(
    tmp_path: Path, row: Any, settings: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        load_row(tmp_path, row, **settings)
    assert "p.jsonl" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_row_number_counts_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"question": "a", "answer": "1"}\n\n{"question": "b"}\n')
    with pytest.raises(DataError, match=r"p\.jsonl line 3"):
        load_problems(DataSettings(path=path), "train")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.jsonl", None, ["no such file", "data.path"]),
        ("empty.jsonl", b"", ["holds no problem"]),
        ("blank.jsonl", b"\n\n", ["holds no problem"]),
        ("bad.jsonl", b'{"question": "a", "answer": "1"}\n{"question": ', ["line 2", "not JSON"]),
        ("array.json", b'[\n{"question": "a", "answer": "1"}]', ["line 1", "not JSON", "one JSON object"]),
        ("latin1.jsonl", b'{"question": "\xe9"}', ["line 1", "not JSON"]),
        ("deep.jsonl", b"[" * 100_000, ["line 1", "not JSON"]),
        ("plain.jsonl.gz", b"{}", ["cannot be read", "data.path"]),
        ("cut.jsonl.gz", gzip.compress(b'{"question": "a", "answer": "1"}\n' * 99)[:-9], ["cannot be read"]),
        ("folder", "folder", ["cannot be read", "data.path"]),
    ],
    ids=["missing", "empty", "blank", "bad", "array", "latin1", "deep", "plain-gz", "cut-gz", "folder"],
)
def test_unreadable_file(tmp_path: Path, name: str, content: bytes | str | None, words: list[str]) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    with pytest.raises(DataError) as caught:
        load_problems(DataSettings(path=path), "train")
    for word in [name, *words]:
        assert word in str(caught.value)


def test_unanswered_are_left_out_and_counted_when_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = [*rows(3), {"question": "a?", "answer": ""}, {"question": "b?"}]
    settings = DataSettings(path=write(tmp_path / "p.jsonl", data), skip_unanswered=True)
    assert len(load_problems(settings, "train")) == 3
    assert "2 problems without an answer left out" in caplog.text


def test_only_unanswered_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no problem .1 without an answer in 'answr'"):
        load_row(tmp_path, rows(1)[0], skip_unanswered=True, answer_field="answr")


def test_repeated_texts_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = [*rows(3), {"question": "What is  0 + 1?\n", "answer": "other"}]
    problems = load_problems(DataSettings(path=write(tmp_path / "p.jsonl", data)), "train")
    assert ids(problems) == {"p-1", "p-2", "p-3"}
    assert "1 repeated problems left out" in caplog.text


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

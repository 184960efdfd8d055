"""Paired comparison: McNemar's test by hand and by brute force, the paired bootstrap against drawing problems."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from eval.compare import Side, compare, mcnemar, read_side
from eval.log import LogRow, RunIdentity, open_folder
from eval.metrics import Sampling
from eval.row_file import write_rows
from judge.errors import DataError
from judge.measures import first_error_metrics

FEW = Sampling(num_samples=300, seed=4)


def side(predictions: list[int | None], labels: list[int], problems: list[str] | None = None) -> Side:
    rows = [
        LogRow(id=f"r{i}", label=label, prediction=said, num_steps=5, problem=problems[i] if problems else None)
        for i, (label, said) in enumerate(zip(labels, predictions, strict=True))
    ]
    return Side(Path("x"), None, {row.id: row for row in rows})


def drawn(seed: int, num_rows: int = 40) -> tuple[list[int], list[int | None], list[int | None], list[str]]:
    rng = random.Random(seed)
    labels = [rng.randrange(-1, 3) for _ in range(num_rows)]
    sides = [[rng.choice([label, label, -1, 0, None]) for label in labels] for _ in range(2)]
    return labels, sides[0], sides[1], [f"p{number // 3}" for number in range(num_rows)]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (3, 1), (5, 5), (0, 7), (2, 9)])
def test_mcnemar_is_the_share_of_coin_tosses_that_are_as_uneven(only_a: int, only_b: int) -> None:
    tosses = only_a + only_b
    far = abs(only_a - only_b)
    results = list(itertools.product((0, 1), repeat=tosses))
    share = sum(abs(2 * sum(toss) - tosses) >= far for toss in results) / len(results)
    a = [True] * only_a + [False] * only_b + [True, False]
    b = [False] * only_a + [True] * only_b + [True, False]
    found = mcnemar(a, b)
    assert found["p_value"] == pytest.approx(share)
    assert (found["both"], found["only_a"], found["only_b"], found["neither"]) == (1, only_a, only_b, 1)


def test_figures_differences_and_halves() -> None:
    labels, a, b, problems = drawn(0)
    found = compare(side(a, labels, problems), side(b, labels, problems), FEW)
    for name, said in (("a", a), ("b", b)):
        expected = first_error_metrics(labels, said)
        assert (found[name]["error_acc"], found[name]["correct_acc"]) == (expected.error_acc, expected.correct_acc)
        assert found[name]["f1"] == expected.f1
    assert found["difference"]["f1"] == pytest.approx(found["b"]["f1"] - found["a"]["f1"])
    wrong = [number for number, label in enumerate(labels) if label != -1]
    assert found["mcnemar"]["error"] == mcnemar([a[i] == labels[i] for i in wrong], [b[i] == labels[i] for i in wrong])
    parts = found["mcnemar"]
    assert parts["all"]["only_a"] == parts["error"]["only_a"] + parts["correct"]["only_a"]
    assert (found["num_rows"], found["num_problems"]) == (40, 14)


def test_the_interval_is_that_of_drawing_problems_for_both_at_once() -> None:
    labels, a, b, problems = drawn(1)
    found = compare(side(a, labels, problems), side(b, labels, problems), FEW)
    names = sorted(set(problems))
    differences = []
    for draw in np.random.default_rng(FEW.seed).multinomial(len(names), [1 / len(names)] * len(names), size=300):
        rows = [i for name, times in zip(names, draw, strict=True) for _ in range(times)
                for i, problem in enumerate(problems) if problem == name]  # fmt: skip
        f1_a, f1_b = (first_error_metrics([labels[i] for i in rows], [said[i] for i in rows]).f1 for said in (a, b))
        assert f1_a is not None
        assert f1_b is not None
        differences.append(f1_b - f1_a)
    assert found["intervals"]["f1"] == pytest.approx(list(np.quantile(differences, [0.025, 0.975])))


def test_a_judge_and_itself() -> None:
    labels, a, _, problems = drawn(2)
    found = compare(side(a, labels, problems), side(a, labels, problems), FEW)
    assert found["difference"]["f1"] == 0.0
    assert found["intervals"]["f1"] == [0.0, 0.0]
    assert found["mcnemar"]["all"]["p_value"] == 1.0


def test_an_empty_half() -> None:
    found = compare(side([0, 1], [0, 0]), side([0, 0], [0, 0]), FEW)
    assert (found["difference"]["f1"], found["intervals"]["f1"]) == (None, None)
    assert found["difference"]["error_acc"] == 0.5
    assert found["mcnemar"]["correct"] == {"both": 0, "only_a": 0, "only_b": 0, "neither": 0, "p_value": 1.0}


def test_one_problem_has_no_interval() -> None:
    assert compare(side([0, 1], [0, 0], ["p", "p"]), side([0, 0], [0, 0], ["p", "p"]), FEW)["intervals"] == {}


def test_rows_of_one_log_only() -> None:
    a, b = side([0, 0, 0], [0, 0, -1]), side([0, 0], [0, 0])
    with pytest.raises(DataError, match=r"1 rows are in one log only, such as 'r2' \(--allow-missing"):
        compare(a, b, FEW)
    found = compare(a, b, FEW, allow_missing=True)
    assert (found["num_rows"], found["a"]["num_left_out"], found["b"]["num_left_out"]) == (2, 1, 0)


def test_logs_of_other_data() -> None:
    with pytest.raises(DataError, match="row 'r0' has label 1 and 5 steps, in x label 0 and 5 steps"):
        compare(side([0], [0]), side([0], [1]), FEW)
    with pytest.raises(DataError, match="have no row in common"):
        compare(side([0], [0]), Side(Path("y"), None, {}), FEW)


def test_sides_are_logs_or_folders(tmp_path: Path) -> None:
    open_folder(tmp_path / "run", RunIdentity("processbench", "d", "judge@1", known_wrong=False))
    log = tmp_path / "run" / "log.jsonl"
    write_rows(log, side([0], [0]).rows.values())
    assert read_side(tmp_path / "run").judge_id == read_side(log).judge_id == "judge@1"
    alone = tmp_path / "alone.jsonl"
    alone.write_bytes(log.read_bytes())
    assert read_side(alone).judge_id is None
    assert read_side(alone).rows == read_side(log).rows
    for path, message in ((tmp_path / "none", "no such file"), (tmp_path, "no such file")):
        with pytest.raises(DataError, match=message):
            read_side(path)

"""Problem texts that are the same, splits that stay, and samples that are independent of the split."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.data.overlap import find_overlap, refuse_overlap, write_fingerprints
from judge.data.problem_text import FINGERPRINT_BYTES, fingerprint, problem_key
from judge.data.splits import PARTS, num_problems, part_of, sample_problems
from judge.errors import ConfigError, DataError
from judge.types import Record

SHARES = (0.2, 0.1)


def record(problem: str, step: str = "a") -> Record:
    return Record(problem, (step,), label=-1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What is 2 + 2?", "  what is $2+2$ ?\n", True),
        (r"Find \left( \dfrac{1}{2} \right)", r"Find (\frac{1}{2})", True),
        (r"\[x = 1\] Find $x.$", "x=1 find x", True),
        ("Ｗｈａｔ is ２?", "what is 2?", True),
        ("It’s 1,000 km.", "It's 1000 km", True),
        ("2 + 3", "2 - 3", False),
        ("1.5", "15", False),
        ("8/(4/2)", "8/4/2", False),
        ("a_1", "a_2", False),
    ],
)
def test_when_two_texts_are_one_problem(one: str, other: str, same: bool) -> None:
    assert (problem_key(one) == problem_key(other)) is same
    assert (fingerprint(one) == fingerprint(other)) is same
    assert len(fingerprint(one)) == FINGERPRINT_BYTES


@given(st.text())
def test_a_key_is_its_own_key(text: str) -> None:
    assert problem_key(f" {text}\n") == problem_key(text)


def test_shares_and_seeds() -> None:
    problems = [f"What is {n} + {n}?" for n in range(4000)]
    parts = [part_of(problem, 0, *SHARES) for problem in problems]
    for part, share in zip(PARTS, (0.7, 0.2, 0.1), strict=True):
        assert parts.count(part) / len(parts) == pytest.approx(share, abs=0.03)
    again = [part_of(problem, 1, *SHARES) for problem in problems]
    # Two seeds agree as often as chance says: .7 ** 2 + .2 ** 2 + .1 ** 2.
    assert sum(a == b for a, b in zip(parts, again, strict=True)) / len(parts) == pytest.approx(0.54, abs=0.03)
    assert parts == [part_of(f" {problem.upper()} ", 0, *SHARES) for problem in problems]


def test_a_sample_is_of_problems_and_independent_of_the_split() -> None:
    records = [record(f"What is {n} + {n}?", step) for n in range(2000) for step in ("a", "b")]
    sample = sample_problems(records, 500, seed=0)
    assert num_problems(sample) == 500
    assert len(sample) == 1000
    assert sample != records[:1000]
    assert sample_problems(records, 500, seed=1) != sample
    parts = [part_of(r.problem, 0, *SHARES) for r in sample]
    assert parts.count("validation") / len(parts) == pytest.approx(0.2, abs=0.06)
    assert sample_problems(records, 9999, seed=0) == records


def test_a_sample_hardly_changes_when_data_is_added() -> None:
    records = [record(f"What is {n} + {n}?") for n in range(1000)]
    before = {r.problem for r in sample_problems(records[:900], 300, seed=0)}
    after = {r.problem for r in sample_problems(records, 300, seed=0)}
    assert after <= before | {r.problem for r in records[900:]}


def test_overlap_counts_problems_and_names_the_way_out() -> None:
    known = "Janet\u2019s ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for "
    known += "her friends every day with four. She sells the remainder at the farmers' market daily for $2 per fresh "
    known += "duck egg. How much in dollars does she make every day at the farmers' market?"
    records = [record(known, "a"), record(known.lower(), "b"), record("Another problem?")]
    overlap = find_overlap(records)
    assert (overlap.num_shared, overlap.num_problems, overlap.shared_by_set["gsm8k_test"]) == (1, 2, 1)
    assert overlap.shared == {known, known.lower()}
    with pytest.raises(
        ConfigError, match=r"^there: 1 of 2 problems.*gsm8k_test 1.*such as 'Janet.*allow_overlap = true"
    ):
        refuse_overlap(overlap, "there")
    refuse_overlap(find_overlap(records[2:]), "there")


def test_every_record_of_an_evaluation_set_counts() -> None:
    """The packaged fingerprints know two of ProcessBench's four subsets."""
    new = Record("An olympiad problem that no fingerprint knows.", ("a",), 0, source="processbench", id="olympiad-1")
    shouted = Record(new.problem.upper(), ("a",), 0, source="mine")
    assert find_overlap([new]).shared_by_set["processbench"] == 1
    for records in ([new, shouted], [shouted, new]):
        assert find_overlap(records).shared == {new.problem, shouted.problem}


def test_fingerprints_need_a_problem_text(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"problem": "P"}\n{"text": "Q"}\n')
    with pytest.raises(DataError, match="row 2: no problem text in any of problem, question"):
        write_fingerprints({"x": str(path)}, tmp_path / "out.txt")
    path.write_text("")
    with pytest.raises(DataError, match="holds no rows"):
        write_fingerprints({"x": str(path)}, tmp_path / "out.txt")

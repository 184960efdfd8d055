"""PRM800K: rated steps to records, in both forms of the data, against a plain reference on sets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.data.items import Item
from judge.data.prm800k_original import split_answer
from judge.data.source import Loaded, read_records
from judge.data.sources import get_source
from judge.errors import DataError
from judge.types import NO_ERROR

Rated = tuple[str, tuple[str, ...], str, int | None]
"""Problem, steps before, step, rating."""


def load(*rows: object) -> Loaded:
    return read_records(get_source("prm800k"), [Item(f"f: row {n}", row) for n, row in enumerate(rows, 1)], "f")


def row(previous: str, step: str, rating: float | None, **fields: object) -> dict[str, Any]:
    """A row of the one-step form; steps are letters."""
    return {"instruction": "P", "responses": list(previous), "next_response": step, "rating": rating, **fields}


def line(*steps: dict[str, Any], finish: str = "found_error", problem: str = "P") -> dict[str, Any]:
    return {
        "labeler": "x",
        "question": {"problem": problem, "ground_truth_answer": "7", "pre_generated_steps": ["a"]},
        "label": {"steps": list(steps), "total_time": 1, "finish_reason": finish},
    }


def rated(*completions: tuple[str, int | None], chosen: int | None = 0, human: object = None) -> dict[str, Any]:
    texts = [{"text": text, "rating": rating, "flagged": None} for text, rating in completions]
    return {"completions": texts, "human_completion": human, "chosen_completion": chosen}


def steps_and_labels(loaded: Loaded) -> set[tuple[str, int | None]]:
    return {("".join(record.steps), record.label) for record in loaded.records}


def reference(rows: Sequence[Rated]) -> set[tuple[str, tuple[str, ...], int]]:
    """Problem, steps and label of the records, straight from the definition (without complete solutions)."""
    ratings: dict[tuple[str, tuple[str, ...]], set[int]] = defaultdict(set)
    for problem, previous, step, rating in rows:
        if rating is not None:
            ratings[problem, (*previous, step)].add(rating)
    wrong = {chain for chain, said in ratings.items() if -1 in said}
    usable = {
        (problem, steps)
        for (problem, steps), said in ratings.items()
        if not (-1 in said and said & {0, 1}) and not any((problem, steps[:n]) in wrong for n in range(1, len(steps)))
    }
    longer = {(problem, steps[:n]) for problem, steps in usable for n in range(1, len(steps))}
    return {
        (problem, steps, len(steps) - 1 if (problem, steps) in wrong else NO_ERROR)
        for problem, steps in usable
        if (problem, steps) in wrong or (problem, steps) not in longer
    }


def test_wrong_steps_and_longest_right_chains() -> None:
    loaded = load(
        row("", "a", 1.0), row("a", "b", 0.0), row("a", "c", -1.0), row("ab", "d", -1.0), row("", "e", 1.0)
    )  # fmt: skip
    assert steps_and_labels(loaded) == {("ac", 1), ("abd", 2), ("e", NO_ERROR)}
    assert loaded.report.merged == {"part of a longer record": 2}
    assert all(record.final_answer_correct is None for record in loaded.records)


def test_complete_solutions_are_kept_and_known_right() -> None:
    loaded = load(
        row("a", "b", 1.0, answer="7", is_solution=True),
        row("a", "c", 1.0, answer="7", is_solution=False),
        row("a", "d", 1.0, answer="8", is_solution=False),
        row("a", "x", -1.0, answer="9", is_solution=False),
        row("ab", "more", -1.0),
    )
    right = {"".join(record.steps): record.final_answer_correct for record in loaded.records}
    assert right == {"ab": True, "ac": True, "ad": None, "ax": None, "abmore": None}
    assert {record.reference_answer for record in loaded.records} == {"7"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("", "x", None), "no rating"),
        (row("", "x", float("nan")), "no rating"),
        (row("", "x", 0.5), "unknown rating"),
        (row("", " ", 1.0), "empty step"),
        (row("", "x", 1.0) | {"responses": ["a", ""]}, "empty step"),
        (row("", "x", 1.0) | {"responses": "a"}, "'responses' is no list"),
        (row("", "x", 1.0) | {"instruction": ""}, "no problem"),
        (row("", "x", 1.0) | {"instruction": None}, "wrong schema: 'instruction'"),
        (row("c", "x", 1.0), "follows a step rated wrong"),
        (line(rated(("x", None))), "no rating"),
        (line({"completions": [{"text": "x", "rating": 1, "flagged": True}]}), "flagged by the person who rated"),
        (line(rated((" ", 1))), "empty step"),
        (line(rated(human={"text": "x", "rating": None}, chosen=None)), "no rating"),
        (line() | {"label": {"steps": None}}, "wrong schema: 'label'"),
        (line(problem=" "), "no problem"),
        ("text", "not an object"),
    ],
)
def test_a_broken_row_is_dropped_and_counted(bad: object, reason: str) -> None:
    report = load(row("", "c", -1.0), bad).report
    assert (report.rows, report.kept, dict(report.dropped)) == (2, 1, {reason: 1})


def test_contradictions_and_repeats_are_counted() -> None:
    rows = [row("", "a", 1.0), row("", "a", -1.0), row("", "a", 1.0), row("", "b", 1.0), row("", "b", 0.0)]
    loaded = load(*rows, row("a", "c", 1.0), row("", "list", 1.0) | {"responses": "['b']"})
    assert steps_and_labels(loaded) == {("blist", NO_ERROR)}
    assert loaded.report.dropped == {"rated both right and wrong": 3, "follows a step rated wrong": 1}
    assert loaded.report.merged == {"step rated again": 1, "part of a longer record": 1}
    assert loaded.report.repaired == {"'responses' read from a list inside a string": 1}


def test_the_original_lines_of_both_phases() -> None:
    """Alternatives, a step written by a person, the answer below the last step, and a line that just ends."""
    first = line(
        rated(("a", 1), ("x", -1), ("y", 0)),
        rated(("z", -1), chosen=None, human={"text": "b", "rating": None, "source": "human", "flagged": False}),
        rated(("c\n\n# Answer\n\n7", 1), ("d\n\n# Answer\n\n8", -1), ("k", 0)),
        finish="solution",
    )
    second = line(rated(("a", 1)), rated(("e", 0)), rated(("f", -1), ("g", -1), chosen=None))
    broken = line(rated(("h", 1)), {"completions": None, "human_completion": None, "chosen_completion": None})
    loaded = load(first, second, broken)
    assert steps_and_labels(loaded) == {
        ("ax"[1:], 0), ("y", -1), ("az", 1), ("abc", -1), ("abd", 2), ("abk", -1), ("aef", 2), ("aeg", 2), ("h", -1),
    }  # fmt: skip
    complete = [record for record in loaded.records if record.final_answer_correct]
    assert [("".join(record.steps), record.reference_answer) for record in complete] == [("abc", "7")]
    report = loaded.report
    assert report.rows == 13
    assert report.dropped == {"no rating": 1}
    assert report.rows == report.kept + report.dropped.total() + report.merged.total()


def test_a_person_may_be_quoted_as_plain_text() -> None:
    loaded = load(line(rated(("z", -1), chosen=None, human="b"), rated(("c", -1))))
    assert steps_and_labels(loaded) == {("z", 0), ("bc", 1)}


def test_a_file_of_another_schema() -> None:
    with pytest.raises(DataError, match="f: row 1: 'instruction': field required"):
        load({"question": "Q", "answer": "A"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So 3.\n\n# Answer\n\n3", ("So 3.", "3")),
        ("# Answer\n\n3", ("# Answer\n\n3", None)),
        ("# Answer follows", ("# Answer follows", None)),
        ("So 3.", ("So 3.", None)),
    ],
)
def test_the_answer_below_a_step(text: str, expected: tuple[str, str | None]) -> None:
    assert split_answer(text) == expected


STEP = st.sampled_from("abc")
RATED = st.tuples(
    st.sampled_from("PQ"), st.lists(STEP, max_size=3).map(tuple), STEP, st.sampled_from([-1, 0, 1, None])
)  # fmt: skip


@given(st.lists(RATED, min_size=1, max_size=25))
def test_records_are_those_of_the_definition(rows: list[Rated]) -> None:
    items = [
        {"instruction": problem, "responses": list(previous), "next_response": step, "rating": rating}
        for problem, previous, step, rating in rows
    ]
    expected = reference(rows)
    if not expected:
        with pytest.raises(DataError):
            load(*items)
        return
    loaded = load(*items)
    assert Counter((r.problem, r.steps, r.label) for r in loaded.records) == Counter(expected)
    report = loaded.report
    assert report.rows == len(rows) == report.kept + report.dropped.total() + report.merged.total()
    assert len({record.id for record in loaded.records}) == len(loaded.records)

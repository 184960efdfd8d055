"""The key of a verdict: any change of what a judge reads changes it, nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from judge.types import Solution
from reward_server.cache import keys
from reward_server.cache.keys import verdict_key

TEXTS = st.text(max_size=8)
OPTIONAL = st.none() | TEXTS
SOLUTIONS = st.builds(
    Solution,
    problem=TEXTS,
    steps=st.lists(TEXTS, max_size=5).map(tuple),
    reference_solution=OPTIONAL,
    reference_answer=OPTIONAL,
    known_wrong=st.booleans(),
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "problem": TEXTS,
    "steps": st.lists(TEXTS, max_size=5).map(tuple),
    "reference_solution": OPTIONAL,
    "reference_answer": OPTIONAL,
    "known_wrong": st.booleans(),
}


def test_every_field_of_a_solution_is_varied_below() -> None:
    assert {field.name for field in dataclasses.fields(Solution)} == set(CHANGES)


@given(st.data(), TEXTS, SOLUTIONS)
@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_any_one_field_changes_the_key(field: str, data: st.DataObject, judge: str, one: Solution) -> None:
    other = dataclasses.replace(one, **{field: data.draw(CHANGES[field])})
    assume(other != one)
    assert verdict_key(judge, one) != verdict_key(judge, other)


@given(TEXTS, TEXTS, SOLUTIONS)
def test_the_judge_is_part_of_the_key(judge: str, other: str, solution: Solution) -> None:
    assert (verdict_key(judge, solution) == verdict_key(other, solution)) == (judge == other)


@given(TEXTS, SOLUTIONS)
def test_equal_content_has_one_key(judge: str, solution: Solution) -> None:
    key = verdict_key(judge, dataclasses.replace(solution))
    assert key == verdict_key(judge, solution)
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(TEXTS, min_size=1, max_size=6))
def test_text_that_moves_across_a_border_changes_the_key(one: list[str], other: list[str]) -> None:
    # The whole text is the same in both: only where it is cut may differ.
    joined = "".join(one)
    cuts = sorted(min(len(joined), len(part)) for part in other)
    recut = [joined[a:b] for a, b in zip([0, *cuts], [*cuts, len(joined)], strict=True)]
    assume(recut != one)
    assert key_of(steps=tuple(one)) != key_of(steps=tuple(recut))


def key_of(judge: str = "j", problem: str = "p", **changes: Any) -> str:
    return verdict_key(judge, Solution(problem, **({"steps": ("s", "t")} | changes)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"steps": ("ab", "c")}, {"steps": ("a", "bc")}),
        ({"steps": ("a", "b")}, {"steps": ("b", "a")}),
        ({"steps": ("a",)}, {"steps": ("a", "")}),
        ({"problem": "pa", "steps": ("b",)}, {"problem": "p", "steps": ("ab",)}),
        ({"judge": "ja", "problem": "p"}, {"judge": "j", "problem": "ap"}),
        ({"reference_answer": None}, {"reference_answer": ""}),
        ({"reference_solution": "7"}, {"reference_answer": "7"}),
        ({"reference_solution": "\x00"}, {"reference_solution": None}),
        ({"steps": ("\ud800",)}, {"steps": ("?",)}),
        ({"steps": ("\ud800",)}, {"steps": ("\ud801",)}),
        ({"steps": ("é",)}, {"steps": ("e\u0301",)}),
    ],
)
def test_near_misses(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key_of(**one) != key_of(**other)


@pytest.mark.parametrize(("name", "value"), [("KEY_SCHEMA", 999), ("SEGMENTER_VERSION", "another")])
def test_versions_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = key_of()
    monkeypatch.setattr(keys, name, value)
    assert key_of() != before


def test_the_key_is_the_same_in_every_process_and_release() -> None:
    # A change here orphans every stored verdict: raise KEY_SCHEMA on purpose, not by accident.
    fields = list(keys.key_fields("j", Solution("p", ("s", "t"), "r", None, True)))
    assert fields[0] == str(keys.KEY_SCHEMA).encode()
    assert fields[2:] == [b"j", b"p", b"\x01r", b"\x00", b"\x01", b"s", b"t"]

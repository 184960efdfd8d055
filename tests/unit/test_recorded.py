"""Recorded responses: both forms, verdicts of sgpo-judge, the server's rule, and errors that name the place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge.shaping import Shaping, group_rewards
from sgpo_client.config import parse_config
from sgpo_client.data.recorded import RecordedGroup, load_recorded, read_groups, recorded_scores
from sgpo_client.errors import ConfigError, DataError
from sgpo_client.settings.offline import OfflineTable
from sgpo_client.wire import ShapingParams


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def load(tmp_path: Path, rows: list[Any], verdicts: list[Any] | None = None) -> list[RecordedGroup]:
    path = write(tmp_path / "responses.jsonl", rows)
    judged = None if verdicts is None else write(tmp_path / "verdicts.jsonl", verdicts)
    return load_recorded(OfflineTable(path=path, verdicts=judged))


def one(text: str = "a", **fields: Any) -> dict[str, Any]:
    return {"problem": "1 + 1?", "reference_answer": 2, "response": text, **fields}


def verdict(name: object, rts: float, status: str = "judged") -> dict[str, Any]:
    shares = {"rts": 0.99, "paid_rts": rts}
    return {"id": str(name), "status": status, "first_error": 1, "num_steps": 4, "error": {"message": "?"}} | shares


def rewards(group: RecordedGroup, apply_to: str = "all_negative") -> list[float | None] | None:
    scores = recorded_scores(group, ShapingParams(apply_to=apply_to))
    return None if scores is None else [score.reward for score in scores]


def test_lines_of_one_problem_make_one_group_wherever_they_stand(tmp_path: Path) -> None:
    whole = {"problem": "3 + 3?", "answer": "6", "responses": ["x", "y"], "rewards": [1.0, None], "solution": "s"}
    first, second = load(tmp_path, [one("a"), whole, one("b", problem=" 1 +  1? "), {**one("c"), "problem": "alone"}])
    assert [response.text for response in first.responses] == ["a", "b"]
    assert (first.problem.text, first.problem.answer, first.problem.id) == ("1 + 1?", "2", "responses-1")
    assert [response.text for response in second.responses] == ["x", "y"]
    assert second.problem.solution == "s"


def test_what_says_nothing_must_be_asked_for(tmp_path: Path) -> None:
    [group] = load(tmp_path, [one("a"), one("b", final_answer_correct=True)])
    assert rewards(group) is None
    [group] = load(tmp_path, [one("a", final_answer_correct=False), one("b", final_answer_correct=False)])
    assert rewards(group) is None  # all-negative: the judge has to look
    assert rewards(group, "none") == [0.0, 0.0]


def test_a_reward_that_stands_alone_is_taken_as_it_is(tmp_path: Path) -> None:
    [group] = load(tmp_path, [one("a", reward=0.3), one("b", reward=1.0), one("c", reward=0)])
    for apply_to in ("none", "all_negative", "every_wrong"):
        assert rewards(group, apply_to) == [0.3, 1.0, 0.0]
    scores = recorded_scores(group, ShapingParams())
    assert scores is not None
    assert [(score.status, score.acc) for score in scores] == [("judged", 0), ("correct", 1), ("wrong", 0)]


@pytest.mark.parametrize("apply_to", ["none", "all_negative", "every_wrong"])
@pytest.mark.parametrize("outcomes", [[False, False, False], [False, True, False], [True, True, True]])
def test_verdicts_become_the_rewards_of_the_server(tmp_path: Path, apply_to: Any, outcomes: list[bool]) -> None:
    rows = [one(str(index), final_answer_correct=outcome) for index, outcome in enumerate(outcomes)]
    shares = [0.25, 0.75, 1.0]
    verdicts = [verdict(index, share) for index, share in enumerate(shares)]
    [group] = load(tmp_path, rows, verdicts)
    params = ShapingParams(beta=7.0, gamma=0.4, cap=0.6, apply_to=apply_to)
    scores = recorded_scores(group, params)
    assert scores is not None
    expected = group_rewards(outcomes, shares, Shaping(7.0, 0.4, 0.6), apply_to)
    assert [score.reward for score in scores] == pytest.approx(expected)
    assert [score.first_error for score in scores if score.status == "judged"] == [1] * sum(
        score.status == "judged" for score in scores
    )


def test_a_verdict_that_failed_is_unscored_and_never_0(tmp_path: Path) -> None:
    rows = [one("a", final_answer_correct=False, id="x"), one("b", final_answer_correct=False, id="y")]
    [group] = load(tmp_path, rows, [verdict("x", 0.5), verdict("y", 0.5, "unscored")])
    assert rewards(group) == [pytest.approx(0.25), None]
    assert rewards(group, "none") == [0.0, 0.0]


def test_rows_of_a_former_run_are_read_back(tmp_path: Path) -> None:
    row = {"problem": "p", "answer": "1", "step": 3, "truncated": True, "acc": 0, "advantage": 0.1}
    judged = {**row, "text": "a", "status": "judged", "rts": 0.5, "reward": 0.25, "step_offsets": [[0, 1]]}
    failed = {**row, "text": "b", "status": "unscored", "rts": None, "reward": None, "error": "judge_error: x"}
    [group] = load(tmp_path, [{**judged, "first_error": 0, "num_steps": 1}, failed])
    assert rewards(group) == [pytest.approx(0.25), None]
    assert group.responses[0].truncated
    scores = recorded_scores(group, ShapingParams())
    assert scores is not None
    assert scores[0].step_offsets == ((0, 1),)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["{"], ["responses.jsonl line 1", "not JSON"]),
        ([one(), "[1]"], ["responses.jsonl line 2", "list"]),
        ([one(), {"problem": "p", "answer": "1"}], ["line 2", "'response'", "'responses'"]),
        ([{**one(), "problem": 3}], ["line 1", "'problem'"]),
        ([{"problem": "p", "response": "a"}], ["line 1", "'answer'"]),
        ([one(reward="high")], ["line 1", "'reward'"]),
        ([one(rts=1.5)], ["line 1", "'rts'"]),
        ([one(rts=0.5, final_answer_correct=True)], ["line 1", "'rts' below 1"]),
        ([{**one(), "responses": ["a"], "rewards": [1.0, 2.0]}], ["line 1", "2 'rewards' for 1 'responses'"]),
        ([one(), one("b", reference_answer="3")], ["line 2", "'answer' is '3'", "line 1"]),
        ([one()], ["two or more responses"]),
        ([""], ["holds no responses", "offline.path"]),
    ],
)
def test_bad_rows_are_refused_with_their_place(tmp_path: Path, rows: list[Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, rows)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("rows", "verdicts", "words"),
    [
        ([one("a"), one("b")], [], ["response '0'", "final_answer_correct"]),
        ([one("a", final_answer_correct=False)] * 2, [verdict(0, 0.5)], ["no verdict on response '1'"]),
        ([one("a")] * 2, [{"id": "0", "reward": 1}], ["verdicts.jsonl line 1", "sgpo-judge run"]),
    ],
)
def test_verdicts_that_do_not_fit_are_refused(
    tmp_path: Path, rows: list[Any], verdicts: list[Any], words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, rows, verdicts)
    assert all(word in str(caught.value) for word in words), caught.value


def test_equal_groups_have_equal_keys(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [one("a"), one("b")])
    other = write(tmp_path / "b.jsonl", [one("a"), one("c")])
    assert read_groups(path)[0].key == read_groups(path)[0].key != read_groups(other)[0].key


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"offline": {"verdicts": "v"}}, ["verdicts does nothing without path"]),
        (
            {"offline": {"path": "r"}, "algo": {"dynamic_sampling": 2}},
            ["algo.dynamic_sampling = 2 with offline.path", "nothing is sampled"],
        ),
        ({"offline": {"path": "r"}, "rollout": {"staleness": 1}}, ["rollout.staleness = 1 with offline.path"]),
        (
            {"offline": {"path": "r", "verdicts": "v"}, "sgpo": {"credit": "prefix"}},
            ["sgpo.credit = 'prefix'", "offline.verdicts"],
        ),
    ],
)
def test_settings_that_do_not_go_together(tables: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"model": {"name": "m"}, **tables}, "run.toml")
    assert all(word in str(caught.value) for word in words), caught.value

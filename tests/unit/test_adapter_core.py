"""The adapters' core without a socket: grouping, settings, and the texts of prompts and answers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sgpo_client.adapters.grouping import group_indices, to_wire
from sgpo_client.adapters.joined import _group_id
from sgpo_client.adapters.messages import explained
from sgpo_client.adapters.samples import Sample, problem_text, reference_text, response_text
from sgpo_client.adapters.scores import NUMBERS, SampleScore, apply_policy
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.errors import ConfigError, DataError, RewardUnavailable

TRAINER = Trainer("Some trainer", "see answer_key", "settings go there", timeout_s=15.0)


def named(uid: str | None, problem: str = "p", text: str = "") -> Sample:
    return Sample(problem, text, "1", uid=uid)


def test_runs_of_one_problem_are_groups() -> None:
    samples = [named(None, problem) for problem in "aabbba"]
    assert group_indices(samples) == [[0, 1], [2, 3, 4], [5]]
    assert group_indices(samples, group_by="content") == [[0, 1, 5], [2, 3, 4]]


def test_ids_find_siblings_in_any_order_and_every_sample_stands_once() -> None:
    draw = random.Random(3)
    samples = [named(str(index % 5), problem=f"p{index % 5}") for index in range(23)]
    draw.shuffle(samples)
    groups = group_indices(samples)
    assert sorted(index for group in groups for index in group) == list(range(23))
    assert all(len({samples[index].uid for index in group}) == 1 for group in groups)
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


def test_id_that_stands_for_two_problems_makes_two_groups() -> None:
    assert group_indices([named("7", "a"), named("7", "b"), named("7", "a")]) == [[0, 2], [1]]


def test_problem_that_stands_twice_in_a_batch_is_cut_by_size() -> None:
    samples = [named(None)] * 6
    assert group_indices(samples, group_size=3) == [[0, 1, 2], [3, 4, 5]]
    assert group_indices(samples, group_size=4) == [[0, 1, 2, 3, 4, 5]], "a size that does not go in cuts nothing"


def test_ids_for_some_samples_only_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 of 2 samples"):
        group_indices([named("1"), named(None)])


def test_ids_on_the_wire_differ_and_are_short() -> None:
    groups = to_wire([named("x" * 500), named("y" * 500)], [[0], [1]])
    assert len({group.group_id for group in groups}) == 2
    assert all(len(group.group_id) <= 200 for group in groups)


@pytest.mark.parametrize(
    ("given", "environ", "message"),
    [
        ({"url": "127.0.0.1:8100"}, {}, "url"),
        ({}, {"SGPO_URL": "http://host:8100/v1/rewards"}, "ends in /v1/rewards"),
        ({}, {"SGPO_DEADLINE_S": "soon"}, r"deadline_s \(or SGPO_DEADLINE_S\)"),
        ({"deadline_s": 15.0}, {}, "must be below 15 s"),
        ({"on_unscored": "zero"}, {}, "on_unscored"),
        ({"groupsize": 3}, {}, "groupsize"),
    ],
)
def test_wrong_setting_is_named_with_the_trainer(given: dict[str, Any], environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        AdapterSettings.load(TRAINER, environ, **given)
    assert "Some trainer" in str(caught.value)
    assert "settings go there" in str(caught.value)


def test_arguments_go_before_the_environment_and_the_deadline_below_the_trainers() -> None:
    environ = {"SGPO_URL": "http://a:1", "SGPO_API_KEY": "secret", "SGPO_GROUP_SIZE": ""}
    settings = AdapterSettings.load(TRAINER, environ, url="http://b:2")
    assert (settings.url, settings.deadline_s, settings.group_size) == ("http://b:2", 12.0, None)
    assert settings.client().timeout_s <= settings.deadline_s
    assert "secret" not in repr(settings)


def test_key_is_in_no_message() -> None:
    with pytest.raises(ConfigError) as caught:
        AdapterSettings.load(TRAINER, {"SGPO_API_KEY": "secret", "SGPO_TIMEOUT_S": "secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("  ", "no problem"),
        ([{"role": "system", "content": "x"}], "without a user message"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "'image_url' part"),
        ([{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}], "tool calls"),
        (7, "not int"),
    ],
)
def test_prompt_that_cannot_be_judged_says_why(prompt: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        problem_text(prompt, "rows[3]")


def test_texts_are_read() -> None:
    shots = [{"role": role, "content": text} for role, text in (("user", "1+1?"), ("assistant", "2"), ("user", "2+2?"))]
    assert problem_text(shots) == "2+2?"
    assert response_text([{"role": "assistant", "content": [{"type": "text", "text": "It is 4."}]}]) == "It is 4."
    assert [reference_text(value, "a") for value in (18, 2.0, "x", None)] == ["18", "2", "x", None]
    with pytest.raises(DataError, match="not list"):
        reference_text(["1", "2"], "answer[0]")


SCORED, MISSING = SampleScore(0.25, 0, judged=True), SampleScore(None, 0, error="judge_timeout: late")
RIGHT = SampleScore(1.0, 1)


def test_policies() -> None:
    group = [SCORED, MISSING, RIGHT]
    assert apply_policy(group, "none") == group
    with pytest.raises(RewardUnavailable, match=r"1 of 3 .* judge_timeout: late"):
        apply_policy(group, "raise")
    fallen = apply_policy(group, "outcome")
    assert [(score.reward, score.fallback) for score in fallen] == [(0.0, True), (0.0, True), (1.0, True)]
    assert apply_policy([SCORED, RIGHT], "outcome") == [SCORED, RIGHT]


@pytest.mark.parametrize(
    ("said", "joined", "advice"),
    [
        ("1 of 1 responses have no verdict: outcome_error: not compared in 5 s", False, "answer_timeout_s"),
        ("1 of 1 responses have no verdict: judge_failed: x", False, "ask its /readyz; hint"),
        ("503 judge_failed", True, 'on_unscored = "outcome"'),
    ],
)
def test_advice_fits_what_is_missing(said: str, joined: bool, advice: str) -> None:
    trainer = Trainer("Some trainer", "", "hint")
    with pytest.raises(RewardUnavailable, match=advice) as caught, explained(trainer, AdapterSettings(), joined=joined):
        raise RewardUnavailable(said)
    assert ("/readyz" in str(caught.value)) == ("outcome_error" not in said)


@pytest.mark.parametrize(
    ("uid", "run", "group_id"), [("7", "", "7"), ("7", "a", "a:7"), (None, "a", "a"), (None, "", None)]
)
def test_groups_carry_the_runs_name(uid: str | None, run: str, group_id: str | None) -> None:
    assert _group_id(uid, run) == group_id


def test_numbers_always_have_the_same_keys() -> None:
    for score in (SCORED, MISSING, RIGHT):
        assert tuple(score.numbers()) == NUMBERS
        assert all(type(value) is float for value in score.numbers().values())
    assert MISSING.numbers()["sgpo_reward"] == -1.0

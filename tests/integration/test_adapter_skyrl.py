"""The SkyRL environment, stepped as SkyRL's generator steps environments.

The caller is written from SkyRL 0.4.0 (``skyrl/train/generators/skyrl_gym_generator.py``): an environment for each
sample, extras through ``_setup_env_extras``, ``init`` and ``step`` in a pool of 32 threads. The base class is
skyrl-gym's own where that is installed (0.4.0 was used), else one written from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import pytest

import sgpo_client.adapters.skyrl as adapter
from sgpo_client.adapters.scores import NUMBERS, SampleScore
from sgpo_client.errors import ConfigError
from tests.integration.adapter_suite import IMPATIENT, RIGHT, TOWER, A, AdapterSuite, Outcome, Row, group, url_of
from tests.integration.http_server import running
from tests.integration.trainer_doubles import standing_in
from tests.unit.service_calls import Counting, scripted

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}


class BaseTextEnv:
    """What a subclass sees of skyrl-gym's."""

    def __init__(self) -> None:
        self.turns = 0
        self.max_turns = 1


@dataclass(frozen=True)
class TrajectoryID:
    instance_id: str
    repetition_id: int


@pytest.fixture(autouse=True, scope="module")
def _skyrl_gym() -> Iterator[None]:
    names: dict[str, dict[str, Any]] = {
        "skyrl_gym": {},
        "skyrl_gym.envs": {},
        "skyrl_gym.envs.base_text_env": {"BaseTextEnv": BaseTextEnv},
    }
    with standing_in(adapter, "SgpoEnv", names):
        yield


def trajectory(row: Row, repetition: int, config: dict[str, Any], **extras: Any) -> tuple[dict[str, Any], Any]:
    """``agent_loop`` without the generation: what ``step`` returned, and the metrics."""
    extras = {"reward_spec": {"method": "rule", "ground_truth": row.answer}, "max_turns": 1} | extras
    config = dict(config)
    extras = adapter.with_group(extras, TrajectoryID(row.uid, repetition), config.pop("group_size", None))
    env = adapter.SgpoEnv(env_config=config, extras=extras)
    env.init(row.problem)
    step = env.step(row.text)
    assert step["done"] is True
    assert step["observations"] == []
    assert type(step["reward"]) is float
    return step, env.get_metrics()


@dataclass
class SkyrlDriver:
    failure: Literal["none", "raise", "outcome"] = "raise"
    joins: bool = True
    mixed_sizes: bool = False
    messages: bool = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        config = {"url": url, "group_size": sum(row.uid == rows[0].uid for row in rows)} | settings
        repetitions = [sum(row.uid == other.uid for other in rows[:index]) for index, row in enumerate(rows)]
        with ThreadPoolExecutor(32) as pool:
            ended = list(pool.map(lambda each: trajectory(*each, config), zip(rows, repetitions, strict=True)))
        metrics = [dict.fromkeys(NUMBERS, -1.0) | each for _, each in ended]
        return Outcome([step["reward"] for step, _ in ended], [int(each["acc"]) for each in metrics], metrics)


class TestSkyrl(AdapterSuite):
    driver = SkyrlDriver()


def test_a_row_of_an_evaluation_is_worth_its_correctness_and_costs_nothing() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        config = {"url": url_of(server), "group_size": 1}
        ended = [trajectory(row, 0, config, sgpo_eval=True) for row in group(A, RIGHT)]
    assert [step["reward"] for step, _ in ended] == [0, 1]
    assert judge.asked == []


def test_answer_that_cannot_be_compared_counts_as_wrong_in_an_evaluation() -> None:
    with running(BASE | IMPATIENT) as server:
        step, metrics = trajectory(group(TOWER)[0], 0, {"url": url_of(server), "group_size": 1}, sgpo_eval=True)
    assert (step["reward"], metrics["acc"], metrics["sgpo_fallback"]) == (0, 0, 1)


def test_the_group_size_must_be_known() -> None:
    with pytest.raises(ConfigError, match="SGPO_GROUP_SIZE"):
        trajectory(group(A)[0], 0, {"url": "http://127.0.0.1:9"})


def test_none_is_no_policy_here() -> None:
    config = {"url": "http://127.0.0.1:9", "group_size": 1, "on_unscored": "none", "deadline_s": 0.2}
    with pytest.raises(ConfigError, match="no missing reward"):
        trajectory(group(A)[0], 0, config)


def test_the_policy_comes_from_the_configuration_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert adapter.Scoring().settings.on_unscored == "raise"
    monkeypatch.setenv("SGPO_ON_UNSCORED", "outcome")
    assert adapter.Scoring().settings.on_unscored == "outcome"
    assert adapter.Scoring({"on_unscored": "raise"}).settings.on_unscored == "raise"


def test_the_metrics_leave_out_what_is_not_known() -> None:
    env = adapter.SgpoEnv()
    env.scoring.score = SampleScore(0.0, None, group_size=2)
    metrics = env.get_metrics()
    assert not {"acc", "sgpo_rts", "sgpo_first_error"} & set(metrics)
    assert (metrics["sgpo_reward"], metrics["sgpo_group_size"]) == (0, 2)


def test_without_a_trajectory_the_extras_stay_as_they_are() -> None:
    assert adapter.with_group({"a": 1}, None) == {"a": 1}


def test_the_environment_registers_by_name() -> None:
    gym = pytest.importorskip("skyrl_gym")
    if not hasattr(gym, "make"):
        pytest.skip("skyrl-gym is not installed")
    gym.envs.registration.register(id="sgpo", entry_point="sgpo_client.adapters.skyrl:SgpoEnv")
    with running(BASE) as server:
        config = {"url": url_of(server), "group_size": 1}
        env = gym.make("sgpo", env_config=config, extras={"reward_spec": {"ground_truth": "42"}})
        env.init([{"role": "user", "content": "What is 40 + 2?"}])
        assert env.step(RIGHT)["reward"] == 1

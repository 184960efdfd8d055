"""The NeMo-RL environment, stepped as NeMo-RL's rollouts step environments.

The caller is written from NeMo-RL of August 2026 (``environments/{interfaces,utils,math_environment}.py`` and
``experience/rollouts.py``): synchronous rollouts hand over the batch, a prompt's samples one after the other;
asynchronous ones hand over one sample at a time, in threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch

import sgpo_client.adapters.nemo_rl as adapter
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.errors import ConfigError
from tests.integration.adapter_suite import RIGHT, A, AdapterSuite, B, C, Outcome, Row, expected, group, url_of
from tests.integration.http_server import running
from tests.unit.service_calls import Counting, scripted

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}
DOWN: dict[str, Any] = BASE | {"judge": {"kind": "scripted", "fail": "raise"}}


def log_of(row: Row) -> list[dict[str, Any]]:
    """A message log: the prompt's messages and the response, with token ids that nobody here reads."""
    prompt = row.problem if isinstance(row.problem, list) else [{"role": "user", "content": row.problem}]
    return [*prompt, {"role": "assistant", "content": row.text, "token_ids": torch.tensor([1, 2])}]


def info_of(row: Row) -> dict[str, Any]:
    return {"ground_truth": row.answer, "sgpo_group": row.uid}


def step(env: adapter.Environment, rows: Sequence[Row]) -> list[float]:
    """One call of the actor, read as ``calculate_rewards`` reads it."""
    infos = [info_of(row) for row in rows]
    observations, metadata, stops, rewards, terminateds, answers = env.step([log_of(row) for row in rows], infos)
    assert metadata == infos
    assert stops == [None] * len(rows)
    assert answers is None
    assert all(set(each) == {"role", "content"} for each in observations)
    assert rewards.dtype == torch.float32
    assert terminateds.bool().all()
    assert len(terminateds) == len(rows)
    # Wider than the tensor's own precision, narrower than any two rewards.
    return [round(reward, 6) for reward in rewards.tolist()]


@dataclass
class NemoDriver:
    single: bool
    joins: bool
    mixed_sizes: bool
    failure: Literal["none", "raise", "outcome"]
    messages: bool = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        size = sum(row.uid == rows[0].uid for row in rows) if self.single else None
        env = adapter.Environment({"url": url, "group_size": size} | settings)
        if self.single:
            with ThreadPoolExecutor(32) as pool:
                rewards = [reward for part in pool.map(lambda row: step(env, [row]), rows) for reward in part]
        else:
            rewards = step(env, rows)
        seen = {id(each): each.numbers() for each in env._seen}
        if self.single:  # seen in the order of their ends
            return Outcome(list(rewards), [int(row.text == RIGHT) for row in rows])
        return Outcome(list(rewards), [int(each["acc"]) for each in seen.values()], list(seen.values()))


class TestNemoRlBatches(AdapterSuite):
    driver = NemoDriver(single=False, joins=False, mixed_sizes=True, failure="outcome")


class TestNemoRlSingles(AdapterSuite):
    driver = NemoDriver(single=True, joins=True, mixed_sizes=False, failure="raise")


def test_a_judge_that_is_down_makes_the_group_fall_back_and_the_metrics_say_so() -> None:
    with running(DOWN) as server:
        env = adapter.Environment({"url": url_of(server)})
        rows = group(A, B, uid="q1") + group(A, RIGHT, uid="q2", problem="6 * 7?")
        assert step(env, rows) == [0, 0, 0, 1]
        batch, metrics = env.global_post_process_and_metrics({"rewards": 1})
    assert batch == {"rewards": 1}
    assert (metrics["accuracy"], metrics["sgpo_fallback"], metrics["sgpo_unscored"]) == (0.25, 0.5, 0.5)
    assert env.global_post_process_and_metrics({})[1] == {}, "each sample is counted once"


def test_groups_without_a_name_are_neighbours() -> None:
    with running(BASE) as server:
        env = adapter.Environment({"url": url_of(server)})
        rows = group(A, B) + group(B, RIGHT, problem="6 * 7?")
        result = env.step([log_of(row) for row in rows], [{"ground_truth": "42"}] * 4)
        assert [round(each, 6) for each in result.rewards.tolist()] == [*expected(server, [A, B]), 0, 1]


def test_a_sample_of_a_validation_is_worth_its_correctness_and_costs_nothing() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        env = adapter.Environment({"url": url_of(server), "group_size": 8})
        infos = [{"ground_truth": "42", "sgpo_eval": True}] * 2
        assert env.step([log_of(row) for row in group(A, RIGHT)], infos).rewards.tolist() == [0, 1]
    assert judge.asked == []


def test_the_problem_comes_from_the_metadata_or_without_its_template() -> None:
    judge = Counting(scripted())
    templated = "<|im_start|>user\nWhat is 40 + 2?<|im_end|>\n<|im_start|>assistant\n"
    with running(BASE, judge=judge) as server:
        env = adapter.Environment({"url": url_of(server), "group_size": 1})
        env.step([log_of(row) for row in group(A, problem=templated)], [{"ground_truth": "42"}])
        env.step([log_of(row) for row in group(B, problem=templated)], [{"ground_truth": "42", "problem": "Six?"}])
    assert [solution.problem for solution in judge.asked] == ["What is 40 + 2?", "Six?"]


def test_a_sample_that_comes_alone_needs_its_groups_size_unless_it_is_of_a_validation() -> None:
    with running(BASE) as server:
        env = adapter.Environment({"url": url_of(server)})
        with pytest.raises(ConfigError, match="num_generations_per_prompt"):
            step(env, group(A))
        validation = env.step([log_of(Row(RIGHT))], [{"ground_truth": "42", "sgpo_eval": True}])
    assert validation.rewards.tolist() == [1]


def test_the_policy_comes_from_the_configuration_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert adapter.Environment({}).settings.on_unscored == "outcome"
    monkeypatch.setenv("SGPO_ON_UNSCORED", "raise")
    assert adapter.Environment({}).settings.on_unscored == "raise"
    assert adapter.Environment({"on_unscored": "outcome"}).settings.on_unscored == "outcome"
    monkeypatch.setenv("SGPO_ON_UNSCORED", "none")
    with pytest.raises(ConfigError, match="no missing reward"):
        adapter.Environment({})


def test_the_metrics_average_known_values_only() -> None:
    env = adapter.Environment({})
    env._seen = [SampleScore(0.0, None), SampleScore(1.0, 1, rts=0.5), SampleScore(0.0, 0)]
    metrics = env.global_post_process_and_metrics({})[1]
    assert (metrics["accuracy"], metrics["acc"], metrics["sgpo_rts"]) == (0.5, 0.5, 0.5)
    assert "sgpo_first_error" not in metrics
    env._seen = [SampleScore(0.0, None)]
    assert "accuracy" not in env.global_post_process_and_metrics({})[1]


@pytest.mark.slow
def test_inside_a_ray_actor() -> None:
    """As ``create_env`` starts it: the class by its full name, then ``options(...).remote(cfg)``."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with running(BASE) as server:
            actor_class = adapter.SgpoEnvironment
            actor = actor_class.options(num_cpus=0).remote({"url": url_of(server)})
            call = actor.step.remote([log_of(row) for row in group(A, B)], [info_of(row) for row in group(A, B)])
            result = ray.get(call, timeout=120)
            assert [round(each, 6) for each in result.rewards.tolist()] == expected(server, [A, B])
            alone = actor_class.options(num_cpus=0).remote({"url": url_of(server), "group_size": 3})
            calls = [alone.step.remote([log_of(row)], [info_of(row)]) for row in group(A, B, C)]
            rewards = [round(reply.rewards.item(), 6) for reply in ray.get(calls, timeout=120)]
            assert rewards == expected(server, [A, B, C]), "none queues behind its sibling"
    finally:
        ray.shutdown()

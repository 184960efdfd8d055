"""The slime adapter, called as slime calls custom reward functions.

The caller is written from slime 0.3.1 (``rollout/rm_hub/__init__.py``, ``rollout/sglang_rollout.py``,
``utils/types.py``; miles-rl 0.0.2 has the same calls): with ``--group-rm`` a list for each group, else one sample at a
time, all in one event loop.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import groupby
from typing import Any, Literal

import pytest

from sgpo_client.adapters.settings import VARIABLES
from sgpo_client.errors import ConfigError, DataError, RewardUnavailable
from tests.integration.adapter_servers import nobody_at
from tests.integration.adapter_suite import (
    IMPATIENT,
    RIGHT,
    TOWER,
    A,
    AdapterSuite,
    B,
    Outcome,
    Row,
    expected,
    group,
    url_of,
)
from tests.integration.http_server import running
from tests.integration.trainer_doubles import environment
from tests.unit.service_calls import Counting, scripted

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}
PATH = "sgpo_client.adapters.slime.custom_rm"


@dataclass
class Sample:
    """What the adapter may use of slime's ``Sample``."""

    group_index: int | None
    index: int
    prompt: Any
    response: str
    label: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    multimodal_inputs: dict[str, Any] | None = None
    reward: Any = None
    remove_sample: bool = False


def load_function(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


async def rollout(args: Namespace, samples: Sequence[Sample]) -> None:
    """The reward phase of ``generate_and_rm_group``, for every group at the same time."""
    function = load_function(args.custom_rm_path)

    async def of_group(members: list[Sample]) -> None:
        if args.group_rm:
            rewards = await function(args, members)
        else:
            rewards = await asyncio.gather(*(function(args, sample) for sample in members))
        for sample, reward in zip(members, rewards, strict=True):
            sample.reward = reward

    groups = [list(members) for _, members in groupby(samples, key=lambda sample: sample.group_index)]
    await asyncio.gather(*(of_group(members) for members in groups))


def args_of(*, group_rm: bool, size: int, reward_key: str | None = None) -> Namespace:
    return Namespace(custom_rm_path=PATH, group_rm=group_rm, n_samples_per_prompt=size, reward_key=reward_key)


def samples_of(rows: Sequence[Row]) -> list[Sample]:
    names = list(dict.fromkeys(row.uid for row in rows))
    return [Sample(names.index(row.uid), i, row.problem, row.text, row.answer) for i, row in enumerate(rows)]


@dataclass
class SlimeDriver:
    group_rm: bool
    joins: bool
    mixed_sizes: bool
    failure: Literal["none", "raise", "outcome"] = "none"
    messages: bool = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        samples = samples_of(rows)
        size = sum(row.uid == rows[0].uid for row in rows)
        with environment(VARIABLES, {"url": url} | settings):
            asyncio.run(rollout(args_of(group_rm=self.group_rm, size=size), samples))
        told = [sample.metadata["sgpo"] for sample in samples]
        return Outcome(
            [None if sample.remove_sample else sample.reward for sample in samples],
            [int(each["acc"]) for each in told],
            told,
        )


class TestSlimeGroups(AdapterSuite):
    driver = SlimeDriver(group_rm=True, joins=False, mixed_sizes=True)


class TestSlimeSingles(AdapterSuite):
    driver = SlimeDriver(group_rm=False, joins=True, mixed_sizes=False, failure="raise")


def test_a_response_without_a_verdict_leaves_the_loss_and_not_the_mean() -> None:
    judge = {"kind": "scripted", "fail": "unscored", "fail_on": "quokka"}
    with running(BASE | {"judge": judge}) as server:
        samples = samples_of(group(A, B, B + "\nA quokka."))
        with environment(VARIABLES, {"url": url_of(server)}):
            asyncio.run(rollout(args_of(group_rm=True, size=3), samples))
        known = expected(server, [A, B])
    assert [sample.remove_sample for sample in samples] == [False, False, True]
    assert [sample.reward for sample in samples[:2]] == known
    assert samples[2].reward == round(sum(known) / 2, 6), "its advantage is 0, and theirs are what they were"
    assert samples[2].metadata["sgpo"]["sgpo_unscored"] == 1
    assert samples[2].metadata["sgpo"]["sgpo_reward"] == -1


def test_reward_key_gives_an_object_with_equal_keys() -> None:
    with running(BASE) as server:
        samples = samples_of(group(A, RIGHT))
        with environment(VARIABLES, {"url": url_of(server)}):
            asyncio.run(rollout(args_of(group_rm=True, size=2, reward_key="score"), samples))
    assert [(sample.reward["score"], sample.reward["acc"]) for sample in samples] == [(0, 0), (1, 1)]
    assert set(samples[0].reward) == set(samples[1].reward)


def test_a_sample_of_an_evaluation_is_worth_its_correctness_and_costs_nothing() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        samples = samples_of(group(A, RIGHT))
        for sample in samples:
            sample.group_index = None
        with environment(VARIABLES, {"url": url_of(server)}):
            asyncio.run(rollout(args_of(group_rm=False, size=8), samples))
    assert [sample.reward for sample in samples] == [0, 1]
    assert judge.asked == []


def test_answer_that_cannot_be_compared_counts_as_wrong_in_an_evaluation() -> None:
    [sample] = samples_of(group(TOWER))
    sample.group_index = None
    with running(BASE | IMPATIENT) as server, environment(VARIABLES, {"url": url_of(server)}):
        asyncio.run(rollout(args_of(group_rm=False, size=8, reward_key="score"), [sample]))
    assert (sample.reward["score"], sample.reward["acc"], sample.reward["sgpo_fallback"]) == (0, 0, 1)


def test_an_evaluation_without_a_server_is_no_number() -> None:
    [sample] = samples_of(group(RIGHT))
    sample.group_index = None
    with (
        environment(VARIABLES, {"url": nobody_at(), "deadline_s": 0.5}),
        pytest.raises(RewardUnavailable, match=r"slime: .* gave no answer"),
    ):
        asyncio.run(rollout(args_of(group_rm=False, size=8), [sample]))


def test_a_templated_prompt_reaches_the_judge_without_its_template() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        prompt = "<|im_start|>user\nWhat is 40 + 2?<|im_end|>\n<|im_start|>assistant\n"
        with environment(VARIABLES, {"url": url_of(server)}):
            asyncio.run(rollout(args_of(group_rm=True, size=2), samples_of(group(A, B, problem=prompt))))
    assert {solution.problem for solution in judge.asked} == {"What is 40 + 2?"}


def test_what_the_judge_cannot_read_is_refused() -> None:
    [sample] = samples_of(group(A))
    sample.multimodal_inputs = {"images": ["x.png"]}
    with pytest.raises(DataError, match="slime: sample 0: holds images"):
        asyncio.run(rollout(args_of(group_rm=True, size=1), [sample]))
    nested: Any = [samples_of(group(A, B))]
    with pytest.raises(ConfigError, match="several samples"):
        asyncio.run(load_function(PATH)(args_of(group_rm=True, size=1), nested))
    with pytest.raises(ConfigError, match="several samples"):
        asyncio.run(load_function(PATH)(args_of(group_rm=False, size=2), nested[0]))
    assert asyncio.run(load_function(PATH)(args_of(group_rm=False, size=2), [])) == []

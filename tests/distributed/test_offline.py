"""Recorded responses on their way to the trainer: rewards asked for once, the start policy's log-probabilities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD

from sgpo_client.config import TrainConfig, parse_config
from sgpo_client.data.recorded import load_recorded
from sgpo_client.errors import RewardUnavailable
from sgpo_client.offline import STORE, OfflineGroups, scored_offline, with_start_logprobs
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import Sharding, shard
from sgpo_client.settings.offline import OfflineTable
from sgpo_client.types import Problem, Rollout, ScoredGroup
from sgpo_client.update import PolicyUpdater
from sgpo_client.wire import GroupScores, ResponseScore, RewardGroup
from tests.distributed.spawn import run_here, run_ranks
from tests.distributed.tiny import tiny_model

TEMPERATURE = 0.7


def config(**offline: Any) -> TrainConfig:
    tables = {"model": {"name": "m"}, "offline": offline, "rollout": {"temperature": TEMPERATURE}}
    return parse_config({**tables, "optim": {"micro_batch_tokens": 40}}, "test")


class CountingClient:
    """Stands for the server: calls every response wrong, with a reward by its length, until it goes away."""

    def __init__(self, goes_away_after: int = 1000) -> None:
        self.asked: list[str] = []
        self._left = goes_away_after

    def score(self, groups: Sequence[RewardGroup], shaping: Any, include_steps: bool = False) -> list[GroupScores]:
        replies = []
        for group in groups:
            if not self._left:
                raise RewardUnavailable("gone")
            self._left -= 1
            self.asked.append(group.problem)
            scores = [
                ResponseScore(response.id, len(response.text) / 100, "judged", 0, rts=0.5)
                for response in group.responses
            ]
            replies.append(GroupScores(group.group_id, True, tuple(scores)))
        return replies


def write_responses(path: Path, num_problems: int) -> Path:
    rows = [
        {"problem": f"{index} + 1?", "answer": str(index + 1), "responses": ["x" * (index + 1), "y" * 30]}
        for index in range(num_problems)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ask(world: World, path: Path, folder: Path, goes_away_after: int) -> tuple[list[str], list[list[float | None]]]:
    """What this rank asked for, and everybody's rewards."""
    client = CountingClient(goes_away_after)
    groups = load_recorded(OfflineTable(path=path))
    rollouts = [[Rollout([1], [2], response.text, False) for response in group.responses] for group in groups]
    try:
        scored = scored_offline(groups, rollouts, client, config(path=str(path)), folder, world)  # type: ignore[arg-type]
    except RewardUnavailable:
        return client.asked, []
    assert [group.problem for group in scored] == [group.problem for group in groups]
    assert all(group.all_negative for group in scored)
    return client.asked, [[score.reward for score in group.scores] for group in scored]


@pytest.mark.slow
def test_two_ranks_ask_for_every_group_once_and_share_what_they_hear(tmp_path: Path) -> None:
    path = write_responses(tmp_path / "responses.jsonl", 21)
    (asked_0, rewards_0), (asked_1, rewards_1) = run_ranks(2, ask, path, tmp_path, 1000, folder=tmp_path / "ranks")
    assert sorted(asked_0 + asked_1) == sorted(f"{index} + 1?" for index in range(21))
    assert len(asked_0) == 11
    assert rewards_0 == rewards_1 == [[(index + 1) / 100, 0.3] for index in range(21)]
    assert len((tmp_path / STORE).read_text().splitlines()) == 42


def test_a_resume_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    path = write_responses(tmp_path / "responses.jsonl", 20)
    asked, rewards = run_here(ask, path, tmp_path, 10)  # goes away in the second call of 8 groups
    assert (len(asked), rewards) == (10, [])
    with (tmp_path / STORE).open("a") as file:
        file.write('{"problem": "torn')
    asked, rewards = run_here(ask, path, tmp_path, 1000)
    assert asked == [f"{index} + 1?" for index in range(8, 20)]
    # The rts that is kept is shaped again: the default curve at 0.5.
    assert rewards[0] == [pytest.approx(0.25)] * 2
    assert run_here(ask, path, tmp_path, 0)[0] == []


def scored_groups(count: int) -> list[ScoredGroup]:
    groups = []
    for index in range(count):
        sizes = (3 + index, 1, 9)
        rollouts = [Rollout([5, 6, 7], [8 + i % 40 for i in range(size)], "x", False) for size in sizes]
        scores = [ResponseScore(str(i), 0.1, "judged", 0) for i in range(len(sizes))]
        groups.append(ScoredGroup(Problem(f"p{index}", "p", "1"), rollouts, scores, all_negative=True))
    groups[0].rollouts.append(Rollout([5, 6], [], "", truncated=True))
    groups[0].scores.append(ResponseScore("3", None, "unscored", 0))
    return groups


def start_logprobs(world: World, count: int) -> list[list[list[float] | None]]:
    policy = shard(tiny_model(), world, Sharding())
    parameters = list(policy.parameters())
    updater = PolicyUpdater(policy, SGD(parameters, lr=0.1), Sharding(), config(), world)
    groups = with_start_logprobs(scored_groups(count), updater, world)
    # A checkpoint that is loaded now must find the parameters that the optimiser has.
    assert all(now is before for now, before in zip(policy.parameters(), parameters, strict=True))
    assert [group.problem.id for group in groups] == [f"p{index}" for index in range(count)]
    return [[rollout.logprobs for rollout in group.rollouts] for group in groups]


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_start_logprobs_are_those_of_a_plain_softmax(num_ranks: int, tmp_path: Path) -> None:
    found = run_here(start_logprobs, 3) if num_ranks == 1 else run_ranks(2, start_logprobs, 3, folder=tmp_path)[1]
    model = tiny_model().eval()
    for group, rows in zip(scored_groups(3), found, strict=True):
        for rollout, row in zip(group.rollouts, rows, strict=True):
            ids = torch.tensor([rollout.prompt_ids + rollout.response_ids])
            with torch.no_grad():
                plain = torch.log_softmax(model(ids).logits[0] / TEMPERATURE, dim=-1)
            first = len(rollout.prompt_ids)
            expected = [float(plain[first + i - 1, token]) for i, token in enumerate(rollout.response_ids)]
            assert row == pytest.approx(expected, abs=1e-4)


def test_every_epoch_goes_through_all_groups_and_ranks_share_a_step() -> None:
    groups = OfflineGroups(scored_groups(6), seed=1)
    worlds = [World(rank, 2, rank, torch.device("cpu")) for rank in range(2)]
    steps = [[group.problem.id for world in worlds for group in groups.batch(step, 4, world)] for step in range(3)]
    assert sorted(steps[0] + steps[1] + steps[2]) == sorted(f"p{index}" for index in range(6) for _ in range(2))
    assert len(set(steps[0])) == 4
    assert [group.problem.id for group in groups.batch(0, 4, worlds[0])] == steps[0][:2]

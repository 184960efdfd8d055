"""Groups go to the reward server while others are sampled; groups without differences are replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence

import pytest
import torch

from sgpo_client.collector import Collector, Stopped
from sgpo_client.config import parse_config
from sgpo_client.data.order import ProblemSampler
from sgpo_client.ranks.distributed import World
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.types import Problem, Rollout
from sgpo_client.wire import GroupScores, ResponseScore, RewardGroup, ShapingParams

PROBLEMS = [Problem(id=str(number), text=f"{number}", answer="1") for number in range(100)]


class Prompts:
    def token_ids(self, problem: Problem) -> list[int]:
        return [int(problem.id)]


class SayNumbers(Sampler):
    """Finishes responses in order; each says its problem and its place in the group."""

    def __init__(self, before: Callable[[int], None] = lambda index: None) -> None:
        self.before = before
        self.seeds: list[int] = []
        self.closed = False

    def load_weights(self, policy: object) -> None: ...

    def stream(
        self, prompts: Sequence[list[int]], params: SamplingParams, seed: int
    ) -> Generator[tuple[int, Rollout], None, None]:
        self.seeds.append(seed)
        try:
            for index, prompt in enumerate(prompts):
                self.before(index)
                yield index, Rollout(prompt, [index], f"{prompt[0]} {index}", truncated=False)
        finally:
            self.closed = True


class Rewards:
    """Rewards of a group: differing for the problems that are named."""

    def __init__(self, informative: Callable[[int], bool] = lambda number: True) -> None:
        self.informative = informative
        self.asked: list[RewardGroup] = []
        self.seen = {str(number): threading.Event() for number in range(100)}

    def score(
        self, groups: Sequence[RewardGroup], shaping: ShapingParams, include_steps: bool = False
    ) -> list[GroupScores]:
        [group] = groups
        self.asked.append(group)
        self.seen[group.problem].set()
        differ = self.informative(int(group.problem))
        scores = tuple(
            ResponseScore(id=response.id, reward=0.1 * place * differ, status="judged", acc=0)
            for place, response in enumerate(group.responses)
        )
        return [GroupScores(group.group_id, True, scores)]


def collector(sampler: Sampler, rewards: Rewards, rank: int = 0, size: int = 1, rounds: int = 0) -> Collector:
    config = parse_config(
        {
            "model": {"name": "m"},
            "data": {"source": "reasoning_gym", "name": "gsm_symbolic", "num_problems": 100},
            "rollout": {"prompts_per_step": 4, "group_size": 2},
            "algo": {"dynamic_sampling": rounds},
        },
        "test",
    )
    world = World(rank=rank, size=size, local_rank=rank, device=torch.device("cpu"))
    return Collector(config, sampler, Prompts(), rewards, ProblemSampler(PROBLEMS, seed=0), world)  # type: ignore[arg-type]


def numbers_of_step(step: int) -> list[int]:
    return [int(problem.id) for problem in ProblemSampler(PROBLEMS, seed=0).batch(step, 4)]


def replacements_of_step(step: int, rounds: int) -> list[int]:
    return [int(problem.id) for problem in ProblemSampler(PROBLEMS, seed=0).replacements().batch(step, 4 * rounds)]


def test_a_group_is_sent_before_the_next_one_is_sampled() -> None:
    rewards, first = Rewards(), str(numbers_of_step(3)[0])

    def before(index: int) -> None:
        if index == 2:  # the second group begins: the first must be at the server already
            assert rewards.seen[first].wait(60)
        elif index == 1:
            assert not rewards.asked, "a group must be sent whole"

    batch = collector(SayNumbers(before), rewards).begin(3)()
    assert [int(group.problem.id) for group in batch.groups] == numbers_of_step(3)
    for place, group in enumerate(batch.groups):
        texts = [f"{group.problem.id} {2 * place}", f"{group.problem.id} {2 * place + 1}"]
        assert [rollout.text for rollout in group.rollouts] == texts
        assert [score.reward for score in group.scores] == [0.0, 0.1]


def test_ranks_have_different_problems_and_seeds() -> None:
    samplers = [SayNumbers(), SayNumbers()]
    batches = [collector(samplers[rank], Rewards(), rank, 2).begin(0)() for rank in (0, 1)]
    both = [int(group.problem.id) for batch in batches for group in batch.groups]
    assert sorted(both) == sorted(numbers_of_step(0))
    assert samplers[0].seeds != samplers[1].seeds


def test_groups_without_differences_are_replaced_until_there_are_enough() -> None:
    numbers = numbers_of_step(0) + replacements_of_step(0, rounds=3)
    flat = {numbers[1], numbers[3], numbers[4]}
    sampler = SayNumbers()
    batch = collector(sampler, Rewards(lambda number: number not in flat), rounds=3).begin(0)()
    # The first round gives 2 of 4; the second draws the 2 that are missing, of which one is flat; the third draws one.
    assert [int(group.problem.id) for group in batch.groups] == [numbers[place] for place in (0, 2, 5, 8)]
    assert {int(group.problem.id) for group in batch.replaced} == flat
    assert batch.num_rounds == 3
    assert len(set(sampler.seeds)) == 3


def test_rounds_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    batch = collector(SayNumbers(), Rewards(lambda number: False), rounds=2).begin(1)()
    assert batch.groups == []
    assert (len(batch.replaced), batch.num_rounds) == (12, 3)
    assert "only 0 of 4 groups have different rewards after 3 rounds" in caplog.text


def test_without_dynamic_sampling_every_group_stays() -> None:
    batch = collector(SayNumbers(), Rewards(lambda number: False)).begin(0)()
    assert (len(batch.groups), batch.replaced, batch.num_rounds) == (4, [], 1)


def test_stopping_gives_up_what_is_being_sampled() -> None:
    sampler = SayNumbers()
    collecting = collector(sampler, Rewards())
    sampler.before = lambda index: collecting.close() if index == 3 else None
    with pytest.raises(Stopped):
        collecting.begin(0)
    assert sampler.closed


def test_an_epoch_is_as_long_with_more_rounds() -> None:
    rewards = Rewards(lambda number: False)
    for step in range(len(PROBLEMS) // 4):
        collector(SayNumbers(), rewards, rounds=2).begin(step)()
    seen = [[int(group.problem) for group in rewards.asked[start:][:4]] for start in range(0, len(rewards.asked), 12)]
    assert sorted(number for first_round in seen for number in first_round) == list(range(len(PROBLEMS)))


def test_replacements_differ_between_rounds_and_steps() -> None:
    drawn = [replacements_of_step(step, rounds=2) for step in (0, 1)]
    assert len({number for numbers in drawn for number in numbers}) == 2 * 2 * 4
    assert replacements_of_step(0, rounds=1) != numbers_of_step(0)

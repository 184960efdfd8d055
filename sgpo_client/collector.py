"""The scored groups of a step: responses go to the reward server as soon as their group is complete."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

from sgpo_client.advantage import is_informative
from sgpo_client.config import TrainConfig
from sgpo_client.data.order import ProblemSampler
from sgpo_client.ranks.distributed import World
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.scoring import GroupsUnderWay, Scores
from sgpo_client.seeds import derive_seed
from sgpo_client.types import Problem, Rollout, ScoredGroup

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The run ends: what was being sampled is given up."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What this rank learns from in a step."""

    groups: list[ScoredGroup]
    replaced: list[ScoredGroup] = field(default_factory=list)
    """Groups without differences that others were sampled for (dynamic sampling): counted, not trained on."""
    num_rounds: int = 1
    """Times that problems were drawn."""
    sample_s: float = 0.0
    """Seconds spent sampling."""
    reward_s: float = 0.0
    """Seconds spent waiting for rewards when nothing was left to sample."""


class Collector:
    """Samples and scores this rank's share of a step's problems; holds no collective, so any thread may run it.

    Args:
        config: of the run.
        sampler: with the weights to sample from.
        prompts: problems to token ids.
        client: of the reward server.
        problems: which problems each step has.
        world: this rank among all.
    """

    def __init__(
        self,
        config: TrainConfig,
        sampler: Sampler,
        prompts: PromptBuilder,
        client: Scores,
        problems: ProblemSampler,
        world: World,
    ) -> None:
        self._config = config
        self._sampler = sampler
        self._prompts = prompts
        self._client = client
        self._problems = problems
        self._replacements = problems.replacements()
        self._world = world
        table = config.rollout
        self._params = SamplingParams(
            table.max_new_tokens,
            table.temperature,
            table.top_p,
            table.batch_size,
            logprobs=table.engine != "transformers" or table.staleness > 0,
        )
        self._extra_rounds = config.algo.resolved.dynamic_sampling
        self._pool = ThreadPoolExecutor(config.reward.max_concurrency, thread_name_prefix="rewards")
        self._stopping = threading.Event()

    def begin(self, step: int) -> Callable[[], Batch]:
        """Sample the step's responses; what is returned waits for their rewards.

        With dynamic sampling the rewards decide what is sampled next, and this waits for them itself.

        Raises:
            RewardError, SamplerError: when a server stayed away. `Stopped` after `stop`.
        """
        problems = self._share(step, 0)
        sampled, sample_s = self._sampled(problems, (step, self._world.rank))
        if not self._extra_rounds:
            return lambda: _finished(sampled, sample_s)
        batch = self._with_more_rounds(step, len(problems), _finished(sampled, sample_s))
        return lambda: batch

    def stop(self) -> None:
        """Give up what is being sampled; a call of `begin` ends with `Stopped`."""
        self._stopping.set()

    def close(self) -> None:
        """End the threads; requests under way are left to themselves."""
        self.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _with_more_rounds(self, step: int, wanted: int, batch: Batch) -> Batch:
        """Draw new problems in the place of groups that all have one reward (DAPO, arXiv 2503.14476, section 3.2)."""
        quantum = self._config.sgpo.quantum
        kept, replaced = _split(batch.groups, quantum)
        sample_s, reward_s, rounds = batch.sample_s, batch.reward_s, 1
        while len(kept) < wanted and rounds <= self._extra_rounds:
            missing = self._share(step, rounds)[: wanted - len(kept)]
            sampled, seconds = self._sampled(missing, (step, self._world.rank, rounds))
            more = _finished(sampled, seconds)
            informative, others = _split(more.groups, quantum)
            kept, replaced = kept + informative, replaced + others
            sample_s, reward_s, rounds = sample_s + more.sample_s, reward_s + more.reward_s, rounds + 1
        if len(kept) < wanted:
            logger.warning(
                "step %d: only %d of %d groups have different rewards after %d rounds (algo.dynamic_sampling = %d)",
                *(step, len(kept), wanted, rounds, self._extra_rounds),
            )
        return Batch(kept, replaced, rounds, sample_s, reward_s)

    def _share(self, step: int, round_: int) -> list[Problem]:
        """This rank's problems of a round. Epochs are of the first rounds: what the others draw shortens none."""
        per_step = self._config.rollout.prompts_per_step
        if round_ == 0:
            problems = self._problems.batch(step, per_step)
        else:
            problems = self._replacements.batch(step * self._extra_rounds + round_ - 1, per_step)
        return problems[self._world.rank :: self._world.size]

    def _sampled(self, problems: Sequence[Problem], seed_of: tuple[int, ...]) -> tuple[GroupsUnderWay, float]:
        """G responses to each problem, each group sent to the reward server when its last one is finished."""
        config = self._config
        under_way = GroupsUnderWay(self._client, self._pool, config.shaping, config.reward.deadline_s)
        size = config.rollout.group_size
        prompts = [ids for ids in map(self._prompts.token_ids, problems) for _ in range(size)]
        finished: list[dict[int, Rollout]] = [{} for _ in problems]
        started = time.perf_counter()
        with closing(self._sampler.stream(prompts, self._params, derive_seed(config.run.seed, *seed_of))) as responses:
            for index, rollout in responses:
                if self._stopping.is_set():
                    raise Stopped
                position, member = divmod(index, size)
                group = finished[position]
                group[member] = rollout
                if len(group) == size:
                    under_way.send(position, (problems[position], [group[each] for each in range(size)]))
        return under_way, time.perf_counter() - started


def _split(groups: Sequence[ScoredGroup], quantum: float) -> tuple[list[ScoredGroup], list[ScoredGroup]]:
    """The informative groups, and the others."""
    kept = [group for group in groups if is_informative(group, quantum)]
    return kept, [group for group in groups if not is_informative(group, quantum)]


def _finished(under_way: GroupsUnderWay, sample_s: float) -> Batch:
    started = time.perf_counter()
    groups = under_way.results()
    return Batch(groups, sample_s=sample_s, reward_s=time.perf_counter() - started)

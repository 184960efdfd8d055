"""The training loop: sample, reward, update, sync, once per step.

Every rank samples and scores its own problems; only gradients, a few sums and the decision to stop cross ranks. The
problems of a step follow from (seed, step) and the sampling seed from (seed, step, rank), so a resumed run needs only
the step number to go on as if it had never stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sgpo_client.advantage import all_negative_weight, scored_group_advantages
from sgpo_client.ahead import Ahead
from sgpo_client.checkpoint.writer import CheckpointWriter
from sgpo_client.collector import Batch, Collector
from sgpo_client.config import TrainConfig
from sgpo_client.data.order import ProblemSampler
from sgpo_client.errors import CheckpointError, Interrupted, RewardError, SamplerError, TrainingError
from sgpo_client.evaluate import eval_row, evaluate, merged
from sgpo_client.examples import make_examples
from sgpo_client.log.run_log import RunLog
from sgpo_client.log.step_metrics import PhaseClock, group_sums, step_metrics
from sgpo_client.offline import OfflineGroups, centred_on_start
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import World, all_gather_objects, all_reduce_sums
from sgpo_client.ranks.interrupt import StopSignal
from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.types import Problem, ScoredGroup
from sgpo_client.update import PolicyUpdater, UpdateStats

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop works with; made by `sgpo_client.assembly`."""

    world: World
    updater: PolicyUpdater
    sampler: Sampler
    prompts: PromptBuilder
    client: RewardClient
    problems: ProblemSampler
    eval_problems: list[Problem]
    folder: Path
    stop: StopSignal
    offline: OfflineGroups | None = None
    """Recorded groups to train on; nothing is sampled for training then."""


class Trainer:
    """Runs the steps of one configuration.

    Args:
        start_step: finished steps of the checkpoint that the parts were loaded from; 0 for a new run.
    """

    def __init__(self, config: TrainConfig, parts: Parts, start_step: int = 0) -> None:
        self._config = config
        self._parts = parts
        self._step = start_step
        self._sampler_is_behind = True
        self._collector = Collector(config, parts.sampler, parts.prompts, parts.client, parts.problems, parts.world)
        self._ahead: Ahead[Batch] = Ahead(self._collector.begin, config.rollout.staleness, config.run.steps)
        self._checkpoints = CheckpointWriter(
            parts.folder / "checkpoints",
            fingerprint=config.fingerprint(),
            keep=config.run.keep_checkpoints,
            background=config.run.async_save,
        )

    def run(self) -> bool:
        """Train to ``run.steps``, with an evaluation before and after, and every ``eval.every`` steps.

        Returns:
            False when SIGTERM ended it early; a checkpoint has been saved then.

        Raises:
            RewardError, SamplerError: when a server stayed away past the deadline. A checkpoint has been saved then.
        """
        with (
            closing(self._ahead),
            closing(self._collector),
            RunLog(self._config, self._parts.folder, self._parts.world, self._step) as log,
        ):
            try:
                is_finished = self._steps(log)
            except Interrupted:
                is_finished = False
            if not is_finished:
                self.save()
                logger.info("stopped by SIGTERM after step %d; go on with --set run.resume=true", self._step)
        return is_finished

    def _steps(self, log: RunLog) -> bool:
        """All that are left; False when SIGTERM came between two."""
        self._evaluate_if_due(log)
        while self._step < self._config.run.steps:
            if self._parts.stop.on_any_rank():
                return False
            self._train_step(log)
            self._save_if_due()
            self._evaluate_if_due(log)
        return True

    def save(self) -> None:
        """Write a checkpoint of the finished steps; all ranks must call it."""
        self._begin_save()
        self._checkpoints.wait()

    def _begin_save(self) -> None:
        self._checkpoints.save(self._step, self._parts.updater.policy, self._parts.updater.optimizer)

    def _train_step(self, log: RunLog) -> None:
        clock = PhaseClock()
        with clock.phase("step"):
            batch = self._batch(clock)
            groups = batch.groups
            advantages = self._advantages(groups)
            with clock.phase("train"):
                stats = self._updated(groups, advantages)
            self._sampler_is_behind |= stats.num_sequences > 0
        self._step += 1
        sums = all_reduce_sums(
            {
                **group_sums([*groups, *batch.replaced], self._config.sgpo.quantum),
                "replaced": float(len(batch.replaced)),
            }
        )
        metrics = {
            "step": self._step,
            **step_metrics(sums),
            **stats.metrics(),
            "num_replaced_groups": sums["replaced"],
            "lr": self._parts.updater.learning_rate,
            "tokens_per_s": sums["response_tokens"] / clock.seconds["step"],
            **{f"time_{name}_s": clock.seconds[name] for name in ("sample", "reward", "train", "sync", "step")},
        }
        unused = [[0.0] * len(group.rollouts) for group in batch.replaced]
        log.write_step(metrics, [*groups, *batch.replaced], [*advantages, *unused])

    def _batch(self, clock: PhaseClock) -> Batch:
        """This rank's scored groups of the step: recorded ones, or sampled by now."""
        parts = self._parts
        if parts.offline is not None:
            return Batch(parts.offline.batch(self._step, self._config.rollout.prompts_per_step, parts.world))
        self._sync_sampler(clock)
        batch = self._served(lambda: self._ahead.take(self._step))
        clock.seconds["sample"] += batch.sample_s
        clock.seconds["reward"] += batch.reward_s
        return batch

    def _advantages(self, groups: Sequence[ScoredGroup]) -> list[list[float]]:
        """[groups][G] one advantage for each response."""
        config = self._config
        weight = all_negative_weight(config.sgpo, self._step, config.run.steps)
        return [scored_group_advantages(group, config.algo.resolved, config.sgpo, weight) for group in groups]

    def _updated(self, groups: Sequence[ScoredGroup], advantages: Sequence[Sequence[float]]) -> UpdateStats:
        """Learn from the groups; when the numbers break down, save the last good weights and stop."""
        config = self._config
        examples, size = make_examples(
            groups,
            advantages,
            self._parts.prompts.decode,
            credit=config.credit,
            suffix_penalty=config.sgpo.suffix_penalty,
            mask_truncated=config.algo.resolved.mask_truncated,
        )
        if self._parts.offline is not None:
            examples = centred_on_start(examples)
        try:
            return self._parts.updater.update(examples, size, self._step)
        except TrainingError as error:
            self.save()
            raise TrainingError(f"{error}. Stopped after step {self._step}") from error

    def _served(self, work: Callable[[], T]) -> T:
        """``work``, which asks servers, on every rank; without an answer all save a checkpoint and stop."""
        try:
            return together(work)
        except (RewardError, SamplerError) as error:
            self.save()
            kind = SamplerError if isinstance(error, SamplerError) else RewardError
            raise kind(
                f"{error}. Stopped after step {self._step}, the checkpoint is in {self._parts.folder}; "
                "when the server is back, go on with --set run.resume=true"
            ) from error

    def _sync_sampler(self, clock: PhaseClock) -> None:
        """Give the sampler the present weights; nothing is being sampled afterwards."""
        with clock.phase("sync"):
            self._ahead.settle()
            if self._sampler_is_behind:
                self._served(lambda: self._parts.sampler.load_weights(self._parts.updater.policy))
                self._sampler_is_behind = False

    def _evaluate_if_due(self, log: RunLog) -> None:
        """Before the first step, after the last, and in between as `eval.every` says; never twice."""
        table, parts = self._config.eval, self._parts
        is_due = self._step in (0, self._config.run.steps) or (table.every and self._step % table.every == 0)
        if not (table.enabled and parts.eval_problems and is_due) or log.is_evaluated(self._step):
            return
        clock = PhaseClock()
        self._sync_sampler(clock)
        params = SamplingParams(table.max_new_tokens, temperature=0, batch_size=self._config.rollout.batch_size)
        share = parts.eval_problems[parts.world.rank :: parts.world.size]
        with clock.phase("eval"):
            result = self._served(lambda: evaluate(parts.sampler, parts.prompts, parts.client, share, params))
            result = merged(all_gather_objects(result))
        log.write_evaluation(eval_row(self._step, result, parts.eval_problems) | {"time_s": clock.seconds["eval"]})

    def _save_if_due(self) -> None:
        every = self._config.run.save_every
        if self._step == self._config.run.steps:
            self.save()
        elif every and self._step % every == 0:
            try:
                self._begin_save()
            except CheckpointError as error:  # a full disk is no reason to lose what has been learnt
                if self._parts.world.is_main:
                    logger.warning("%s. Training goes on", error)

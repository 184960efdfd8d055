"""The training loop: sample, reward, update, sync, once per step.

Every rank samples and scores its own problems; only gradients, a few sums and the decision to stop cross ranks. The
problems of a step follow from (seed, step) and the sampling seed from (seed, step, rank), so a resumed run needs only
the step number to go on as if it had never stopped.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from sgpo_client import checkpoint
from sgpo_client.advantage import scored_group_advantages
from sgpo_client.agreement import together
from sgpo_client.config import TrainConfig
from sgpo_client.data import ProblemSampler
from sgpo_client.distributed import World, all_reduce_sums, broadcast_object
from sgpo_client.errors import RewardError
from sgpo_client.evaluate import EvalCounts, evaluate
from sgpo_client.fsdp import copy_weights
from sgpo_client.metrics import MetricsWriter, StepDisplay, read_json_lines
from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.hf import HFSampler, SamplingParams
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.samples import append_rows, sample_rows
from sgpo_client.scoring import score_groups
from sgpo_client.step_metrics import PhaseClock, group_sums, step_metrics
from sgpo_client.types import Example, Problem, Rollout, ScoredGroup
from sgpo_client.update import PolicyUpdater

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop works with; made by `sgpo_client.assembly`."""

    world: World
    updater: PolicyUpdater
    sampler: HFSampler
    prompts: PromptBuilder
    client: RewardClient
    problems: ProblemSampler
    eval_problems: list[Problem]
    folder: Path


class Trainer:
    """Runs the steps of one configuration.

    Args:
        start_step: finished steps of the checkpoint that the parts were loaded from; 0 for a new run.
    """

    def __init__(self, config: TrainConfig, parts: Parts, start_step: int = 0) -> None:
        self._config = config
        self._parts = parts
        self._step = start_step
        table = config.rollout
        self._sampling = SamplingParams(table.max_new_tokens, table.temperature, table.top_p, table.batch_size)

    def run(self) -> None:
        """Train to ``run.steps``, with an evaluation before and after.

        Raises:
            RewardError: when the reward server stayed away past the deadline. A checkpoint has been saved then.
        """
        self._sync_sampler(PhaseClock())
        if self._step == 0:
            self._evaluate()
        total = self._config.run.steps
        with (
            StepDisplay(total, initial_step=self._step, rank=self._parts.world.rank) as display,
            self._writer() as writer,
        ):
            while self._step < total:
                metrics = self._train_step()
                if writer is not None:
                    writer.write(metrics)
                    display.show(metrics)
                self._save_if_due()
        self._evaluate()

    def save(self) -> None:
        """Write a checkpoint of the finished steps; all ranks must call it."""
        updater = self._parts.updater
        checkpoint.save(
            self._parts.folder / "checkpoints",
            self._step,
            updater.policy,
            updater.optimizer,
            extra={},
            fingerprint=self._config.fingerprint(),
            keep=self._config.run.keep_checkpoints,
        )

    def _train_step(self) -> dict[str, Any]:
        clock = PhaseClock()
        with clock.phase("step"):
            with clock.phase("sample"):
                rollouts = self._sample()
            with clock.phase("reward"):
                groups = self._rewarded(lambda: self._score(rollouts))
            advantages = [scored_group_advantages(group, self._config.algo) for group in groups]
            with clock.phase("train"):
                stats = self._parts.updater.update(*examples_of(groups, advantages), self._step)
            if stats.num_sequences:
                self._sync_sampler(clock)
        self._step += 1
        self._write_samples(groups, advantages)
        sums = all_reduce_sums(group_sums(groups))
        return {
            "step": self._step,
            **step_metrics(sums),
            "loss": stats.loss,
            "grad_norm": stats.grad_norm,
            "clip_share": stats.clip_share,
            "entropy": stats.entropy,
            "lr": self._parts.updater.learning_rate,
            "num_trained_sequences": stats.num_sequences,
            "tokens_per_s": sums["response_tokens"] / clock.seconds["step"],
            **{f"time_{name}_s": clock.seconds[name] for name in ("sample", "reward", "train", "sync", "step")},
        }

    def _sample(self) -> list[tuple[Problem, list[Rollout]]]:
        """G responses to each of this rank's problems of the step."""
        config, parts = self._config, self._parts
        batch = parts.problems.batch(self._step, config.rollout.prompts_per_step)
        problems = batch[parts.world.rank :: parts.world.size]
        size = config.rollout.group_size
        prompts = [ids for ids in map(parts.prompts.token_ids, problems) for _ in range(size)]
        seed = derive_seed(config.run.seed, self._step, parts.world.rank)
        rollouts = parts.sampler.sample(prompts, self._sampling, seed)
        return [(problem, rollouts[i * size : (i + 1) * size]) for i, problem in enumerate(problems)]

    def _score(self, rollouts: list[tuple[Problem, list[Rollout]]]) -> list[ScoredGroup]:
        return score_groups(self._parts.client, rollouts, self._config.shaping, self._config.reward.deadline_s)

    def _rewarded(self, work: Callable[[], T]) -> T:
        """``work``, which asks the reward server, on every rank; without an answer all save a checkpoint and stop."""
        try:
            return together(work)
        except RewardError as error:
            self.save()
            raise RewardError(
                f"{error}. Stopped after step {self._step}, the checkpoint is in {self._parts.folder}; "
                "when the server is back, go on with --set run.resume=true"
            ) from error

    def _sync_sampler(self, clock: PhaseClock) -> None:
        with clock.phase("sync"):
            copy_weights(self._parts.updater.policy, self._parts.sampler.model)

    def _evaluate(self) -> None:
        parts = self._parts
        if not self._config.eval.enabled or not parts.eval_problems or self._is_evaluated():
            return
        params = SamplingParams(self._config.eval.max_new_tokens, temperature=0, batch_size=self._sampling.batch_size)
        share = parts.eval_problems[parts.world.rank :: parts.world.size]
        counts = self._rewarded(lambda: evaluate(parts.sampler, parts.prompts, parts.client, share, params))
        total = EvalCounts(**{name: int(value) for name, value in all_reduce_sums(asdict(counts)).items()})
        if parts.world.is_main and total.num_problems:
            logger.info("step %d: %d of %d held-out answers right", self._step, total.num_correct, total.num_problems)
            row = {"step": self._step, "accuracy": total.num_correct / total.num_problems, **asdict(total)}
            append_rows(parts.folder / "eval.jsonl", [row])

    def _is_evaluated(self) -> bool:
        """Whether the interrupted run has done this step's evaluation: it is neither repeated nor left out."""
        path = self._parts.folder / "eval.jsonl"
        is_main = self._parts.world.is_main
        return broadcast_object(is_main and any(row.get("step") == self._step for _, row in read_json_lines(path)))

    def _write_samples(self, groups: list[ScoredGroup], advantages: list[list[float]]) -> None:
        if self._parts.world.is_main:
            rows = sample_rows(self._step, groups, advantages, self._config.run.samples_per_step)
            append_rows(self._parts.folder / "samples.jsonl", rows)

    def _writer(self) -> AbstractContextManager[MetricsWriter | None]:
        if not self._parts.world.is_main:
            return nullcontext()
        return MetricsWriter(self._parts.folder / "metrics.jsonl", resume_step=self._step)

    def _save_if_due(self) -> None:
        every = self._config.run.save_every
        if self._step == self._config.run.steps or (every and self._step % every == 0):
            self.save()


def examples_of(groups: Sequence[ScoredGroup], advantages: Sequence[Sequence[float]]) -> tuple[list[Example], int]:
    """Examples of this rank's groups, and the tokens that the loss is divided by: those of scored responses."""
    examples, num_tokens = [], 0
    for group, row in zip(groups, advantages, strict=True):
        for rollout, score, advantage in zip(group.rollouts, group.scores, row, strict=True):
            if score.reward is not None:
                examples.append(Example(rollout.prompt_ids, rollout.response_ids, advantage))
                num_tokens += len(rollout.response_ids)
    return examples, num_tokens


def derive_seed(*parts: int) -> int:
    """A seed in [0, 2**63) that depends on all parts and their order."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1

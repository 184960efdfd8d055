"""One policy update: examples to gradients to optimiser steps, with all ranks in step."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sgpo_client.config import TrainConfig
from sgpo_client.distributed import World, all_gather_objects, all_reduce_max, all_reduce_sums
from sgpo_client.fsdp import Sharding, begin_micro_batch, clip_grad_norm
from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import policy_loss
from sgpo_client.microbatch import MicroBatch, make_micro_batches, pad_to, partition
from sgpo_client.types import Example

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """What an update did, over all ranks; None where there was nothing to learn from."""

    num_sequences: int
    """Sequences with an advantage other than 0: the others have no gradient and are left out."""
    loss: float | None = None
    grad_norm: float | None = None
    """Before clipping, of the last optimiser step."""
    clip_share: float | None = None
    entropy: float | None = None
    """Mean entropy of the token distributions, in nats."""


class PolicyUpdater:
    """Owns the sharded policy and its optimiser."""

    def __init__(
        self, policy: PreTrainedModel, optimizer: Optimizer, sharding: Sharding, config: TrainConfig, world: World
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self._sharding = sharding
        self._config = config
        self._world = world

    def update(self, examples: Sequence[Example], num_tokens: int, step: int) -> UpdateStats:
        """Learn from this rank's examples; every rank must call it.

        Args:
            examples: with their advantages.
            num_tokens: response tokens of this rank's scored responses; their sum over the ranks divides the loss.
            step: finished steps so far, for the learning-rate warm-up.
        """
        useful = [example for example in examples if example.advantage != 0.0 and example.response_ids]
        everyones = list(chain.from_iterable(all_gather_objects(useful)))
        if not everyones:
            return UpdateStats(num_sequences=0)  # no optimiser step: momentum alone would move the weights
        total_tokens = int(all_reduce_sums({"tokens": num_tokens})["tokens"])
        # What is useful may all have come up on one rank: the sequences are dealt out again by their lengths.
        micro_batches = self._micro_batches(partition(everyones, self._world.size)[self._world.rank])
        self._set_learning_rate(step)
        if self._config.algo.epochs > 1:
            micro_batches = [self._with_old_logprobs(micro_batch) for micro_batch in micro_batches]
        for _ in range(self._config.algo.epochs):
            sums, grad_norm = self._optimizer_step(micro_batches, total_tokens)
        return UpdateStats(
            num_sequences=len(everyones),
            loss=sums["loss"],
            grad_norm=grad_norm,
            clip_share=sums["clipped"] / sums["tokens"],
            entropy=sums["entropy"] / sums["tokens"],
        )

    @property
    def learning_rate(self) -> float:
        """Of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def _optimizer_step(self, micro_batches: list[MicroBatch], num_tokens: int) -> tuple[dict[str, float], float]:
        sums: Counter[str] = Counter(loss=0, clipped=0, tokens=0, entropy=0)
        for index, micro_batch in enumerate(micro_batches):
            begin_micro_batch(self.policy, self._sharding, is_last=index == len(micro_batches) - 1)
            self._forward_backward(micro_batch.to(self._world.device), num_tokens, sums)
        grad_norm = clip_grad_norm(self.policy, self._config.optim.grad_clip)
        if math.isfinite(grad_norm):  # the norm is that of all ranks: they step, or do not, together
            self.optimizer.step()
        else:
            logger.warning("the gradient is not finite (norm %s): this update is skipped", grad_norm)
        self.optimizer.zero_grad()
        return all_reduce_sums({name: float(value) for name, value in sums.items()}), grad_norm

    def _forward_backward(self, batch: MicroBatch, num_tokens: int, sums: Counter[str]) -> None:
        algo = self._config.algo
        tokens = response_logprobs(self.policy, batch, self._config.rollout.temperature)
        output = policy_loss(
            tokens.logprobs,
            batch.old_logprobs,
            batch.advantages,
            batch.response_mask,
            algo.clip_eps_low,
            algo.clip_eps_high,
            num_tokens,
        )
        output.loss.backward()
        for name, value in (
            ("loss", output.loss),
            ("clipped", output.num_clipped),
            ("tokens", output.num_tokens),
            ("entropy", tokens.entropy.sum()),
        ):
            sums[name] += value.item()

    def _micro_batches(self, examples: Sequence[Example]) -> list[MicroBatch]:
        micro_batches = make_micro_batches(examples, self._config.optim.micro_batch_tokens)
        return pad_to(micro_batches, int(all_reduce_max(len(micro_batches))))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _with_old_logprobs(self, micro_batch: MicroBatch) -> MicroBatch:
        """Fix the centre of the clipping range at the present policy, for several optimiser steps on one batch."""
        begin_micro_batch(self.policy, self._sharding, is_last=False)
        batch = micro_batch.to(self._world.device)
        tokens = response_logprobs(self.policy, batch, self._config.rollout.temperature)
        return replace(batch, old_logprobs=tokens.logprobs)

    def _set_learning_rate(self, step: int) -> None:
        optim = self._config.optim
        scale = min(1.0, (step + 1) / optim.warmup_steps) if optim.warmup_steps else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * scale

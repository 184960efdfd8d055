"""One policy update: examples to gradients to optimiser steps, with all ranks in step."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain

import torch
from torch.optim import Optimizer
from transformers import PreTrainedModel

from sgpo_client.config import TrainConfig
from sgpo_client.errors import TrainingError
from sgpo_client.importance import mismatch, truncated_weights
from sgpo_client.logprobs import response_logprobs
from sgpo_client.loss import BatchSize, policy_loss, token_weight
from sgpo_client.microbatch import MicroBatch, make_micro_batches, pad_to, partition
from sgpo_client.ranks.distributed import World, all_gather_objects, all_reduce_max, all_reduce_sums
from sgpo_client.ranks.fsdp import Sharding, begin_micro_batch, clip_grad_norm, free_gathered
from sgpo_client.types import Example

logger = logging.getLogger(__name__)

_SUMS = ("loss", "clipped", "tokens", "entropy", "kl", "mismatch", "mismatch_kl")
_MAX_RATIO = "mismatch_max_ratio"


@dataclass(frozen=True, slots=True)
class UpdateStats:
    """What an update did, over all ranks; None where there was nothing to learn from."""

    num_sequences: int
    """Sequences that were trained on: without a reference model those of advantage 0 have no gradient."""
    loss: float | None = None
    grad_norm: float | None = None
    """Before clipping, of the last optimiser step."""
    clip_share: float | None = None
    entropy: float | None = None
    """Mean entropy of the token distributions, in nats."""
    kl: float | None = None
    """Mean divergence from the reference model (k3), in nats; None without one."""
    padding_share: float | None = None
    """Of this rank's positions that went through the model."""
    skipped: int = 0
    """Optimiser steps left out because the gradient was not finite."""
    mismatch_logprob: float | None = None
    """Mean absolute difference of log-probabilities between policy and sampler; None when the policy itself sampled."""
    mismatch_kl: float | None = None
    mismatch_max_ratio: float | None = None

    def metrics(self) -> dict[str, float | None]:
        """The fields as metrics of a step; ``num_sequences`` is called num_trained_sequences."""
        values = asdict(self)
        return {"num_trained_sequences": values.pop("num_sequences"), **values}


class PolicyUpdater:
    """Owns the sharded policy and its optimiser.

    Args:
        policy: sharded.
        optimizer: over its parameters.
        sharding: as the policy was sharded.
        config: of the run.
        world: of this rank.
        reference: the model that the run began with, not sharded; for `algo.kl_coef` > 0.
    """

    def __init__(
        self,
        policy: PreTrainedModel,
        optimizer: Optimizer,
        sharding: Sharding,
        config: TrainConfig,
        world: World,
        reference: PreTrainedModel | None = None,
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self._sharding = sharding
        self._config = config
        self._algorithm = config.algo.resolved
        self._world = world
        self._reference = reference
        self._skipped_in_a_row = 0

    def update(self, examples: Sequence[Example], batch_size: BatchSize, step: int) -> UpdateStats:
        """Learn from this rank's examples; every rank must call it.

        Args:
            examples: with their advantages.
            batch_size: of this rank's scored responses; its sum over the ranks divides the loss.
            step: finished steps so far, for the learning-rate warm-up.

        Raises:
            TrainingError: when the gradient was not finite in too many optimiser steps in a row.
        """
        useful = [
            example for example in examples if example.response_ids and (example.has_advantage or self._reference)
        ]
        everyones = list(chain.from_iterable(all_gather_objects(useful)))
        if not everyones:
            return UpdateStats(num_sequences=0)  # no optimiser step: momentum alone would move the weights
        total = BatchSize(**{name: int(value) for name, value in all_reduce_sums(batch_size._asdict()).items()})
        # What is useful may all have come up on one rank: the sequences are dealt out again by their lengths.
        own = partition(everyones, self._world.size)[self._world.rank]
        micro_batches = [self._with_fixed_logprobs(each) for each in self._micro_batches(own, total)]
        self._set_learning_rate(step)
        skipped = 0
        for _ in range(self._config.algo.epochs):
            sums, grad_norm = self._optimizer_step(micro_batches)
            skipped += self._step_or_skip(grad_norm)
        return self._stats(len(everyones), sums, grad_norm, skipped, padding_share(own, micro_batches))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def logprobs(self, examples: Sequence[Example]) -> list[list[float]]:
        """[N][R] log-probabilities of this rank's examples under the policy as it is; every rank must call it."""
        kept = [index for index, example in enumerate(examples) if example.response_ids]
        # The order that micro-batches are made in: longest first.
        order = sorted(kept, key=lambda index: examples[index].num_tokens, reverse=True)
        batches = make_micro_batches([examples[i] for i in kept], self._config.optim.micro_batch_tokens, lambda _: 0.0)
        rows: list[list[float]] = []
        for batch in pad_to(batches, int(all_reduce_max(len(batches)))):
            begin_micro_batch(self.policy, self._sharding, is_last=False)
            placed = batch.to(self._world.device)
            found = response_logprobs(self.policy, placed, self._config.rollout.temperature).logprobs
            rows += [row[mask].tolist() for row, mask in zip(found, placed.response_mask, strict=True)]
        free_gathered(self.policy)
        by_index = dict(zip(order, rows, strict=False))  # the rows of padding batches are left over
        return [by_index.get(index, []) for index in range(len(examples))]

    @property
    def learning_rate(self) -> float:
        """Of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def _optimizer_step(self, micro_batches: list[MicroBatch]) -> tuple[dict[str, float], float]:
        """Gradients of the whole step; their sums on this rank and their norm over all ranks."""
        sums = dict.fromkeys((*_SUMS, _MAX_RATIO), 0.0)
        for index, micro_batch in enumerate(micro_batches):
            begin_micro_batch(self.policy, self._sharding, is_last=index == len(micro_batches) - 1)
            self._forward_backward(micro_batch.to(self._world.device), sums)
        return sums, clip_grad_norm(self.policy, self._config.optim.grad_clip)

    def _step_or_skip(self, grad_norm: float) -> bool:
        """Step, unless the gradient is not finite; True when skipped."""
        finite = math.isfinite(grad_norm)  # the norm is that of all ranks: they step, or do not, together
        if finite:
            self.optimizer.step()
            self._skipped_in_a_row = 0
        else:
            self._skipped_in_a_row += 1
            logger.warning("the gradient is not finite (norm %s): this update is skipped", grad_norm)
        self.optimizer.zero_grad()
        if self._skipped_in_a_row >= self._config.optim.max_skipped:
            raise TrainingError(
                f"the gradient was not finite in {self._skipped_in_a_row} updates in a row (optim.max_skipped): the "
                "weights of the last checkpoint are finite; go on from there with a lower optim.lr or a longer "
                "optim.warmup_steps, and with model.dtype = 'float32' if this happens in bfloat16"
            )
        return not finite

    def _forward_backward(self, batch: MicroBatch, sums: dict[str, float]) -> None:
        algorithm, algo = self._algorithm, self._config.algo
        tokens = response_logprobs(self.policy, batch, self._config.rollout.temperature)
        weights = batch.weights
        if batch.sampler_logprobs is not None:
            centre = tokens.logprobs if batch.old_logprobs is None else batch.old_logprobs
            apart = mismatch(centre, batch.sampler_logprobs, batch.response_mask)
            sums["mismatch"] += apart.abs_sum.item()
            sums["mismatch_kl"] += apart.kl_sum.item()
            sums[_MAX_RATIO] = max(sums[_MAX_RATIO], apart.max_ratio.item())
            if algo.tis_cap:
                weights = weights * truncated_weights(centre, batch.sampler_logprobs, batch.response_mask, algo.tis_cap)
        output = policy_loss(
            tokens.logprobs,
            batch.old_logprobs,
            batch.advantages,
            weights,
            batch.response_mask,
            algorithm.clip_eps_low,
            algorithm.clip_eps_high,
            algorithm.ratio,
            batch.ref_logprobs,
            algo.kl_coef,
        )
        output.loss.backward()
        for name, value in (
            ("loss", output.loss),
            ("clipped", output.num_clipped),
            ("tokens", output.num_tokens),
            ("entropy", tokens.entropy.sum()),
            ("kl", output.kl_sum),
        ):
            sums[name] += value.item()

    def _stats(
        self, num_sequences: int, sums: dict[str, float], grad_norm: float, skipped: int, padding: float
    ) -> UpdateStats:
        max_ratio = all_reduce_max(sums[_MAX_RATIO])
        totals = all_reduce_sums({name: sums[name] for name in _SUMS})
        tokens = totals["tokens"]
        sampled_elsewhere = max_ratio > 0
        return UpdateStats(
            num_sequences=num_sequences,
            loss=totals["loss"],
            grad_norm=grad_norm,
            clip_share=totals["clipped"] / tokens,
            entropy=totals["entropy"] / tokens,
            kl=totals["kl"] / tokens if self._reference else None,
            padding_share=padding,
            skipped=skipped,
            mismatch_logprob=totals["mismatch"] / tokens if sampled_elsewhere else None,
            mismatch_kl=totals["mismatch_kl"] / tokens if sampled_elsewhere else None,
            mismatch_max_ratio=max_ratio if sampled_elsewhere else None,
        )

    def _micro_batches(self, examples: Sequence[Example], total: BatchSize) -> list[MicroBatch]:
        reduction, max_new_tokens = self._algorithm.reduction, self._config.rollout.max_new_tokens
        micro_batches = make_micro_batches(
            examples,
            self._config.optim.micro_batch_tokens,
            lambda example: token_weight(reduction, total, len(example.response_ids), max_new_tokens),
        )
        return pad_to(micro_batches, int(all_reduce_max(len(micro_batches))))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _with_fixed_logprobs(self, micro_batch: MicroBatch) -> MicroBatch:
        """Add the log-probabilities that stay the same over the optimiser steps on one batch.

        Those of the reference model, and for several steps those of the present policy, the centre of the clipping.
        """
        temperature = self._config.rollout.temperature
        batch = micro_batch.to(self._world.device)
        if self._reference is not None:
            batch = replace(batch, ref_logprobs=response_logprobs(self._reference, batch, temperature).logprobs)
        # The same on all ranks, since every forward pass gathers weights; recorded responses bring theirs.
        if self._config.algo.epochs > 1 and self._config.offline.path is None:
            begin_micro_batch(self.policy, self._sharding, is_last=False)
            batch = replace(batch, old_logprobs=response_logprobs(self.policy, batch, temperature).logprobs)
        return batch

    def _set_learning_rate(self, step: int) -> None:
        optim = self._config.optim
        scale = min(1.0, (step + 1) / optim.warmup_steps) if optim.warmup_steps else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * scale


def padding_share(examples: Sequence[Example], micro_batches: Sequence[MicroBatch]) -> float:
    """Share of this rank's positions that belong to no example, in [0, 1)."""
    positions = sum(each.input_ids.numel() for each in micro_batches)
    return 1 - sum(example.num_tokens for example in examples) / positions if positions else 0.0

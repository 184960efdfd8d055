"""Train a probe's head on stored states."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from judge.data.shared_steps import Prefix, prefix, target
from judge.errors import DataError
from judge.probe_head import HeadShape, ProbeHead, pool
from judge.settings import Settings
from judge.train.states import Store


class HeadTraining(Settings):
    """How a head is trained."""

    epochs: int = Field(default=30, ge=1, le=1000)
    """At most; the epoch with the lowest validation loss is kept."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a lower validation loss after which training stops."""
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    penalty: float = Field(default=0.03, ge=0)
    """Times the sum of squares of the weights, added to the loss (ridge; 1 / (2 C n) of a logistic regression)."""
    batch_steps: int = Field(default=256, ge=1)
    """Steps in one update."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained head."""

    head: ProbeHead
    validation_loss: float
    """Mean binary cross-entropy of the steps, in nats."""
    history: list[dict[str, Any]]
    """One row per epoch: step (updates so far), loss, validation_loss."""


@dataclass(frozen=True, slots=True)
class _Batch:
    states: Tensor
    lengths: list[int]
    targets: Tensor


def fit_head(
    train: Sequence[Store], validation: Sequence[Store], shape: HeadShape, hidden_size: int, settings: HeadTraining
) -> Fitted:
    """Binary cross-entropy on every labelled step and a ridge penalty, Adam with a cosine schedule, early stopping.

    Args:
        train: all with ``shape.layer`` among their layers; validation likewise.

    Raises:
        DataError: when the training steps are all right or all wrong.
    """
    rng = random.Random(settings.seed)  # noqa: S311
    torch.manual_seed(settings.seed)
    mean, std, num_steps, rate = _statistics(train, shape.layer)
    head = ProbeHead(shape, hidden_size)
    head.standardise(mean, std)
    _start_at(head, rate)
    optimizer = torch.optim.Adam(head.parameters(), settings.learning_rate)
    updates = settings.epochs * math.ceil(num_steps / settings.batch_steps)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    reader, validation_reader = _StepReader(train, shape), _StepReader(validation, shape)
    best, best_loss, history, done = copy.deepcopy(head.state_dict()), math.inf, [], 0
    for epoch in range(settings.epochs):
        head.train()
        total = count = 0.0
        for batch in _batches(reader, settings.batch_steps, rng):
            loss = _loss(head, batch)
            optimizer.zero_grad()
            (loss + settings.penalty * _squares(head)).backward()
            optimizer.step()
            if done < updates:
                schedule.step()
            done += 1
            total += loss.item() * len(batch.lengths)
            count += len(batch.lengths)
        validation_loss = _evaluate(head, validation_reader)
        history.append({"epoch": epoch + 1, "step": done, "loss": total / count, "validation_loss": validation_loss})
        if validation_loss < best_loss:
            best, best_loss = copy.deepcopy(head.state_dict()), validation_loss
        elif epoch - min(range(len(history)), key=lambda i: history[i]["validation_loss"]) >= settings.patience:
            break
    head.load_state_dict(best)
    return Fitted(head.eval(), best_loss, history)


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch comes without types here
def _evaluate(head: ProbeHead, reader: _StepReader) -> float:
    """Mean binary cross-entropy of the labelled steps."""
    head.eval()
    total = count = 0.0
    for batch in _batches(reader, 4096, None):
        total += float(_loss(head, batch)) * len(batch.lengths)
        count += len(batch.lengths)
    if not count:
        raise DataError("the validation split holds no labelled steps; raise validation_share, or add data")
    return total / count


@torch.no_grad()  # type: ignore[untyped-decorator]
def score_records(head: ProbeHead, store: Store) -> list[tuple[float, ...]]:
    """Raw hazards of the steps of every record that the store holds, in the order of its records.

    Records that the store leaves out (`Store.only`) are left out here.
    """
    head.eval()
    scores: dict[Prefix, float] = {}
    for shard in store.shards(head.shape.layer):
        probs = head(shard.states[0], shard.lengths).sigmoid().tolist()
        for record, step, prob in zip(shard.records, shard.steps, probs, strict=True):
            scores[prefix(store.records[record], step)] = prob
    records = (r for index, r in enumerate(store.records) if store.chosen is None or index in store.chosen)
    return [tuple(scores[prefix(r, step)] for step in range(store.num_steps(r))) for r in records]


def _loss(head: ProbeHead, batch: _Batch) -> Tensor:
    logits = head(batch.states, batch.lengths)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.targets)


def _squares(head: ProbeHead) -> Tensor:
    """Sum of squares of all weights; biases are free."""
    weights = [head.query, *(p for name, p in head.score.named_parameters() if name.endswith("weight"))]
    return torch.stack([weight.square().sum() for weight in weights]).sum()


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of a shard that a label bears on."""

    states: list[Tensor]
    """[tokens, hidden] of each step; one pooled state where the readout has nothing to learn."""
    targets: list[int]


class _StepReader:
    """Reads the labelled steps of stores: from disk for every epoch, or once where a step is a single state."""

    def __init__(self, stores: Sequence[Store], shape: HeadShape) -> None:
        self._shape = shape
        self._shards = [(store, number) for store in stores for number in range(store.num_shards)]
        self._pooled = None if shape.readout == "attention" else [self._read(index) for index in range(self.num_shards)]

    @property
    def num_shards(self) -> int:
        return len(self._shards)

    def steps(self, index: int) -> _Steps:
        """Those of one shard."""
        return self._read(index) if self._pooled is None else self._pooled[index]

    def _read(self, index: int) -> _Steps:
        store, number = self._shards[index]
        shard = store.shard(number, self._shape.layer)
        if self._shape.readout == "attention":
            states = list(shard.states[0].split(list(shard.lengths)))
        else:
            states = list(pool(shard.states[0], shard.lengths, self._shape.readout).split(1))
        targets = [target(store.records[r], s) for r, s in zip(shard.records, shard.steps, strict=True)]
        labelled = [(each, value) for each, value in zip(states, targets, strict=True) if value is not None]
        return _Steps([each for each, _ in labelled], [value for _, value in labelled])


def _batches(reader: _StepReader, size: int, rng: random.Random | None) -> Iterator[_Batch]:
    """Shards in random order, their steps in random order; in order without ``rng``."""
    numbers = list(range(reader.num_shards))
    if rng is not None:
        rng.shuffle(numbers)
    for number in numbers:
        steps = reader.steps(number)
        order = list(range(len(steps.targets)))
        if rng is not None:
            rng.shuffle(order)
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            yield _Batch(
                torch.cat([steps.states[index] for index in chosen]),
                [len(steps.states[index]) for index in chosen],
                torch.tensor([float(steps.targets[index]) for index in chosen]),
            )


def _statistics(stores: Sequence[Store], layer: int) -> tuple[Tensor, Tensor, int, float]:
    """Mean and standard deviation of the states, the number of labelled steps, and the share of wrong ones."""
    count = steps = wrong = 0
    total = square = torch.zeros((), dtype=torch.float64)
    for store in stores:
        for shard in store.shards(layer):
            states = shard.states[0].double()
            count += states.shape[0]
            total = total + states.sum(0)
            square = square + states.square().sum(0)
            targets = [target(store.records[r], s) for r, s in zip(shard.records, shard.steps, strict=True)]
            steps += sum(value is not None for value in targets)
            wrong += sum(value == 1 for value in targets)
    if not 0 < wrong < steps:
        raise DataError(f"{wrong} of {steps} training steps are wrong; a judge needs wrong steps and right ones")
    mean = total / count
    return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float(), steps, wrong / steps


def _start_at(head: ProbeHead, rate: float) -> None:
    """Begin with the share of wrong steps as every score, so that the first updates do not go into that."""
    last = head.score[-1] if isinstance(head.score, torch.nn.Sequential) else head.score
    torch.nn.init.constant_(last.bias, math.log(rate / (1 - rate)))

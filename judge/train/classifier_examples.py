"""From records to what the classifier is trained on: token ids, and a label at the last token of every step.

Steps after the first error are no part of an example. An example is whole or left out, never cut.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from judge.encoding import Encoded, StepEncoder
from judge.errors import DataError
from judge.types import NO_ERROR, Record

IGNORED: Final = -100
"""The label of a token that says nothing; torch's cross entropy passes over it."""

WINDOW_BATCHES: Final = 50
"""Examples are shuffled, and sorted by length only among about this many batches."""


@dataclass(frozen=True, slots=True)
class Example:
    """One solution up to its first error."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """[num_tokens]: 1 at the last token of the first wrong step, 0 at that of a right one, `IGNORED` elsewhere."""


@dataclass(frozen=True, slots=True)
class Solutions:
    """Whole solutions, for measuring."""

    encoded: list[Encoded] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    @property
    def labels(self) -> list[int]:
        """0-based first error of each, `NO_ERROR` for none."""
        return [labelled(record) for record in self.records]

    def sample(self, count: int, seed: int) -> Solutions:
        """At most ``count`` of them, from all sources alike."""
        chosen = sorted(random.Random(seed).sample(range(len(self.records)), min(count, len(self.records))))  # noqa: S311
        return Solutions([self.encoded[i] for i in chosen], [self.records[i] for i in chosen])


@dataclass(frozen=True, slots=True)
class LengthRule:
    """What is too long, and what happens to it."""

    max_tokens: int
    on_too_long: Literal["error", "skip"]

    def keeps(self, encoded: Encoded, record: Record) -> bool:
        """Whether the solution is short enough.

        Raises:
            DataError: when it is not, and that is an error.
        """
        if encoded.num_tokens <= self.max_tokens:
            return True
        if self.on_too_long == "error":
            raise DataError(
                f"record '{record.id}' of {record.source or 'the data'} has {encoded.num_tokens} tokens, and "
                f"max_tokens = {self.max_tokens}: raise max_tokens, or leave such records out with on_too_long = 'skip'"
            )
        return False


def example(encoded: Encoded, label: int) -> Example:
    """Labels of an encoded solution that ends with its first error, if it has one.

    Args:
        label: 0-based index of the last step if that is wrong, `NO_ERROR` if all are right.
    """
    labels = [IGNORED] * encoded.num_tokens
    for step, (_, end) in enumerate(encoded.spans):
        labels[len(encoded.prompt_ids) + end - 1] = int(step == label)
    return Example((*encoded.prompt_ids, *encoded.response_ids), tuple(labels))


def training_examples(encoder: StepEncoder, records: Sequence[Record], rule: LengthRule) -> list[Example]:
    """Examples of labelled records, those left out that are too long."""
    examples = []
    for record in records:
        label = labelled(record)
        steps = record.steps if label == NO_ERROR else record.steps[: label + 1]
        encoded = encoder.encode(record.problem, steps)
        if rule.keeps(encoded, record):
            examples.append(example(encoded, label))
    return examples


def whole_solutions(encoder: StepEncoder, records: Sequence[Record], rule: LengthRule) -> Solutions:
    """All steps of labelled records, those left out that are too long."""
    solutions = Solutions()
    for record in records:
        labelled(record)
        encoded = encoder.encode(record.problem, record.steps)
        if rule.keeps(encoded, record):
            solutions.encoded.append(encoded)
            solutions.records.append(record)
    return solutions


def labelled(record: Record) -> int:
    """The record's label.

    Raises:
        DataError: when it has none, or no steps.
    """
    if record.label is None or not record.steps:
        missing = "label" if record.label is None else "steps"
        raise DataError(f"record '{record.id}' of {record.source or 'the data'} has no {missing}; leave it out")
    return record.label


def schedule(lengths: Sequence[int], batch_tokens: int, epochs: int, seed: int) -> list[list[int]]:
    """Batches of a whole run, in order: a pure function of its arguments, so that a resumed run goes on in it.

    Every epoch takes every example once. Examples of similar length go together.

    Args:
        lengths: tokens of each example.
        batch_tokens: most tokens of a batch, padding included; a longer example is a batch of its own.
    """
    batches: list[list[int]] = []
    for epoch in range(epochs):
        shuffled = random.Random(f"{seed}-{epoch}")  # noqa: S311
        order = shuffled.sample(range(len(lengths)), len(lengths))
        per_batch = max(1, batch_tokens * len(lengths) // sum(lengths))
        window = WINDOW_BATCHES * per_batch
        packed: list[list[int]] = []
        for start in range(0, len(order), window):
            packed += _pack(sorted(order[start : start + window], key=lambda i: lengths[i]), lengths, batch_tokens)
        shuffled.shuffle(packed)
        batches += packed
    return batches


def _pack(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Cut a sequence of rising lengths into batches."""
    batches: list[list[int]] = []
    for index in order:
        if not batches or (len(batches[-1]) + 1) * lengths[index] > batch_tokens:
            batches.append([])
        batches[-1].append(index)
    return batches

"""The trainer's problems: those to train on, those held out for evaluation, and their order."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from sgpo_client.data.generated import generated_rows
from sgpo_client.data.problems import FieldNames, collect, text_key
from sgpo_client.data.rows import RowSource, evaluation_rows, training_rows
from sgpo_client.data.settings import DataSettings
from sgpo_client.errors import ConfigError, DataError
from sgpo_client.types import Problem

log = logging.getLogger(__name__)


def load_problems(settings: DataSettings, split: Literal["train", "eval"]) -> list[Problem]:
    """The problems to train on, or those held out for evaluation. No text is in both.

    Without a file or split of their own, the evaluation problems come from the training source: the same ones for the
    same `seed`, whatever `num_problems` is. Empty for ``eval`` when `num_eval_problems` is 0.

    Raises:
        ConfigError: when a setting that the source needs is missing, or names nothing.
        DataError: when a file or row cannot be used, or no training problem is left.
    """
    if split == "eval" and settings.num_eval_problems == 0:
        return []
    train, held_out = _generate(settings) if settings.source == "reasoning_gym" else _read(settings)
    return held_out if split == "eval" else train


def _generate(settings: DataSettings) -> tuple[list[Problem], list[Problem]]:
    """Training and evaluation problems of a reasoning-gym task; the first ones are held out."""
    if settings.num_problems is None:
        raise ConfigError("data.num_problems is not set: source = 'reasoning_gym' generates as many as it says")
    num_eval = settings.num_eval_problems
    needed = settings.num_problems + num_eval
    limit = 4 * needed + 100  # room for texts that come up twice
    names = FieldNames("question", "answer", "solution")
    source = generated_rows(settings, limit)
    found = collect(source, names, skip_unanswered=settings.skip_unanswered, enough=needed)
    if len(found) < needed:
        raise DataError(
            f"{source.name}: only {len(found)} different problems among {limit} generated ones, but {needed} are asked "
            "for; lower data.num_problems or data.num_eval_problems, or change data.task_options"
        )
    return found[num_eval:], found[:num_eval]


def _read(settings: DataSettings) -> tuple[list[Problem], list[Problem]]:
    """Training and evaluation problems of files or of a hub data set."""
    num_eval = settings.num_eval_problems
    pool = _shuffled(training_rows(settings), settings)
    own_source = evaluation_rows(settings) if num_eval else None
    if own_source is None:
        train, held_out = pool[num_eval:], pool[:num_eval]
    else:
        held_out = _shuffled(own_source, settings)[:num_eval]
        train = _without(pool, held_out)
    if not train:
        raise DataError(
            f"no problem is left to train on: {len(pool)} were read, and data.num_eval_problems = {num_eval} "
            "are kept for evaluation"
        )
    _warn_if_fewer("data.num_eval_problems", settings.num_eval_problems, len(held_out))
    _warn_if_fewer("data.num_problems", settings.num_problems, len(train))
    return train[: settings.num_problems], held_out


def _shuffled(source: RowSource, settings: DataSettings) -> list[Problem]:
    names = FieldNames(settings.problem_field, settings.answer_field, settings.solution_field)
    problems = collect(source, names, skip_unanswered=settings.skip_unanswered)
    random.Random(settings.seed).shuffle(problems)  # noqa: S311
    return problems


def _without(pool: Sequence[Problem], held_out: Sequence[Problem]) -> list[Problem]:
    texts = {text_key(problem) for problem in held_out}
    kept = [problem for problem in pool if text_key(problem) not in texts]
    if len(kept) < len(pool):
        log.warning("data: %d training problems left out: they are evaluation problems too", len(pool) - len(kept))
    return kept


def _warn_if_fewer(setting: str, wanted: int | None, got: int) -> None:
    if wanted is not None and got < wanted:
        log.warning("%s = %d, but there are only %d", setting, wanted, got)


class ProblemSampler:
    """Which problems each step trains on, as a pure function of seed and step: a resumed run needs no other state.

    Every epoch goes through all problems once, in an order of its own; a batch may reach over the end of an epoch.

    >>> problems = [Problem(id=str(i), text=f"{i} + 1?", answer=str(i + 1)) for i in range(4)]
    >>> sampler = ProblemSampler(problems, seed=0)
    >>> sorted(problem.id for step in (0, 1) for problem in sampler.batch(step, batch_size=2))
    ['0', '1', '2', '3']
    """

    def __init__(self, problems: Sequence[Problem], seed: int | str) -> None:
        if not problems:
            raise DataError("no problems to sample from")
        self._problems = problems
        self._seed = seed
        self._epoch_order = lru_cache(maxsize=2)(self._shuffled_order)

    def batch(self, step: int, batch_size: int) -> list[Problem]:
        """The ``batch_size`` problems of a step, counted from 0; the same for every call."""
        first = step * batch_size
        return [self._at(position) for position in range(first, first + batch_size)]

    def replacements(self) -> ProblemSampler:
        """The same problems in other orders, for what a step samples in the place of problems that taught nothing."""
        return ProblemSampler(self._problems, f"{self._seed}:replacements")

    def _at(self, position: int) -> Problem:
        epoch, index = divmod(position, len(self._problems))
        return self._problems[self._epoch_order(epoch)[index]]

    def _shuffled_order(self, epoch: int) -> list[int]:
        order = list(range(len(self._problems)))
        random.Random(f"{self._seed}:{epoch}").shuffle(order)  # noqa: S311
        return order

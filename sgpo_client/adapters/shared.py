"""One request for several reward functions that a trainer calls with the same batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from sgpo_client.adapters.ranks import over_ranks
from sgpo_client.adapters.samples import Sample
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.scoring import score_samples
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.errors import ConfigError


class SharedScores:
    """Scores of a batch for functions that are all called with the very same list, in one event loop."""

    def __init__(self, settings: AdapterSettings, trainer: Trainer) -> None:
        self._settings = settings
        self._trainer = trainer
        self._batch: object = None
        self._asked: set[str] = set()
        self._task: asyncio.Task[list[SampleScore]] | None = None

    async def scores(self, who: str, batch: object, read: Callable[[], Sequence[Sample]]) -> list[SampleScore]:
        """The scores of a batch; the second function to ask shares the first one's request.

        Args:
            who: the asking function's name; its asking twice begins anew.
            batch: the trainer's list of responses.
            read: the batch as samples.
        """
        # By identity and never by content: every rank must come to the same decision, or they wait for each other.
        if self._task is None or batch is not self._batch or who in self._asked:
            self._batch, self._asked = batch, set()
            self._task = asyncio.ensure_future(
                over_ranks(read, lambda samples: score_samples(samples, self._settings, self._trainer))
            )
        self._asked.add(who)
        return await self._task


def column(columns: dict[str, Any], name: str, trainer: Trainer) -> Sequence[Any]:
    """A data set's column among what a trainer hands over by name.

    Raises:
        ConfigError: when there is none of this name.
    """
    if name not in columns:
        there = sorted(key for key, value in columns.items() if isinstance(value, list))
        raise ConfigError(
            f"{trainer.name}: the data set has no column '{name}', so a response has no reference answer; there are "
            f"{', '.join(there) or '(none)'}; {trainer.reference_hint}"
        )
    values: Sequence[Any] = columns[name]
    return values

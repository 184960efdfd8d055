"""From a trainer's batch to scores in its order: whole groups, one call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from sgpo_client.adapters.grouping import GroupBy, group_indices, to_wire
from sgpo_client.adapters.messages import check_references, explained
from sgpo_client.adapters.samples import Sample
from sgpo_client.adapters.scores import SampleScore, apply_policy, sample_scores
from sgpo_client.adapters.settings import SERVER_SHAPING, AdapterSettings, Trainer
from sgpo_client.async_client import AsyncRewardClient
from sgpo_client.errors import RewardUnavailable
from sgpo_client.wire import ShapingParams

OUTCOME_ONLY: Final = replace(SERVER_SHAPING, apply_to="none")
logger = logging.getLogger(__name__)
T = TypeVar("T")


async def score_samples(
    samples: Sequence[Sample],
    settings: AdapterSettings,
    trainer: Trainer,
    *,
    group_by: GroupBy = "runs",
    shaping: ShapingParams = SERVER_SHAPING,
) -> list[SampleScore]:
    """The scores of a batch, one for each sample, in order.

    A server that cannot be reached in time leaves every sample unscored: None under ``none``, an error otherwise, since
    nobody knows the outcomes then. A wrong key, URL or request is an error under every policy.

    Args:
        samples: of any number of groups of any sizes.
        settings: server, time and policy.
        trainer: whose user reads the messages.
        group_by: how to group samples without a uid.
        shaping: what to ask instead of the server's own shaping.

    Raises:
        ConfigError: a sample has no reference answer, or ids are given for some samples only.
        RewardUnavailable: no answer within ``deadline_s``, or no verdict, under ``raise`` and ``outcome``.
        RewardRejected: the server refused.
        RewardError: it failed, or is something else.
    """
    if not samples:
        return []
    check_references(samples, trainer)
    groups = group_indices(samples, group_by=group_by, group_size=settings.group_size)
    with explained(trainer, settings):
        try:
            async with AsyncRewardClient(settings.client()) as client:
                replies = await client.score(to_wire(samples, groups), shaping)
        except RewardUnavailable as error:
            if settings.on_unscored != "none":
                raise
            logger.error("%s: %d responses stay unscored: %s", trainer.name, len(samples), error)
            return [SampleScore(None, None, error=f"server_unavailable: {error}") for _ in samples]
        scores: list[SampleScore | None] = [None] * len(samples)
        for group, reply in zip(groups, replies, strict=True):
            for index, score in zip(group, apply_policy(sample_scores(reply), settings.on_unscored), strict=True):
                scores[index] = score
    return [score for score in scores if score is not None]


async def score_outcomes(samples: Sequence[Sample], settings: AdapterSettings, trainer: Trainer) -> list[SampleScore]:
    """1 for each right answer, else 0; no judge is asked. For validations and metrics.

    An answer that cannot be compared (some towers of powers take longer than the server allows) is not known to be
    right, so it counts as wrong; ``fallback`` is set for it, and ``error`` says why.

    Raises:
        ConfigError, RewardUnavailable, RewardRejected, RewardError: as `score_samples` under ``outcome``.
    """
    # Each by itself: a sample's reward has nothing to do with its siblings here.
    alone = [replace(sample, uid=str(index)) for index, sample in enumerate(samples)]
    lenient = settings.model_copy(update={"on_unscored": "outcome", "group_size": None})
    scores = await score_samples(alone, lenient, trainer, shaping=OUTCOME_ONLY)
    return [replace(score, acc=score.acc or 0) for score in scores]


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, from code without an event loop or, blocking, inside one."""
    with ThreadPoolExecutor(1, thread_name_prefix="sgpo") as pool:
        return pool.submit(asyncio.run, work).result()

"""Single responses, for trainers that score them one by one in different processes: the server joins the groups.

They go to the server's OpenRLHF route (``/v1/openrlhf``), whose label carries group id, group size and member id; the
server's tables ``[join]`` and ``[dialects.openrlhf]`` say how long a response waits for its siblings, and what an
incomplete group and one without a verdict earn: of ``on_unscored`` here only ``none`` has a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from sgpo_client.adapters.messages import check_references, explained
from sgpo_client.adapters.samples import Sample
from sgpo_client.adapters.scores import SampleScore, quantised
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.async_client import AsyncRewardClient
from sgpo_client.errors import RewardError, RewardUnavailable

ROUTE: Final = "/v1/openrlhf"


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the route answers; see docs/reward_server.md."""

    rewards: tuple[float]
    scores: tuple[float]
    extra_logs: dict[str, tuple[float]]


_REPLY: Final = TypeAdapter(_Reply)


async def score_joined(
    sample: Sample, settings: AdapterSettings, trainer: Trainer, *, group_size: int | None, member_id: str
) -> SampleScore:
    """The score of one response, given when the server has seen its whole group.

    A judge that is down is asked again until ``deadline_s``. What the server fell back to for the whole group (its
    ``on_unscored`` and ``on_unjudgeable``) comes with ``fallback`` set.

    Args:
        sample: with the group's uid.
        settings: ``on_unscored`` ``none`` gives the reward None after the deadline, anything else, ``outcome`` too, an
            error. ``run`` keeps the groups of two runs apart.
        trainer: whose user reads the messages.
        group_size: responses of the whole group; None scores the response by itself.
        member_id: tells equal texts of a group apart, and must stay the same when the trainer asks again.

    Raises:
        ConfigError, RewardUnavailable, RewardRejected, RewardError: as `score_samples`.
    """
    check_references([sample], trainer)
    with explained(trainer, settings, joined=True):
        try:
            async with AsyncRewardClient(settings.client()) as client:
                body = await client.post(ROUTE, _body(sample, settings.run, group_size, member_id))
        except RewardUnavailable as error:
            if settings.on_unscored != "none":
                raise
            return SampleScore(None, None, error=f"server_unavailable: {error}", group_size=group_size or 1)
        return _read(body, settings.url, group_size or 1)


def _body(sample: Sample, run: str, group_size: int | None, member_id: str) -> bytes:
    label = {
        "answer": sample.reference_answer,
        "solution": sample.reference_solution,
        "outcome": sample.outcome,
        "question": sample.problem,
        "group_id": _group_id(sample.uid, run),
        "group_size": group_size,
        "member_id": member_id,
    }
    known = {key: value for key, value in label.items() if value is not None}
    return to_json({"query": [sample.problem + sample.text], "prompts": [sample.problem], "labels": [known]})


def _group_id(uid: str | None, run: str) -> str | None:
    """With the run's name in front; without an id the server tells groups by their content, and so within the run."""
    if not run:
        return uid
    return run if uid is None else f"{run}:{uid}"


def _read(body: bytes, url: str, group_size: int) -> SampleScore:
    try:
        reply = _REPLY.validate_json(body)
        logs = {key: value for key, (value,) in reply.extra_logs.items()}
        [reward] = reply.rewards
        return SampleScore(
            reward=quantised(reward),
            acc=_known(logs["acc"]),
            rts=None if logs["rts"] < 0 else logs["rts"],
            first_error=_known(logs["first_error"]),
            judged=logs["judged"] == 1,
            fallback=logs["fell_back"] == 1,
            all_negative=logs["group_all_negative"] == 1,
            group_size=group_size,
            error="judge_failed: see the server's log" if logs["judge_failed"] else _incomplete(logs),
        )
    except (ValidationError, KeyError) as error:
        raise RewardError(f"{url}{ROUTE}: malformed reply: {error}") from None


def _incomplete(logs: dict[str, float]) -> str | None:
    return "group_incomplete: siblings did not come in time" if logs["group_incomplete"] else None


def _known(value: float) -> int | None:
    return None if value < 0 else int(value)

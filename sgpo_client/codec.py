"""The bytes of ``POST /v1/rewards``: typed groups out, typed scores in, and nothing believed unseen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from sgpo_client.errors import RewardError
from sgpo_client.wire import GroupScores, ResponseScore, RewardGroup, RewardResponse, ShapingParams


@dataclass(frozen=True, slots=True)
class _Request:
    groups: tuple[RewardGroup, ...]
    shaping: ShapingParams
    include_steps: bool


@dataclass(frozen=True, slots=True)
class _Reply:
    groups: tuple[GroupScores, ...]


# Fields that a newer server adds to its reply are ignored; a missing or mistyped one is an error.
_REQUEST: Final = TypeAdapter(_Request)
_REPLY: Final = TypeAdapter(_Reply)


def encode_request(groups: Sequence[RewardGroup], shaping: ShapingParams, *, include_steps: bool) -> bytes:
    """The JSON body of a request.

    Raises:
        RewardError: when a text is not valid Unicode (a lone surrogate) and so cannot be sent.
    """
    try:
        return _REQUEST.dump_json(_Request(tuple(groups), shaping, include_steps))
    except PydanticSerializationError as error:
        names = ", ".join(group.group_id for group in groups)
        raise RewardError(f"groups {names}: a text cannot be sent as UTF-8: {error}") from None


def decode_reply(body: bytes, groups: Sequence[RewardGroup]) -> list[GroupScores]:
    """The scores of ``groups``, in their order.

    Raises:
        RewardError: when the reply is malformed, leaves out, adds, swaps or renames anything, holds a number that is
            not finite, or contradicts itself about what is unscored. The message says where.
    """
    try:
        reply = _REPLY.validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise RewardError(f"malformed reply: {where}: {first['msg']}; it begins with {body[:80]!r}") from None
    if len(reply.groups) != len(groups):
        raise RewardError(f"malformed reply: {len(reply.groups)} groups for the {len(groups)} that were sent")
    for index, (group, scores) in enumerate(zip(groups, reply.groups, strict=True)):
        fault = _group_fault(group, scores)
        if fault is not None:
            raise RewardError(f"malformed reply: groups.{index}: {fault}")
    return list(reply.groups)


def _group_fault(group: RewardGroup, scores: GroupScores) -> str | None:
    if scores.group_id != group.group_id:
        return f"is about group '{scores.group_id}' where '{group.group_id}' was sent"
    if len(scores.responses) != len(group.responses):
        return f"{len(scores.responses)} scores for the {len(group.responses)} responses of '{group.group_id}'"
    for index, (response, score) in enumerate(zip(group.responses, scores.responses, strict=True)):
        fault = _score_fault(response, score)
        if fault is not None:
            return f"responses.{index} (id '{response.id}'): {fault}"
    return None


def _score_fault(response: RewardResponse, score: ResponseScore) -> str | None:
    """What is wrong with a score. An unscored response that carries a number would end as a false reward."""
    if score.id != response.id:
        return f"the score is about '{score.id}'"
    numbers = {"reward": score.reward, "rts": score.rts, "rts_raw": score.rts_raw}
    for name, value in numbers.items():
        if value is not None and not math.isfinite(value):
            return f"{name} is {value}"
    if score.acc not in (0, 1, None):
        return f"acc is {score.acc}, not 0, 1 or null"
    unscored = score.status == "unscored"
    if unscored != (score.reward is None):
        return f"status '{score.status}' with reward {score.reward}"
    if unscored != (score.error is not None):
        return f"status '{score.status}' {'without' if unscored else 'with'} an error"
    return None

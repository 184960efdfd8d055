"""slime's ``--rm-type remote_rm --rm-url`` (miles sends the same).

``{"prompt": text or messages, "response", "label"}`` to a number, or to an object when a reward key is given
(``--reward-key``): the whole JSON reply is the sample's reward there.

- ``label`` is a text in slime; an object is read as in the other dialects. ``metadata`` is not sent by slime itself;
  a custom reward function that posts here may send group id, size and member id in it.
- A reply that is not 2xx is asked again up to 9 times, with pauses up to 30 s; then the rollout stops. That is what
  ``on_unscored = "error"`` leads to while the judge is down for some five minutes.
- Its client holds at most 64 connections, and the wait for one counts in its 120 s. Responses that wait here for their
  siblings keep theirs: with more than 64 / (group size - 1) groups unfinished at a time, siblings may not get through,
  and groups stay incomplete. A custom reward function with ``--group-rm`` and ``/v1/rewards`` has no such bound.
"""

from __future__ import annotations

from typing import Any

from reward_server.config import LimitSettings
from reward_server.dialects.answers import Answer
from reward_server.dialects.base import Sample, TrainerBody, check_has_answer, check_problem, read_label
from reward_server.dialects.prompts import problem_of, problem_of_messages, strip_special_tokens
from reward_server.errors import invalid_request
from reward_server.schemas import Text


class SlimeRequest(TrainerBody):
    """What slime posts."""

    prompt: str | list[Any]
    response: Text
    label: Any = None
    metadata: dict[str, Any] | None = None


def sample_of(
    body: SlimeRequest, limits: LimitSettings, *, reply_by: float, tenant: str, group_size: int | None
) -> Sample:
    """The response of a request.

    Raises:
        ApiError: 422 in slime's own words.
    """
    metadata = body.metadata or {}
    label = read_label(
        body.label,
        "label",
        limits,
        group_id=metadata.get("group_id"),
        group_size=metadata.get("group_size") or group_size,
        member_id=metadata.get("member_id"),
    )
    check_has_answer(label, "label", "see --label-key")
    if label.question is not None:
        problem = label.question
    elif isinstance(body.prompt, str):
        problem = problem_of(body.prompt)
    else:
        problem = problem_of_messages(body.prompt, "prompt")
    return Sample(
        problem=check_problem(problem, "prompt", limits),
        response=strip_special_tokens(body.response),
        path="label",
        label=label,
        dialect="slime",
        reply_by=reply_by,
        tenant=tenant,
        outcome=label.outcome,
    )


def reply_of(answer: Answer, reward_key: str) -> float | dict[str, float]:
    """The reply: a number, or all numbers with the reward under its key."""
    assert answer.reward is not None, "a missing reward is an error reply"
    return answer.numbers() | {reward_key: answer.reward} if reward_key else answer.reward


def check_reward_key(reward_key: str) -> str:
    """A reward key from a URL.

    Raises:
        ApiError: 422 when it is not a plain name.
    """
    if reward_key and not (reward_key.isidentifier() and reward_key.isascii() and len(reward_key) <= 64):
        raise invalid_request("reward_key", "must be a name of up to 64 letters, digits and underscores")
    return reward_key

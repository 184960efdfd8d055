"""NeMo-Gym's resources server: ``POST /verify``, ``/seed_session`` and ``/aggregate_metrics``.

``/verify`` gets a rollout's whole body, with the task's own fields in it, and gives it back with ``reward``.

- The problem is the task's ``question`` (or ``problem``), else the last user message of
  ``responses_create_params.input``; the reference is ``expected_answer`` (or ``answer``, ...); the response is the text
  of the last assistant message of ``response.output``.
- The group is ``_ng_task_index`` and its member ``_ng_rollout_index``; its size comes from the task's ``group_size``,
  the URL or ``[dialects.nemo_gym] group_size``.
- A failed judgement is answered as NeMo-Gym's own judges do: status 200, ``reward`` 0.0, ``_ng_failure_class``
  ``judge_failed``, and ``mask_sample`` true. Its collector keeps such a rollout out of the results. A training loop
  that looks at ``reward`` alone takes it for a wrong answer: there, ``on_unscored = "neutral"`` or ``"outcome"`` is
  safer, because the group's other rewards then fit it.
- Its client has no time-out of its own; ours (``reply_timeout_s``) is the only one.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from reward_server.config import LimitSettings
from reward_server.dialects.answers import Answer
from reward_server.dialects.base import (
    Sample,
    TrainerBody,
    check_has_answer,
    check_problem,
    plain_text,
    read_label,
)
from reward_server.dialects.prompts import problem_of, problem_of_messages, strip_special_tokens, text_of_content
from reward_server.errors import invalid_request
from reward_server.schemas import at_most

FAILURE: Final = "judge_failed"
LABEL_FIELDS: Final = (
    ("answer", ("expected_answer", "answer", "reference_answer", "ground_truth")),
    ("question", ("question", "problem")),
    ("solution", ("reference_solution", "solution")),
    ("outcome", ("outcome",)),
    ("group_size", ("group_size",)),
)


class CreateParams(TrainerBody):
    """The policy's request, as far as we read it."""

    input: str | list[Any] = ""


class Response(TrainerBody):
    """The policy's reply, as far as we read it."""

    output: list[Any]


class VerifyRequest(TrainerBody):
    """What NeMo-Gym posts; the task's fields stand beside these."""

    responses_create_params: CreateParams
    response: Response
    task_index: int | None = Field(None, alias="_ng_task_index")
    rollout_index: int | None = Field(None, alias="_ng_rollout_index")


class AggregateRequest(TrainerBody):
    """Finished rollouts, each with its reward."""

    verify_responses: Annotated[list[dict[str, Any]], Field(max_length=1_000_000)]


class Bounded(TrainerBody):
    """A response's text, with its bound."""

    text: Annotated[str, at_most("max_text_chars")]


def sample_of(
    body: VerifyRequest,
    raw: Mapping[str, Any],
    limits: LimitSettings,
    *,
    reply_by: float,
    tenant: str,
    group_size: int | None,
) -> Sample:
    """The response of a rollout.

    Args:
        body: the body, read.
        raw: the body as it came, for the task's own fields.
        limits: bounds of its texts.
        reply_by: on the event loop's clock.
        tenant: label of the caller's key.
        group_size: from the URL.

    Raises:
        ApiError: 422 in NeMo-Gym's own words.
    """
    fields = {}
    for name, sources in LABEL_FIELDS:
        value = next((raw[source] for source in sources if raw.get(source) is not None), None)
        if value is not None:
            fields[name] = value
    group_id = None if body.task_index is None else plain_text(body.task_index)
    member_id = None if body.rollout_index is None else plain_text(body.rollout_index)
    label = read_label(fields, "body", limits, group_id=group_id, member_id=member_id, group_size=group_size)
    check_has_answer(label, "expected_answer", "the task's field 'expected_answer' or 'answer' holds it")
    path = "responses_create_params.input"
    if label.question is not None:
        problem = label.question
    elif isinstance(body.responses_create_params.input, str):
        problem = problem_of(body.responses_create_params.input)
    else:
        problem = problem_of_messages(body.responses_create_params.input, path)
    text = output_text(body.response.output)
    if len(text) > limits.max_text_chars:
        most = limits.max_text_chars
        raise invalid_request("response.output", f"a text of {len(text)} characters, at most {most} are accepted")
    return Sample(
        problem=check_problem(problem, path, limits),
        response=strip_special_tokens(text),
        path="body",
        label=label,
        dialect="nemo_gym",
        reply_by=reply_by,
        tenant=tenant,
        outcome=label.outcome,
    )


def output_text(output: Sequence[Any]) -> str:
    """The text of the last assistant message; empty when there is none, which is a wrong answer."""
    for item in reversed(output):
        is_message = isinstance(item, dict) and item.get("type", "message") == "message"
        if is_message and item.get("role", "assistant") == "assistant":
            return text_of_content(item.get("content"))
    return ""


def reply_of(raw: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """The body as it came, with the reward and what is to be known about it."""
    stale = {"_ng_failure_class", "_ng_failure_judge_error", "mask_sample"}
    reply = {key: value for key, value in raw.items() if key not in stale} | {
        f"sgpo_{key}": value for key, value in answer.numbers().items()
    }
    if answer.reward is not None:
        return reply | {"reward": answer.reward, "mask_sample": False}
    return failure(reply, answer.reason)


def failure(raw: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """A rollout without a judgement."""
    failed = {"reward": 0.0, "mask_sample": True, "_ng_failure_class": FAILURE, "_ng_failure_judge_error": reason}
    return dict(raw) | failed


def aggregate(rollouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over rollouts and tasks, those without a judgement left out.

    Returns NeMo-Gym's three tables: ``group_level_metrics`` (one for each task), ``agent_metrics``, ``key_metrics``.
    """
    valid = [rollout for rollout in rollouts if is_valid(rollout)]
    tasks: dict[int, list[float]] = defaultdict(list)
    for rollout in valid:
        index = rollout.get("_ng_task_index")
        if isinstance(index, int):
            tasks[index].append(float(rollout["reward"]))
    groups = [
        {
            "_ng_task_index": index,
            "mean/reward": statistics.fmean(found),
            "max/reward": max(found),
            "num_rollouts": len(found),
        }
        for index, found in sorted(tasks.items())
    ]
    agent: dict[str, float] = {"num_rollouts": len(rollouts), "num_not_judged": len(rollouts) - len(valid)}
    for name, source in (("mean/reward", "reward"), ("mean/acc", "sgpo_acc")):
        numbers = [
            float(rollout[source]) for rollout in valid if is_number(rollout.get(source)) and rollout[source] >= 0
        ]
        if numbers:
            agent[name] = statistics.fmean(numbers)
    keys = {name: agent[name] for name in ("mean/reward", "mean/acc") if name in agent}
    return {"group_level_metrics": groups, "agent_metrics": agent, "key_metrics": keys}


def is_valid(rollout: Mapping[str, Any]) -> bool:
    """True for a rollout whose reward measures its policy."""
    failed = rollout.get("_ng_failure_class") is not None or rollout.get("mask_sample") is True
    return is_number(rollout.get("reward")) and not failed


def is_number(value: object) -> bool:
    """True for what can be averaged."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")

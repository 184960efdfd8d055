"""OpenRLHF's ``--reward.remote_url`` (before 0.10.2: ``--remote_rm_url``).

``{"query", "prompts", "labels"}``, three lists of equal length (one sample since 0.9.1, many before, none from a client
with several servers), to ``{"rewards", "scores", "extra_logs"}``, lists of that length again.

- ``query`` is the prompt and the response in one text, special tokens kept; ``prompts`` is chat-templated.
- ``labels`` holds one column of the data set as it is: a text or number is the reference answer, an object may also
  hold the question, the group's id and size (see `Label`). ``null`` and ``""`` say nothing.
- ``rewards`` makes the advantages, ``scores`` decides in dynamic filtering, ``extra_logs`` is logged: numbers only,
  with the same keys in every reply, because its client takes the keys of the first sample for all.
- A reply that is not 2xx is asked again 4 times, 1 s apart; then the sample has no reward, and training stops. That is
  what ``on_unscored = "error"`` leads to while the judge is down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel

from reward_server.config import LimitSettings
from reward_server.dialects.answers import Answer
from reward_server.dialects.base import Sample, TrainerBody, check_has_answer, check_problem, read_label
from reward_server.dialects.prompts import problem_of, response_of
from reward_server.dialects.settings import OpenRLHFSettings
from reward_server.errors import invalid_request
from reward_server.schemas import at_most

LABEL_HINT: Final = "see --data.label_key"


class OpenRLHFRequest(TrainerBody):
    """What OpenRLHF posts."""

    query: Annotated[list[str], at_most("max_responses")]
    prompts: Annotated[list[str], at_most("max_responses")]
    labels: Annotated[list[Any], at_most("max_responses")]


class OpenRLHFReply(BaseModel):
    """What OpenRLHF reads."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


def samples_of(
    body: OpenRLHFRequest, limits: LimitSettings, *, reply_by: float, tenant: str, group_size: int | None
) -> list[Sample]:
    """The responses of a request, in order.

    Raises:
        ApiError: 422 in OpenRLHF's own words, such as ``labels[0].answer``.
    """
    num_queries = len(body.query)
    for name, given in (("prompts", body.prompts), ("labels", body.labels)):
        if len(given) != num_queries:
            raise invalid_request(name, f"{len(given)} items, but query has {num_queries}; one for each")
    samples = []
    for index, (query, prompt, value) in enumerate(zip(body.query, body.prompts, body.labels, strict=True)):
        path = f"labels[{index}]"
        label = read_label(value, path, limits, group_size=group_size)
        check_has_answer(label, path, LABEL_HINT)
        problem = label.question or problem_of(prompt)
        response = response_of(query, prompt, f"query[{index}]")
        if len(response) > limits.max_text_chars:
            most = limits.max_text_chars
            raise invalid_request(
                f"query[{index}]", f"a response of {len(response)} characters, at most {most} ([limits] max_text_chars)"
            )
        samples.append(
            Sample(
                problem=check_problem(problem, f"prompts[{index}]", limits),
                response=response,
                path=path,
                label=label,
                dialect="openrlhf",
                reply_by=reply_by,
                tenant=tenant,
                outcome=label.outcome,
            )
        )
    return samples


def reply_of(answers: Sequence[Answer], settings: OpenRLHFSettings) -> OpenRLHFReply:
    """The answers as OpenRLHF reads them; each has a reward."""
    rewards = [answer.reward for answer in answers if answer.reward is not None]
    assert len(rewards) == len(answers), "a missing reward is an error reply"
    by_correctness = settings.scores == "correctness"
    scores = [float(bool(answer.acc)) for answer in answers] if by_correctness else rewards
    keys = Answer(reward=None, acc=None, grouping="alone").numbers()
    numbers = [answer.numbers() for answer in answers]
    return OpenRLHFReply(
        rewards=rewards, scores=scores, extra_logs={key: [each[key] for each in numbers] for key in keys}
    )

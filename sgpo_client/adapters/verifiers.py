"""SGPO rewards in verifiers v1, and so in prime-rl: a reward and a metric, plugged into any task by TOML.

    [env.taskset.task.rewards]
    sgpo = { fn = "sgpo_client.adapters.verifiers:sgpo", weight = 1.0 }
    [env.taskset.task.metrics]
    sgpo_accuracy = { fn = "sgpo_client.adapters.verifiers:sgpo_accuracy" }

verifiers scores each trace by itself; the server joins the group by the task's id, so SGPO_GROUP_SIZE must be the
number of rollouts of a group, and runs that share a server need different names in SGPO_RUN. Settings come from the
environment (`AdapterSettings`).

A trace without a verdict raises: verifiers marks it as failed, and prime-rl leaves it out of the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.scoring import score_outcomes
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.errors import ConfigError, DataError

TRAINER: Final = Trainer(
    name="verifiers",
    reference_hint="it is the task's field 'answer', or one of 'reference_answer', 'expected_answer', 'ground_truth'",
    settings_hint="set it in the environment of the environment server",
    on_unscored="raise",
)
NAME_FIELDS: Final = ("id", "idx", "name")
"""What may name a task; which of them there are differs between versions. After them its ``key`` is looked at."""
ANSWER_FIELDS: Final = ("answer", "reference_answer", "expected_answer", "ground_truth")


async def sgpo(task: Any, trace: Any) -> float:
    """The SGPO reward of a trace.

    Args:
        task: its data: ``prompt``, an answer field, and one of `NAME_FIELDS`; or the task that holds them as ``data``.
        trace: ``assistant_messages``, ``last_reply``, ``id``.

    Raises:
        ConfigError: no group size is set, or the task has no answer.
        DataError: tools were used, the model spoke more than once, or the task has no name.
        RewardError: no verdict, or no server.
    """
    score = await score_trace(task, trace, AdapterSettings.load(TRAINER))
    assert score.reward is not None, "no policy of verifiers' leaves a reward out"
    return score.reward


async def sgpo_accuracy(task: Any, trace: Any) -> float:
    """1 for a right answer, else 0; no judge is asked.

    Raises:
        As `sgpo`.
    """
    [score] = await score_outcomes([sample_of(task, trace)], AdapterSettings.load(TRAINER), TRAINER)
    return float(score.acc or 0)


async def score_trace(task: Any, trace: Any, settings: AdapterSettings) -> SampleScore:
    """Everything that the server says of a trace. Raises as `sgpo`."""
    if settings.group_size is None:
        raise ConfigError(
            "verifiers: no group size: set SGPO_GROUP_SIZE to the number of rollouts of a group (prime-rl's "
            "group_size), in the environment of the environment server"
        )
    if settings.on_unscored == "none":
        raise ConfigError("verifiers: on_unscored = 'none' (SGPO_ON_UNSCORED): a reward is a number here; set 'raise'")
    return await score_joined(
        sample_of(task, trace), settings, TRAINER, group_size=settings.group_size, member_id=str(trace.id)
    )


def sample_of(task: Any, trace: Any) -> Sample:
    """A trace, and the task's problem and answer. Raises as `sgpo`."""
    messages = list(trace.assistant_messages)
    if len(messages) > 1 or any(getattr(message, "tool_calls", None) for message in messages):
        raise DataError(
            f"verifiers: trace {trace.id} has several turns or tool calls; the judge reads one worked solution. Reward "
            "such tasks with another function"
        )
    data = getattr(task, "data", task)
    name = _first(data, NAME_FIELDS)
    name = getattr(task, "key", None) if name is None else name
    if name is None:
        raise DataError(
            f"verifiers: the task of trace {trace.id} has none of {', '.join(NAME_FIELDS)} and no key, so nobody can "
            "tell which traces belong together; give the task's data an id"
        )
    return Sample(
        problem=problem_text(_plain(getattr(data, "prompt", None)), "verifiers: task.prompt"),
        text=trace.last_reply,
        reference_answer=reference_text(_first(data, ANSWER_FIELDS), "verifiers: answer"),
        uid=str(name),
    )


def _first(source: Any, fields: Sequence[str]) -> Any:
    """The first of these attributes that is there and not None."""
    found = (getattr(source, field, None) for field in fields)
    return next((each for each in found if each is not None), None)


def _plain(prompt: Any) -> Any:
    """Messages as tables: verifiers has a class for each role."""
    if prompt is None or isinstance(prompt, str):
        return prompt
    return [each.model_dump(exclude_none=True) if hasattr(each, "model_dump") else each for each in prompt]

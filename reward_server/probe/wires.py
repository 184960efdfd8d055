"""How each trainer puts a group on the wire, and how it reads the replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from reward_server.dialects.base import DIALECT_PREFIXES
from reward_server.probe.samples import ANSWER, GROUP_SIZE, PROBLEM, Group

JUDGE_FAILED: Final = "judge_failed"


@dataclass(frozen=True, slots=True)
class Told:
    """What a trainer is told of one response; None and "" for what it is not told."""

    reward: float | None
    acc: int | None = None
    first_error: int | None = None
    num_steps: int | None = None
    group: str = ""
    """joined, incomplete or alone; native groups come whole."""
    fell_back: bool = False
    failure: str = ""
    """Error code of a judgement that failed."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One way to talk to the server."""

    path: str
    posts: Callable[[Group, Any], list[dict[str, Any]]]
    """The bodies that carry a group, of the group and of a label (None: the right one)."""
    read: Callable[[Any], list[Told]]
    """What one reply tells, of as many responses as its request had.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: when the trainer could not read it.
    """
    query: Mapping[str, str] = field(default_factory=dict)
    key_in_url: bool = True
    """False: the key goes into the Authorization header."""


def prompt_of(group: Group) -> str:
    """The chat-templated prompt. The name keeps groups apart that are told by their prompt alone."""
    return f"<|im_start|>user\n({group.name}) {PROBLEM}<|im_end|>\n<|im_start|>assistant\n"


def native_posts(group: Group, label: Any) -> list[dict[str, Any]]:
    """The whole group in one body, as `sgpo_client` and its adapters post it."""
    answer = ANSWER if label is None else label or None
    responses = [{"id": str(index), "text": text} for index, text in enumerate(group.texts)]
    fields = {"group_id": group.name, "problem": PROBLEM, "reference_answer": answer, "responses": responses}
    return [{"groups": [fields]}]


def native_told(reply: Any) -> list[Told]:
    """One row for each response of the only group."""
    [group] = reply["groups"]
    return [
        Told(
            reward=None if each["reward"] is None else float(each["reward"]),
            acc=each["acc"],
            first_error=each.get("first_error"),
            num_steps=each.get("num_steps"),
            failure=each["error"]["code"] if each.get("error") else "",
        )
        for each in group["responses"]
    ]


def openrlhf_posts(group: Group, label: Any) -> list[dict[str, Any]]:
    """A body for each response, with a struct column as its label."""
    prompt = prompt_of(group)
    if label is None:
        label = {"answer": ANSWER, "question": PROBLEM, "id": group.name, "group_size": GROUP_SIZE}
    return [{"query": [f"{prompt}{text}<|im_end|>"], "prompts": [prompt], "labels": [label]} for text in group.texts]


def openrlhf_told(reply: Any) -> list[Told]:
    """Its ``rewards``, and the numbers of its ``extra_logs``."""
    [reward] = reply["rewards"]
    return [told(reward, {name: values[0] for name, values in (reply.get("extra_logs") or {}).items()})]


def slime_posts(group: Group, label: Any) -> list[dict[str, Any]]:
    """A body for each response; the group can only be told by prompt, label and the size in the URL."""
    answer = ANSWER if label is None else label
    return [{"prompt": prompt_of(group), "response": text, "label": answer} for text in group.texts]


def slime_told(reply: Any) -> list[Told]:
    """A number, or an object with the reward under ``score`` (``--reward-key score``)."""
    if isinstance(reply, Mapping):
        return [told(reply["score"], reply)]
    return [told(reply, {})]


def nemo_gym_posts(group: Group, label: Any) -> list[dict[str, Any]]:
    """A rollout for each response, as NeMo-Gym's agents post it."""
    answer = ANSWER if label is None else label
    task = {"question": PROBLEM} | ({"expected_answer": answer} if answer else {})
    bodies = []
    for index, text in enumerate(group.texts):
        content = [{"type": "output_text", "text": text, "annotations": []}]
        bodies.append(
            {
                "responses_create_params": {"input": [{"role": "user", "content": PROBLEM}]},
                "response": {"output": [{"type": "message", "role": "assistant", "content": content}]},
                "_ng_task_index": int(group.name, 16),
                "_ng_rollout_index": index,
            }
            | task
        )
    return bodies


def nemo_gym_told(reply: Any) -> list[Told]:
    """A rollout with a failure class is none that counts."""
    numbers = {name.removeprefix("sgpo_"): value for name, value in reply.items() if name.startswith("sgpo_")}
    if reply.get("_ng_failure_class") is not None:
        return [Told(None, failure=str(reply["_ng_failure_class"]))]
    return [told(reply["reward"], numbers)]


def told(reward: Any, numbers: Mapping[str, Any]) -> Told:
    """A row from what the dialects tell: numbers alone, -1 for what there is not."""
    if isinstance(reward, bool) or not isinstance(reward, int | float):
        raise TypeError("the reward is not a number")
    joined, incomplete = numbers.get("group_joined"), numbers.get("group_incomplete")
    group = "" if joined is None else "joined" if joined else "incomplete" if incomplete else "alone"
    return Told(
        reward=float(reward),
        acc=known(numbers.get("acc")),
        first_error=known(numbers.get("first_error")),
        num_steps=known(numbers.get("num_steps")),
        group=group,
        fell_back=bool(numbers.get("fell_back")),
        failure=JUDGE_FAILED if numbers.get("judge_failed") else "",
    )


def known(value: Any) -> int | None:
    """A count that is known."""
    return None if value is None or value < 0 else int(value)


SIZE: Final = {"group_size": str(GROUP_SIZE)}
NATIVE: Final = Wire("/v1/rewards", native_posts, native_told, key_in_url=False)
OPENRLHF: Final = Wire(DIALECT_PREFIXES[0], openrlhf_posts, openrlhf_told)
SLIME: Final = Wire(DIALECT_PREFIXES[1], slime_posts, slime_told, SIZE | {"reward_key": "score"})
NEMO_GYM: Final = Wire("/verify", nemo_gym_posts, nemo_gym_told, SIZE)
PATHS: Final[Sequence[str]] = (NATIVE.path, OPENRLHF.path, SLIME.path, f"{DIALECT_PREFIXES[2]}/verify", NEMO_GYM.path)
"""Longer ones before those that they end in."""

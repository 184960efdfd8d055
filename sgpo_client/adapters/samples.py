"""What a trainer hands over, read into problem, response and reference answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sgpo_client.errors import DataError

TOOL_ROLES: Final = ("tool", "function", "tool_call", "tool_response")


@dataclass(frozen=True, slots=True)
class Sample:
    """One response, and what is to be known of its problem.

    >>> Sample(problem="1 + 1?", text="It is 3.", reference_answer="2").uid is None
    True
    """

    problem: str
    text: str
    reference_answer: str | None = None
    reference_solution: str | None = None
    uid: str | None = None
    """The trainer's name for the group; None where it has none."""
    outcome: bool | None = None
    """Whether the answer is right, where the trainer knows; None lets the server compare answers."""


def problem_text(prompt: Any, where: str = "prompt") -> str:
    """The problem of a prompt: the text itself, or the last user message of a chat.

    >>> problem_text([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}])
    '1 + 1?'

    Raises:
        DataError: when it is no text, is empty, or holds images or tools.
    """
    if isinstance(prompt, str):
        text = prompt
    else:
        messages = _messages(prompt, where)
        user = [message for message in messages if message.get("role") == "user"]
        if not user:
            raise DataError(f"{where}: a chat without a user message; the judge needs the problem")
        text = content_text(user[-1].get("content"), where)
    if not text.strip():
        raise DataError(f"{where}: holds no problem")
    return text.strip()


def response_text(completion: Any, where: str = "completion") -> str:
    """The response: the text itself, or the assistant's messages, a line break between them.

    >>> response_text([{"role": "assistant", "content": "It is 2."}])
    'It is 2.'

    Raises:
        DataError: when it is no text, or holds images or tools.
    """
    if isinstance(completion, str):
        return completion
    messages = _messages(completion, where)
    return "\n".join(content_text(each.get("content"), where) for each in messages if each.get("role") == "assistant")


def content_text(content: Any, where: str) -> str:
    """The text of a message's content: a text, or a list of text parts.

    Raises:
        DataError: for images, audio, and everything else that is no text.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not _is_list(content):
        raise DataError(f"{where}: a message's content must be a text, not {type(content).__name__}")
    parts = []
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            parts.append(part["text"])
        else:
            kind = part.get("type", "part") if isinstance(part, Mapping) else type(part).__name__
            raise DataError(
                f"{where}: holds an {kind!r} part; the judge reads text only. Leave such rows out, or reward them with "
                "another function"
            )
    return "".join(parts)


def reference_text(value: Any, where: str) -> str | None:
    """A reference answer as text; None stays None. Numbers, numpy's too, are written out.

    >>> reference_text(18, "answer"), reference_text(2.5, "answer"), reference_text("", "answer")
    ('18', '2.5', None)

    Raises:
        DataError: when it is a list, a table, or yes or no.
    """
    if hasattr(value, "item") and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a numpy scalar or an array of no dimension
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{where}: the reference answer must be a text or a number, not {type(value).__name__}")
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def check_text_only(columns: Mapping[str, Any], names: Sequence[str], trainer: str) -> None:
    """Refuse rows that hold something beside their text, in columns of its own.

    Args:
        columns: [B] values of each column by its name; those that are not there hold nothing.
        names: of the columns to look at.
        trainer: its name, for the message.

    Raises:
        DataError: names the first such row, and says what to do.
    """
    for name in names:
        values = columns.get(name)
        for index, value in enumerate(() if values is None else values):
            if _holds_something(value):
                raise DataError(
                    f"{trainer}: row {index} of the batch has something in its column '{name}'; the judge reads one "
                    "worked solution, as text. Leave such rows out, or reward them with another function"
                )


def _holds_something(value: Any) -> bool:
    """False for None, 0, and everything of length 0, a written-out empty list among them."""
    if isinstance(value, str):
        return value.strip() not in ("", "[]", "{}", "null")
    return len(value) > 0 if hasattr(value, "__len__") else bool(value)


def _messages(value: Any, where: str) -> Sequence[Mapping[str, Any]]:
    """The messages of a chat without tools."""
    if not _is_list(value) or not all(isinstance(each, Mapping) for each in value):
        raise DataError(f"{where}: must be a text or a list of messages, not {type(value).__name__}")
    for message in value:
        if message.get("role") in TOOL_ROLES or message.get("tool_calls"):
            raise DataError(
                f"{where}: holds tool calls; the judge reads one worked solution. Leave such rows out, or reward them "
                "with another function"
            )
    messages: Sequence[Mapping[str, Any]] = value
    return messages


def _is_list(value: Any) -> bool:
    """A list or what behaves like one: some trainers hand over arrays of objects."""
    return hasattr(value, "__len__") and hasattr(value, "__iter__") and not isinstance(value, (str, bytes, Mapping))

"""A rendered conversation as template pieces and the messages between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from judge.errors import ModelError


def around_messages(tokenizer: Any, roles: Sequence[str], scheme: str) -> list[str]:
    """What the chat template writes before, between and after messages of these roles: one text more than roles.

    Raises:
        ModelError: no chat template, or one that leaves a message out.
    """
    if not tokenizer.chat_template:
        raise ModelError(f"scheme '{scheme}': the tokenizer of '{tokenizer.name_or_path}' has no chat template")
    marks = [f"\ue000{number}\ue000" for number in range(len(roles))]
    messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    rest = str(tokenizer.apply_chat_template(messages, tokenize=False))
    parts: list[str] = []
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found:
            raise ModelError(
                f"scheme '{scheme}': the chat template of '{tokenizer.name_or_path}' does not take the roles "
                f"{', '.join(dict.fromkeys(roles))} in this order"
            )
        parts.append(before)
    return [*parts, rest]

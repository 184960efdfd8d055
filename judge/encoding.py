"""Problem and steps to token ids, with the border of every step known by construction.

Every part is tokenised on its own and joined as ids: a text tokenised as a whole can merge characters across a border,
so that the "last token of a step" is not where one thinks (QwenLM/ProcessBench pull request 12: 56.1 -> 60.3 F1 after
the separator was appended as ids).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Final, Literal

from judge.errors import ModelError

Template = Literal["plain", "chat"]

PLAIN_PROMPT: Final = "Problem: {problem}\n\nSolution:\n"

_MARK: Final = "\ue000problem\ue000"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one solution.

    >>> Encoded((1, 2), ((3, 4), (5,))).spans
    ((0, 2), (2, 3))
    """

    prompt_ids: tuple[int, ...]
    """The problem, the same for every response to it."""
    step_ids: tuple[tuple[int, ...], ...]
    """The tokens of each step, the separator's at its end."""

    @property
    def response_ids(self) -> tuple[int, ...]:
        """The steps, joined."""
        return tuple(token for step in self.step_ids for token in step)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First token of each step, and one past its last, counted from the response's first token."""
        return tuple(pairwise(accumulate((len(step) for step in self.step_ids), initial=0)))

    @property
    def num_tokens(self) -> int:
        """Prompt and response."""
        return len(self.prompt_ids) + sum(map(len, self.step_ids))


class StepEncoder:
    """Turns solutions into `Encoded`, one tokenizer call for all the texts of a batch.

    Args:
        tokenizer: a tokenizer of transformers.
        template: ``plain`` writes the problem as text; ``chat`` as the user's turn of the model's chat template.
        separator: stands after every step.

    Raises:
        ModelError: ``chat`` with a tokenizer that has no chat template, or a separator without tokens.
    """

    def __init__(self, tokenizer: Any, template: Template = "plain", separator: str = "\n\n") -> None:
        if template == "chat" and not tokenizer.chat_template:
            raise ModelError(
                f"the tokenizer of '{tokenizer.name_or_path}' has no chat template; set template = 'plain'"
            )
        self._tokenizer = tokenizer
        self.template: Final[Template] = template
        self.separator: Final = separator
        self._separator_ids = tuple(self._ids([separator])[0])
        if not self._separator_ids:
            raise ModelError(f"separator {separator!r} has no tokens in '{tokenizer.name_or_path}'; choose another")

    def encode(self, problem: str, steps: Sequence[str]) -> Encoded:
        """Encode one solution; special tokens written in a problem or a step are read as plain text."""
        content, *rest = self._ids([problem, *steps])
        before, after = self._around_problem
        return Encoded((*before, *content, *after), tuple((*step, *self._separator_ids) for step in rest))

    @cached_property
    def _around_problem(self) -> tuple[list[int], list[int]]:
        """What stands before and after the problem, where special tokens are special."""
        tokenizer = self._tokenizer
        if self.template == "chat":
            chat = [{"role": "user", "content": _MARK}]
            text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        else:
            text = f"{tokenizer.bos_token or ''}{PLAIN_PROMPT.replace('{problem}', _MARK)}"
        before, _, after = str(text).partition(_MARK)
        return tuple(tokenizer([before, after], add_special_tokens=False)["input_ids"])

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return ids


def tokenizer_digest(tokenizer: Any) -> str:
    """12 hex digits over all that decides which ids a text gets: vocabulary, merges, normalisers, special tokens."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for setting in ("truncation", "padding"):  # set by the last call, no part of what a text becomes
        state.pop(setting, None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:12]

"""From a problem to the token ids of a chat prompt."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from sgpo_client.types import Problem

logger = logging.getLogger(__name__)


class PromptBuilder:
    """Puts a problem into the configured user message and the tokenizer's chat template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._before, self._after = template.split("{problem}")
        self._max_tokens = max_tokens

    def token_ids(self, problem: Problem) -> list[int]:
        """[P] token ids, ending where the assistant's turn begins."""
        message = {"role": "user", "content": self._before + problem.text + self._after}
        # Rendered to text first: what apply_chat_template returns for token ids differs between transformers versions.
        text = self._tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of response tokens without special ones, as the reward server reads it (before it is stripped)."""
        text: str = self._tokenizer.decode(token_ids, skip_special_tokens=True)
        return text

    def drop_too_long(self, problems: Sequence[Problem]) -> list[Problem]:
        """The problems whose prompt fits into ``rollout.max_prompt_tokens``; the others are counted in a warning."""
        kept = [problem for problem in problems if len(self.token_ids(problem)) <= self._max_tokens]
        if len(kept) < len(problems):
            logger.warning(
                "%d of %d problems have a prompt of more than rollout.max_prompt_tokens = %d tokens: left out",
                len(problems) - len(kept),
                len(problems),
                self._max_tokens,
            )
        return kept

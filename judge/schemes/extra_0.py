r"""Qwen2.5-Math-PRM (arXiv 2501.07301): a special token after every step, a head of two labels read there.

The chat is the system prompt below, the problem as the user's turn, and the steps as the assistant's, each with
``<extra_0>`` at its end. P(right) is the softmax's second value at those tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from judge.encoding import Encoded
from judge.errors import ModelError
from judge.schemes.chat import around_messages
from judge.schemes.heads import load_token_classifier
from judge.schemes.pieces import Piece, cut, tokenize
from judge.schemes.reader import StepReader
from judge.schemes.tags import not_one_token, plain_ids

SCHEME: Final = "extra_0"
TAG: Final = "<extra_0>"
SYSTEM: Final = r"Please reason step by step, and put your final answer within \boxed{}."


class Extra0Encoder:
    """Ids of a solution, ``<extra_0>`` the last of every step.

    Raises:
        ModelError: a tokenizer without a chat template, or for which ``<extra_0>`` is no token.
    """

    def __init__(self, tokenizer: Any) -> None:
        tag = plain_ids(tokenizer, TAG)
        if len(tag) != 1:
            raise not_one_token(tokenizer, SCHEME, TAG, len(tag))
        if TAG not in tokenizer.get_added_vocab():
            raise ModelError(
                f"scheme '{SCHEME}': {TAG!r} is no special token of the tokenizer of '{tokenizer.name_or_path}'"
            )
        self._tokenizer = tokenizer
        self._chat = around_messages(tokenizer, ("system", "user", "assistant"), SCHEME)

    def encode(self, problem: str, steps: Sequence[str]) -> Encoded:
        """Encode one solution."""
        before_system, before_problem, before_steps, _ = self._chat
        pieces = [Piece(before_system + SYSTEM + before_problem, True), Piece(problem), Piece(before_steps, True)]
        at = sum(len(piece.text) for piece in pieces)
        borders = [at]
        for step in steps:
            pieces += [Piece(step), Piece(TAG, True)]
            at += len(step) + len(TAG)
            borders.append(at)
        prompt, *rest = [tuple(token.id for token in part) for part in cut(tokenize(self._tokenizer, pieces), borders)]
        return Encoded(prompt, tuple(rest))


def load_extra_0(name: str, device: str, dtype: str) -> StepReader:
    """Load a published checkpoint.

    Raises:
        ModelError: when there is none, or its head or tokenizer is another scheme's.
    """
    model = load_token_classifier(name, device, dtype)
    return StepReader(
        encode=Extra0Encoder(model.tokenizer).encode,
        body=model.body,
        logits=model.head,
        wrong=0,
        identity=f"{SCHEME}@{model.identity}",
    )

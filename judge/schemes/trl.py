r"""TRL's process reward models: token classification at the last separator token of every step.

As ``PRMTrainer`` of TRL (up to 1.13) made its rows: the beginning-of-text token where there is one, the prompt, and
each step with the separator's ids, all tokenised one by one. Label 1 is a right step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from judge.encoding import Encoded
from judge.errors import ModelError
from judge.schemes.heads import load_token_classifier
from judge.schemes.reader import StepReader
from judge.schemes.tags import plain_ids

SCHEME: Final = "trl"


class TrlEncoder:
    r"""Ids of a solution, the separator's at the end of every step.

    Args:
        separator: ``step_separator`` of the training run, ``"\n"`` by default there.

    Raises:
        ModelError: a separator without tokens.
    """

    def __init__(self, tokenizer: Any, separator: str) -> None:
        self._tokenizer = tokenizer
        self._separator = tuple(plain_ids(tokenizer, separator))
        if not self._separator:
            raise ModelError(f"separator {separator!r} has no tokens in '{tokenizer.name_or_path}'; choose another")
        self._start = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)

    def encode(self, problem: str, steps: Sequence[str]) -> Encoded:
        """Encode one solution; special tokens written in it are plain text."""
        ids = self._tokenizer([problem, *steps], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        prompt, *rest = ids
        return Encoded((*self._start, *prompt), tuple((*step, *self._separator) for step in rest))


def load_trl(name: str, device: str, dtype: str, separator: str) -> StepReader:
    """Load a checkpoint that TRL trained.

    Raises:
        ModelError: when there is none, or it has no head of two labels.
    """
    model = load_token_classifier(name, device, dtype)
    return StepReader(
        encode=TrlEncoder(model.tokenizer, separator).encode,
        body=model.body,
        logits=model.head,
        wrong=0,
        identity=f"{SCHEME}@{model.identity}.{separator.encode().hex()}",
    )

r"""Math-Shepherd (arXiv 2312.08935): a language model asked for "+" or "-" at a tag after every step.

The text is the problem, a space, and ``Step 1: ... ки`` lines. P(right) is the softmax over the logits of "+" and "-"
at the tag. The tag is an ordinary word: one that a step itself writes is read over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from judge.backbone import load_backbone
from judge.encoding import Encoded
from judge.schemes.pieces import cut, plain_tokens
from judge.schemes.reader import StepReader
from judge.schemes.tags import not_one_token, plain_ids, vocabulary_logits

SCHEME: Final = "math_shepherd"
TAG: Final = "ки"
CANDIDATES: Final = "+ -"


class MathShepherdEncoder:
    """Ids of a solution, the tag the last of every step.

    Raises:
        ModelError: a tokenizer for which the tag is not one token.
    """

    def __init__(self, tokenizer: Any) -> None:
        tag = plain_ids(tokenizer, TAG)
        if len(tag) != 1:
            raise not_one_token(tokenizer, SCHEME, TAG, len(tag))
        self._tokenizer = tokenizer
        self._tag = tag[0]
        self.encode("1", ["1", "1"])

    def encode(self, problem: str, steps: Sequence[str]) -> Encoded:
        """Encode one solution.

        Raises:
            ModelError: when the tag merged with what is beside it.
        """
        text, borders = problem, [len(problem)]
        for number, step in enumerate(steps, start=1):
            name = f"Step {number}:"
            text += "\n" if number > 1 else " "
            text += f"{step if step.startswith(name) else f'{name} {step}'} {TAG}"
            borders.append(len(text))
        # The whole text at once, with the special tokens that the tokenizer adds to every text.
        tokens = plain_tokens(self._tokenizer, [text], add_special_tokens=True)[0]
        prompt, *rest = cut(tokens, borders)
        for part in rest:
            if part[-1].id != self._tag:
                raise not_one_token(self._tokenizer, SCHEME, f" {TAG}", 2)
        return Encoded(tuple(token.id for token in prompt), tuple(tuple(token.id for token in part) for part in rest))


def load_math_shepherd(name: str, device: str, dtype: str) -> StepReader:
    """Load a published checkpoint.

    Raises:
        ModelError: when there is none, or its tokenizer is another scheme's.
    """
    backbone = load_backbone(name, device=device, dtype=dtype)
    encoder = MathShepherdEncoder(backbone.tokenizer)
    candidates = plain_ids(backbone.tokenizer, CANDIDATES)
    if len(candidates) != 2:
        raise not_one_token(backbone.tokenizer, SCHEME, "+ or -", len(candidates))
    return StepReader(
        encode=encoder.encode,
        body=backbone.body,
        logits=vocabulary_logits(backbone, *candidates),
        wrong=1,
        identity=f"{SCHEME}@{backbone.fingerprint}.{backbone.tokenizer_digest}",
    )

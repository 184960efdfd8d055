"""RLHFlow's chat models (its repository RLHF-Reward-Modeling, math-rm): "+" or "-" in answer to every step.

Every step is a user's turn; the first is the problem, a space and the first step. P(right) is the softmax over the
logits of "+" and "-" where the answer is predicted. All answers are taken as "+", so that one forward gives all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from judge.backbone import load_backbone
from judge.encoding import Encoded
from judge.errors import ModelError
from judge.schemes.chat import around_messages
from judge.schemes.pieces import Piece, cut, tokenize
from judge.schemes.reader import StepReader
from judge.schemes.tags import not_one_token, plain_ids, vocabulary_logits

SCHEME: Final = "rlhflow"
GOOD: Final = "+"
BAD: Final = "-"


class RlhflowEncoder:
    """Ids of a solution; a step ends with the token before the assistant's answer.

    Raises:
        ModelError: a tokenizer without a chat template, or for which "+" or "-" is not one token.
    """

    def __init__(self, tokenizer: Any) -> None:
        for answer in (GOOD, BAD):
            ids = plain_ids(tokenizer, answer)
            if len(ids) != 1:
                raise not_one_token(tokenizer, SCHEME, answer, len(ids))
        self._tokenizer = tokenizer
        self._good = plain_ids(tokenizer, GOOD)[0]
        self.encode("1", ["1", "1"])

    def encode(self, problem: str, steps: Sequence[str]) -> Encoded:
        """Encode one solution.

        Raises:
            ModelError: when "+" merged with what is before it.
        """
        chat = around_messages(self._tokenizer, ("user", "assistant") * len(steps), SCHEME)
        pieces = [Piece(chat[0], True), Piece(problem + " ")]
        borders = [len(chat[0] + problem)]
        answers = set()
        for number, step in enumerate(steps):
            before, after = chat[2 * number + 1 : 2 * number + 3]
            pieces += [Piece(step), Piece(before, True)]
            borders.append(sum(len(piece.text) for piece in pieces))
            answers.add(borders[-1])
            pieces.append(Piece(GOOD + after, True))
        tokens = tokenize(self._tokenizer, pieces)
        found = sum(token.id == self._good and token.start in answers for token in tokens)
        if found != len(steps):
            raise ModelError(
                f"scheme '{SCHEME}': with the chat template of '{self._tokenizer.name_or_path}' the answer {GOOD!r} is "
                "no token of its own"
            )
        prompt, *rest = [tuple(token.id for token in part) for part in cut(tokens, borders)]
        return Encoded(prompt, tuple(rest))


def load_rlhflow(name: str, device: str, dtype: str) -> StepReader:
    """Load a published checkpoint.

    Raises:
        ModelError: when there is none, or its tokenizer is another scheme's.
    """
    backbone = load_backbone(name, device=device, dtype=dtype)
    encoder = RlhflowEncoder(backbone.tokenizer)
    candidates = [plain_ids(backbone.tokenizer, answer)[0] for answer in (GOOD, BAD)]
    return StepReader(
        encode=encoder.encode,
        body=backbone.body,
        logits=vocabulary_logits(backbone, *candidates),
        wrong=1,
        identity=f"{SCHEME}@{backbone.fingerprint}.{backbone.tokenizer_digest}",
    )

"""Advantages of responses to advantages of tokens: the same for all, or split at the first wrong step.

Prefix credit follows VPPO (arXiv 2601.18984): the verified prefix of a wrong response is not to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sgpo_client.settings.sgpo import Credit
from sgpo_client.types import Rollout
from sgpo_client.wire import ResponseScore

Decode = Callable[[Sequence[int]], str]


def prefix_advantages(advantage: float, num_tokens: int, first_wrong: int, suffix_penalty: float = 0.0) -> list[float]:
    """[R] advantages: before the first wrong step never below 0, from it on never above.

    Args:
        advantage: of the response.
        num_tokens: R.
        first_wrong: index of the first token of the first wrong step, in [0, R].
        suffix_penalty: taken off from there on, >= 0.

    >>> prefix_advantages(-0.2, 4, 2), prefix_advantages(0.2, 4, 2, suffix_penalty=0.1)
    ([0.0, 0.0, -0.2, -0.2], [0.2, 0.2, -0.1, -0.1])
    """
    suffix = min(advantage, 0.0) - suffix_penalty
    return [max(advantage, 0.0)] * first_wrong + [suffix] * (num_tokens - first_wrong)


def token_advantages(
    rollout: Rollout, score: ResponseScore, advantage: float, credit: Credit, suffix_penalty: float, decode: Decode
) -> list[float]:
    """[R] advantages of a response's tokens.

    Args:
        rollout: the response.
        score: what the server said of it; only judged responses with a first wrong step are split.
        advantage: of the response.
        credit: whether to split them.
        suffix_penalty: see `prefix_advantages`.
        decode: token ids to the text that `Rollout.text` was stripped from.
    """
    num_tokens = len(rollout.response_ids)
    whole = credit == "response" or score.status != "judged"
    if whole or score.first_error is None or score.step_offsets is None:
        return [advantage] * num_tokens
    start, _ = score.step_offsets[score.first_error]
    start -= len(rollout.text) - len(rollout.text.lstrip())  # offsets are into the text as it was sent
    first_wrong = token_at(rollout.response_ids, start, decode)
    return prefix_advantages(advantage, num_tokens, first_wrong, suffix_penalty)


def token_at(token_ids: Sequence[int], position: int, decode: Decode) -> int:
    """Index of the token that holds the character at ``position`` of the stripped text; R when it is beyond the end.

    By bisection over decoded prefixes, since tokenizers differ in what they say of offsets and tokens may be parts of
    characters.
    """
    text = decode(token_ids)
    target = position + len(text) - len(text.lstrip())
    low, high = 0, len(token_ids)
    while low < high:
        middle = (low + high) // 2
        if len(decode(token_ids[: middle + 1])) > target:
            high = middle
        else:
            low = middle + 1
    return low

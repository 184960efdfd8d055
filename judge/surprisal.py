"""How unexpected each token of a response is to the language model: -log p(token | all before), in nats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from judge.backbone import Backbone
from judge.encoding import Encoded

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_AT_ONCE: Final = 512
"""Bounds the memory for logits: tokens times vocabulary."""


def token_surprisals(backbone: Backbone, last_states: Tensor, solution: Encoded, begin: int = 0) -> Tensor:
    """Surprisal of the response's tokens.

    Args:
        last_states: [prompt and response tokens, hidden], after the final norm.
        begin: first token of the response that is wanted.

    Returns:
        [response tokens - begin] float32, at least 0.
    """
    import torch

    head = backbone.model.get_output_embeddings()
    before = last_states[len(solution.prompt_ids) - 1 + begin : -1]
    ids = torch.tensor(solution.response_ids[begin:], device=last_states.device)
    parts = [
        torch.nn.functional.cross_entropy(head(states).float(), targets, reduction="none")
        for states, targets in zip(before.split(TOKENS_AT_ONCE), ids.split(TOKENS_AT_ONCE), strict=True)
    ]
    return torch.cat(parts)

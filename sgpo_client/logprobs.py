"""Log-probabilities of response tokens, with logits computed at response positions only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from sgpo_client.microbatch import MicroBatch

_CHUNK_ELEMENTS = 1 << 22
"""Logits turned to float32 at once (16 MiB)."""


class TokenLogprobs(NamedTuple):
    """Column t belongs to token t + 1; 0 outside the response."""

    logprobs: torch.Tensor
    """[B, T] float32."""
    entropy: torch.Tensor
    """[B, T] float32, of the distribution that the token was drawn from, in nats; detached."""


def response_logprobs(model: PreTrainedModel, batch: MicroBatch, temperature: float) -> TokenLogprobs:
    """Log-probability of each response token under softmax(logits / temperature), in float32.

    Args:
        model: a causal language model, sharded or not; called through its own ``forward``.
        batch: on the model's device.
        temperature: > 0, the one that the responses were sampled at.
    """
    mask = batch.response_mask
    # Positions in the flattened [B, L] hidden states: column t of the mask is position t.
    rows, columns = mask.nonzero(as_tuple=True)
    with _project_only(model, rows * batch.input_ids.shape[1] + columns):
        logits = model(input_ids=batch.input_ids, use_cache=False).logits
    targets = batch.input_ids[:, 1:][mask]
    logprobs, entropy = _SelectedLogprobs.apply(logits, targets, 1.0 / temperature)
    zeros = logprobs.new_zeros(mask.shape)
    return TokenLogprobs(zeros.masked_scatter(mask, logprobs), zeros.masked_scatter(mask, entropy))


@contextmanager
def _project_only(model: PreTrainedModel, positions: torch.Tensor) -> Iterator[None]:
    """Within this context the output head sees only ``positions`` [N], and the logits are [N, V].

    A hook rather than a call of body and head in turn: the model's own forward keeps what it does after the head
    (scaling, soft-capping), and FSDP's hooks on the whole model run.
    """

    def select(_head: Any, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (args[0].flatten(0, 1).index_select(0, positions),)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


class _SelectedLogprobs(torch.autograd.Function):  # type: ignore[misc]
    """Log-probability of one target per row, and the row's entropy, without a float32 copy of all logits.

    Autograd's own log_softmax and gather would keep three tensors of the logits' size; this keeps the logits.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, inv_temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[N, V] logits, [N] targets -> [N] log-probabilities, [N] entropies."""
        num_rows = logits.shape[0]
        logprobs = torch.empty(num_rows, dtype=torch.float32, device=logits.device)
        entropy, log_normalizer = torch.empty_like(logprobs), torch.empty_like(logprobs)
        for rows in _row_chunks(logits):
            scaled = logits[rows].float() * inv_temperature
            log_normalizer[rows] = torch.logsumexp(scaled, dim=-1)
            logprobs[rows] = scaled.gather(1, targets[rows, None]).squeeze(1) - log_normalizer[rows]
            probs = torch.exp(scaled - log_normalizer[rows, None])
            entropy[rows] = log_normalizer[rows] - torch.linalg.vecdot(probs, scaled)
        ctx.save_for_backward(logits, targets, log_normalizer)
        ctx.inv_temperature = inv_temperature
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, grad_logprobs: torch.Tensor, _grad_entropy: Any) -> tuple[torch.Tensor, None, None]:
        """Gradient of log softmax: (1[v is target] - p_v) / temperature."""
        logits, targets, log_normalizer = ctx.saved_tensors
        grad_logits = torch.empty_like(logits)
        for rows in _row_chunks(logits):
            scale = grad_logprobs[rows, None] * ctx.inv_temperature
            grad = logits[rows].float().mul_(ctx.inv_temperature).sub_(log_normalizer[rows, None]).exp_().mul_(-scale)
            grad_logits[rows] = grad.scatter_add_(1, targets[rows, None], scale)
        return grad_logits, None, None


def _row_chunks(logits: torch.Tensor) -> Iterator[slice]:
    num_rows, vocabulary = logits.shape
    step = max(1, _CHUNK_ELEMENTS // vocabulary)
    return (slice(start, start + step) for start in range(0, num_rows, step))

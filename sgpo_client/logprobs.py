"""Log-probabilities of response tokens, with logits of a bounded number of response positions at a time.

The output head is the widest layer: logits of all tokens of a micro-batch can outweigh everything else. Here they are
made for response positions only, and chunk after chunk; the backward pass makes those of a chunk again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from sgpo_client.errors import ModelError
from sgpo_client.microbatch import MicroBatch

_MAX_LOGITS = 1 << 26
"""Logits kept at once: 256 MiB in float32."""
_CHUNK_ELEMENTS = 1 << 22
"""Logits turned to float32 at once (16 MiB)."""

Head = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""[N, D] hidden states, [N] targets -> [N] log-probabilities, [N] entropies."""


class TokenLogprobs(NamedTuple):
    """Column t belongs to token t + 1; 0 outside the response."""

    logprobs: torch.Tensor
    """[B, T] float32."""
    entropy: torch.Tensor
    """[B, T] float32, of the distribution that the token was drawn from, in nats; detached."""


def response_logprobs(model: PreTrainedModel, batch: MicroBatch, temperature: float) -> TokenLogprobs:
    """Log-probability of each response token under softmax(logits / temperature), in float32.

    Args:
        model: a causal language model, sharded or not.
        batch: on the model's device.
        temperature: > 0, the one that the responses were sampled at.

    Raises:
        ModelError: when the model's ``forward`` does not go through ``base_model``.
    """
    mask = batch.response_mask
    targets = batch.input_ids[:, 1:][mask]
    # Positions in the flattened [B, L] hidden states: column t of the mask is position t.
    rows, columns = mask.nonzero(as_tuple=True)
    positions = rows * batch.input_ids.shape[1] + columns
    head = _head(model, temperature)

    def forward(input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        return _in_chunks(head, hidden.flatten(0, 1).index_select(0, positions), targets, model.config.vocab_size)

    # In place of the model's own forward rather than beside it, so that FSDP's hooks on the whole model run.
    with _replaced_forward(model, forward):
        logprobs, entropy = model(batch.input_ids)
    zeros = logprobs.new_zeros(mask.shape)
    return TokenLogprobs(zeros.masked_scatter(mask, logprobs), zeros.masked_scatter(mask, entropy))


def _in_chunks(
    head: Head, hidden: torch.Tensor, targets: torch.Tensor, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """``head`` on chunks of rows; no more than one chunk's logits exist at any time, backward included."""
    size = max(1, _MAX_LOGITS // vocabulary)
    starts = range(0, max(1, len(targets)), size)
    outputs = []
    for start in starts:
        chunk = hidden[start : start + size], targets[start : start + size]
        # The backward pass begins with the last chunk, whose logits are kept: a batch of one chunk computes none twice.
        again = torch.is_grad_enabled() and start != starts[-1]
        outputs.append(
            checkpoint(head, *chunk, use_reentrant=False, preserve_rng_state=False) if again else head(*chunk)
        )
    logprobs, entropy = zip(*outputs, strict=True)
    return torch.cat(logprobs), torch.cat(entropy)


def _head(model: PreTrainedModel, temperature: float) -> Head:
    """What the model does after its body: its own forward, with the body giving back the hidden states it is given.

    Its own, for some models scale or soft-cap what comes out of the output head.
    """
    own_forward = model.forward

    def head(hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls = []

        def body(**_kwargs: Any) -> BaseModelOutputWithPast:
            calls.append(1)
            return BaseModelOutputWithPast(last_hidden_state=hidden[None])

        with _replaced_forward(model.base_model, body):
            logits = own_forward(inputs_embeds=hidden[None], use_cache=False).logits[0]
        if not calls:
            raise ModelError(
                f"model.name: the forward of {type(model).__name__} does not call its base_model, so its "
                "log-probabilities cannot be taken; choose another causal language model"
            )
        return _SelectedLogprobs.apply(logits, targets, 1.0 / temperature)  # type: ignore[no-any-return]

    return head


@contextmanager
def _replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Within this context calling ``module`` runs ``forward``, inside the module's hooks."""
    own = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


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

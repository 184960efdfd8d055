"""The probe's head: one score per step, read from the hidden states of all tokens of the step.

An attention query over the tokens of a step finds errors better than its last token or a mean: on ProcessBench with
frozen states of an 8B model 55.8 F1 against 41.9 and 46.9 (three published readouts; see docs/results/judges.md for
what they give here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from judge.errors import ModelError
from judge.settings import Settings

Readout = Literal["attention", "mean", "last"]


class HeadShape(Settings):
    """What a head looks like."""

    layer: int = Field(ge=1)
    """Whose output is read; 1 is the first layer's."""
    readout: Readout = "attention"
    num_queries: int = Field(default=4, ge=1, le=64)
    """Attention queries (``attention`` only); what they find is joined."""
    width: int = Field(default=0, ge=0, le=4096)
    """Units between the readout and the score; 0 for a linear score."""


class ProbeHead(nn.Module):  # type: ignore[misc]  # torch comes without types here
    """Scores steps from packed token states."""

    def __init__(self, shape: HeadShape, hidden_size: int) -> None:
        super().__init__()
        self.shape = shape
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(hidden_size))
        self.register_buffer("scale", torch.ones(hidden_size))
        queries = shape.num_queries if shape.readout == "attention" else 0
        self.query = nn.Parameter(torch.zeros(queries, hidden_size))
        pooled = hidden_size * max(queries, 1)
        self.score: nn.Module = (
            nn.Sequential(nn.Linear(pooled, shape.width), nn.GELU(), nn.Dropout(0.1), nn.Linear(shape.width, 1))
            if shape.width
            else nn.Linear(pooled, 1)
        )

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Set the shift and scale of every state dimension, as measured on the training tokens.

        A dimension that is the same everywhere says nothing and is switched off.
        """
        self.mean.copy_(mean)
        constant = std <= 1e-6 * mean.abs().clamp_min(1)
        self.scale.copy_(torch.where(constant, 0.0, 1 / std.clamp_min(1e-30)))

    def forward(self, states: Tensor, lengths: Sequence[int]) -> Tensor:
        """Logits that a step is wrong.

        Args:
            states: [tokens, hidden] of all steps, one after the other.
            lengths: tokens of each step, each at least 1; they add up to ``tokens``.

        Returns:
            [steps] float32.
        """
        states = (states.float() - self.mean) * self.scale
        counts = torch.tensor(list(lengths), device=states.device)
        step = torch.repeat_interleave(torch.arange(len(lengths), device=states.device), counts)
        return self.score(self._pool(states, step, counts)).squeeze(-1)

    def _pool(self, states: Tensor, step: Tensor, counts: Tensor) -> Tensor:
        """What the readout gives of each step: [steps, pooled]."""
        if self.shape.readout == "last":
            return states[counts.cumsum(0) - 1]
        if self.shape.readout == "mean":
            return _sums(states, step, len(counts)) / counts[:, None]
        logits = states @ self.query.T / states.shape[-1] ** 0.5  # [tokens, queries]
        # Softmax within each step; its largest logit is taken off first, so that exp cannot overflow.
        top = torch.full((len(counts), logits.shape[1]), -torch.inf, device=logits.device)
        top = top.scatter_reduce(0, step[:, None].expand_as(logits), logits, "amax")
        weights = (logits - top[step]).exp()
        weights = weights / _sums(weights, step, len(counts))[step]
        pooled = [_sums(states * weights[:, [q]], step, len(counts)) for q in range(weights.shape[1])]
        return torch.cat(pooled, dim=1)


def _sums(values: Tensor, step: Tensor, num_steps: int) -> Tensor:
    """[steps, ...]: sum of the rows of each step."""
    return torch.zeros((num_steps, *values.shape[1:]), dtype=values.dtype, device=values.device).index_add_(
        0, step, values
    )


def to_arrays(head: ProbeHead) -> dict[str, Any]:
    """Numpy arrays for a judge folder, float32."""
    return {name: tensor.detach().cpu().float().numpy() for name, tensor in head.state_dict().items()}


def from_arrays(shape: HeadShape, arrays: Mapping[str, Any]) -> ProbeHead:
    """A head in evaluation mode from the arrays of a judge folder.

    Raises:
        ModelError: arrays that are missing or do not fit the shape.
    """
    try:
        head = ProbeHead(shape, int(arrays["mean"].shape[0]))
        head.load_state_dict({name: torch.from_numpy(array).float() for name, array in arrays.items()})
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"the probe's weights do not fit its shape {shape.model_dump()}: {error}") from None
    head.eval().requires_grad_(False)
    return head

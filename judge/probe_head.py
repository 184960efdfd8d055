"""The probe's head: one score per step, read from the hidden states of all tokens of the step.

An attention query over the tokens of a step finds errors better than its last token or a mean: on ProcessBench with
frozen states of an 8B model 55.8 F1 against 41.9 and 46.9 (three published readouts; see docs/results/judges.md for
what they give here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

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


STEPS_AT_ONCE: Final = 32
"""Steps that attention reads together, padded to the longest of them."""


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
        if self.shape.readout != "attention":
            return self.score(self._standard(pool(states, lengths, self.shape.readout))).squeeze(-1)
        return self.score(self._attend(self._standard(states).split(list(lengths)))).squeeze(-1)

    def _attend(self, steps: Sequence[Tensor]) -> Tensor:
        """What the queries find in the tokens of each step, joined: [steps, queries * hidden]."""
        order = sorted(range(len(steps)), key=lambda index: len(steps[index]))  # little padding in each part
        parts = [order[begin : begin + STEPS_AT_ONCE] for begin in range(0, len(order), STEPS_AT_ONCE)]
        found = torch.cat([self._attend_padded([steps[index] for index in part]) for part in parts])
        return found[torch.tensor(order, device=found.device).argsort()]

    def _attend_padded(self, steps: Sequence[Tensor]) -> Tensor:
        states = nn.utils.rnn.pad_sequence(list(steps), batch_first=True)  # [steps, longest, hidden]
        lengths = torch.tensor([len(step) for step in steps], device=states.device)
        padding = torch.arange(states.shape[1], device=states.device) >= lengths[:, None]
        logits = states @ self.query.T / states.shape[-1] ** 0.5  # [steps, longest, queries]
        weights = logits.masked_fill(padding[:, :, None], -torch.inf).softmax(1)
        return (weights.transpose(1, 2) @ states).flatten(1)

    def _standard(self, states: Tensor) -> Tensor:
        return (states.float() - self.mean) * self.scale


def pool(states: Tensor, lengths: Sequence[int], readout: Readout) -> Tensor:
    """One state for each step, the mean of its tokens' or that of its last token: [steps, hidden] float32."""
    steps = states.float().split(list(lengths))
    return torch.stack([step.mean(0) if readout == "mean" else step[-1] for step in steps])


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

"""The classifier while it is trained: the body of a language model, and a linear head with two labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from judge.backbone import Backbone
from judge.encoding import Encoded, StepEncoder
from judge.errors import ModelError
from judge.schemes.own import WRONG
from judge.schemes.reader import StepReader, read_hazards
from judge.train.classifier_examples import IGNORED
from judge.train.classifier_settings import LoraSettings


class StepClassifier(nn.Module):  # type: ignore[misc]
    """P(step is wrong | all before are right) from the state of the step's last token.

    Args:
        body: a transformer without a head; adapters, if any, are inside it.
        hidden_size: width of its states.
        wrong_share: share of wrong steps among the labels. The head starts from it, and so without a detour.
        error_weight: weight of a wrong step in the loss.
        compute_dtype: what matrices are multiplied in.
    """

    accepts_loss_kwargs = True
    """Tells the Trainer to pass the number of labels of the whole optimizer step."""

    def __init__(
        self, body: Any, hidden_size: int, *, wrong_share: float, error_weight: float, compute_dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(hidden_size, 2, device=body.device)
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([0.0, math.log(wrong_share / (1 - wrong_share))]))
        self._error_weight = error_weight
        self._compute_dtype = compute_dtype

    def forward(
        self, input_ids: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None
    ) -> dict[str, Tensor]:
        """The loss: weighted negative log-likelihoods, summed, over the number of labels in the optimizer step.

        Args:
            input_ids: [batch, tokens], padded on the right with anything: a causal model never sees it.
            labels: [batch, tokens], `IGNORED` wherever nothing is to be said.
        """
        told = labels != IGNORED
        with self.autocast():
            states = self.body(input_ids=input_ids, use_cache=False).last_hidden_state[told]
        weights = torch.tensor([1.0, self._error_weight], device=labels.device)
        total = nn.functional.cross_entropy(self.head(states.float()), labels[told], weights, reduction="sum")
        return {"loss": total / (told.sum() if num_items_in_batch is None else num_items_in_batch)}

    def autocast(self) -> torch.autocast:
        """Lower precision where that is safe."""
        return torch.autocast(
            self.head.weight.device.type, self._compute_dtype, enabled=self._compute_dtype != torch.float32
        )

    def hazards(self, encoder: StepEncoder, solutions: Sequence[Encoded], token_budget: int) -> list[tuple[float, ...]]:
        """P(wrong) of all steps, computed as the judge computes them."""
        reader = StepReader(encoder.encode, self.body, self._logits, WRONG, identity="the classifier")
        training = self.training
        self.eval()
        with self.autocast():
            scores = read_hazards(reader, solutions, token_budget)
        self.train(training)
        return scores

    def _logits(self, states: Tensor) -> Tensor:
        with torch.autocast(states.device.type, enabled=False):
            logits: Tensor = self.head(states.float())
        return logits

    def trained_state(self) -> dict[str, Tensor]:
        """The weights that training changes."""
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Take up weights of `trained_state`."""
        own = self.trained_state()
        if own.keys() != state.keys():
            raise ModelError(f"the checkpoint holds other weights: {', '.join(sorted(own.keys() ^ state.keys())[:3])}")
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])


def make_trainable(backbone: Backbone, method: str, lora: LoraSettings) -> Callable[[Path], None] | None:
    """Prepare the backbone's body for training.

    Returns:
        What writes the adapter into a folder; None where the whole body is trained.

    Raises:
        ModelError: PEFT is not installed, or does not find the target modules.
    """
    if method == "full":
        backbone.body.requires_grad_(True)
        return None
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ModelError(f"method = 'lora' needs the extra 'train' ({error}); run: pip install 'sgpo[train]'") from None
    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets)
    try:
        # The adapters are put into the body itself; the wrapper is only for writing them.
        adapted = get_peft_model(backbone.body, config)
    except ValueError as error:
        raise ModelError(f"'lora.target_modules' = {lora.target_modules!r}: {error}") from None
    return lambda folder: adapted.save_pretrained(str(folder))

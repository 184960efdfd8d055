"""transformers' Trainer for the classifier: batches from a schedule, two learning rates, validation as a judge."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from judge.calibration import Decoding
from judge.encoding import StepEncoder
from judge.errors import JudgeError
from judge.train.calibrate import step_targets
from judge.train.classifier_checkpoints import last_whole, room_needed
from judge.train.classifier_examples import IGNORED, Example, Solutions
from judge.train.classifier_model import StepClassifier
from judge.train.classifier_settings import ClassifierTrainSettings
from judge.train.measures import conditional_accuracy

WEIGHTS: Final = "model.safetensors"


class Batches(Dataset):  # type: ignore[misc]
    """The batches of a run, in order, padded when they are asked for."""

    def __init__(self, examples: Sequence[Example], schedule: Sequence[Sequence[int]]) -> None:
        self._examples = examples
        self._schedule = schedule

    def __len__(self) -> int:
        return len(self._schedule)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        chosen = [self._examples[index] for index in self._schedule[place]]
        width = max(len(example.ids) for example in chosen)
        padding = [width - len(example.ids) for example in chosen]
        rows = list(zip(chosen, padding, strict=True))
        return {
            "input_ids": torch.tensor([[*example.ids, *[0] * pad] for example, pad in rows]),
            "labels": torch.tensor([[*example.labels, *[IGNORED] * pad] for example, pad in rows]),
        }


# ruff: noqa: ARG002 - methods of the Trainer keep its signatures
class ClassifierTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that knows a `StepClassifier`."""

    optimizer: Any
    control: Any

    def __init__(
        self,
        model: StepClassifier,
        settings: ClassifierTrainSettings,
        folder: Path,
        batches: Batches,
        validation: Solutions,
        encoder: StepEncoder,
    ) -> None:
        self._settings = settings
        self._validation = validation
        self._encoder = encoder
        arguments = training_arguments(settings, folder, model.head.weight.device, validates=bool(validation.encoded))
        super().__init__(model, arguments, data_collator=_only, train_dataset=batches, eval_dataset=[])

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW with a learning rate for the head and one for the rest."""
        if self.optimizer is None:
            body = [value for value in self.model.body.parameters() if value.requires_grad]
            groups = [
                {"params": body, "lr": self._settings.learning_rate},
                {"params": list(self.model.head.parameters()), "lr": self._settings.head_learning_rate},
            ]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        return self.optimizer

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure the validation solutions, whole, as the judge would score them."""
        measured = measure(self.model, self._encoder, self._validation, self._settings.batch_tokens)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measured.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and end a run that has gone astray.

        Raises:
            JudgeError: when the loss is no number.
        """
        if not math.isfinite(logs.get("loss", 0.0)):
            raise JudgeError(
                f"the loss of step {self.state.global_step} is {logs['loss']}: lower learning_rate or max_grad_norm"
            )
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.model.trained_state().items()}, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.model.load_trained_state(load_file(Path(resume_from_checkpoint) / WEIGHTS))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        path = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        good = last_whole(path.parent)
        start = f"it goes on from step {good.name.rpartition('-')[2]}" if good else "it starts anew"
        try:
            with room_needed(path, f"make room and run the same command: {start}"):
                super()._save_checkpoint(model, trial)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise


def measure(model: StepClassifier, encoder: StepEncoder, solutions: Solutions, token_budget: int) -> dict[str, float]:
    """Mean negative log-likelihood of the steps up to the first error, and how often that error is found."""
    scores = model.hazards(encoder, solutions.encoded, token_budget)
    metrics = {"loss": mean_loss(scores, solutions.labels)}
    accuracy = conditional_accuracy(scores, solutions.labels, Decoding())
    return metrics if accuracy is None else {**metrics, "conditional_acc": accuracy}


def mean_loss(scores: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    """Mean negative log-likelihood of the steps up to the first error, in nats."""
    tiny = torch.finfo(torch.float32).tiny
    flat, targets = step_targets(scores, labels)
    likelihoods = [prob if target else 1 - prob for prob, target in zip(flat, targets, strict=True)]
    return -sum(math.log(max(value, tiny)) for value in likelihoods) / len(flat)


def training_arguments(
    settings: ClassifierTrainSettings, folder: Path, device: torch.device, *, validates: bool
) -> TrainingArguments:
    """Our settings in the Trainer's words. One epoch there is the whole schedule here."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.accumulation,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        use_cpu=device.type == "cpu",
        logging_steps=settings.log_steps,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if validates else "no",
        eval_steps=settings.validate_steps,
        save_strategy="steps",
        save_steps=settings.save_steps,
        save_total_limit=1,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        report_to="none",
    )
    # With several GPUs in sight the Trainer would copy the model to all of them in threads.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _only(batches: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A row of the data set is a whole batch already."""
    return batches[0]

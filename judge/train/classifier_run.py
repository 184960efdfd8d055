"""The training run itself: data and model made ready, and the Trainer's loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import set_seed

from judge.backbone import Backbone, load_backbone
from judge.devices import resolve
from judge.encoding import StepEncoder
from judge.errors import ConfigError
from judge.train.begin import READ_TOKENS, Begun
from judge.train.calibrate import check_calibration_labels
from judge.train.classifier_checkpoints import claim, last_whole
from judge.train.classifier_examples import (
    Example,
    LengthRule,
    Solutions,
    schedule,
    training_examples,
    whole_solutions,
)
from judge.train.classifier_model import StepClassifier, make_trainable
from judge.train.classifier_settings import ClassifierTrainSettings
from judge.train.classifier_trainer import Batches, ClassifierTrainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncodedData:
    """The data as token ids."""

    examples: list[Example]
    validation: Solutions
    calibration: Solutions
    evaluation: dict[str, Solutions]
    too_long: dict[str, int]
    """Records left out, by split."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs."""

    backbone: Backbone
    encoder: StepEncoder
    model: StepClassifier
    save_adapter: Callable[[Path], None] | None
    """Writes the adapter into a folder; None where the whole model is trained."""
    data: EncodedData


def prepare(settings: ClassifierTrainSettings, begun: Begun) -> Prepared:
    """Encode the data and build the model.

    Raises:
        ConfigError: settings that do not fit the model or the data.
        DataError: a record that is too long, or too few to calibrate on.
        ModelError: no such base model.
    """
    set_seed(settings.seed)
    # A model that is trained whole keeps float32 weights; a frozen one lies in what it computes in.
    dtype = "float32" if settings.method == "full" else settings.dtype
    backbone = load_backbone(settings.model, device=settings.device, dtype=dtype)
    context = int(backbone.model.config.get_text_config().max_position_embeddings)
    if settings.max_tokens > context:
        raise ConfigError(f"'max_tokens' = {settings.max_tokens}: '{settings.model}' reads at most {context} tokens")
    encoder = StepEncoder(backbone.tokenizer, settings.template, settings.separator)
    encoded = encode(encoder, begun, settings)
    save_adapter = make_trainable(backbone, settings.method, settings.lora)
    model = StepClassifier(
        backbone.body,
        backbone.hidden_size,
        wrong_share=wrong_share(encoded.examples),
        error_weight=settings.error_weight,
        compute_dtype=resolve(settings.device, settings.dtype)[1],
    )
    return Prepared(backbone, encoder, model, save_adapter, encoded)


def encode(encoder: StepEncoder, begun: Begun, settings: ClassifierTrainSettings) -> EncodedData:
    """Token ids of all three splits and of the evaluation sets, those left out that are too long.

    Raises:
        ConfigError: nothing is left to train on.
        DataError: a record that is too long, or too few to calibrate on.
    """
    data = begun.data
    rule = LengthRule(settings.max_tokens, settings.on_too_long)
    examples = training_examples(encoder, data.train, rule)
    validation = whole_solutions(encoder, data.validation, rule)
    calibration = whole_solutions(encoder, data.calibration, rule)
    if not examples:
        raise ConfigError(f"'max_tokens' = {settings.max_tokens}: all {len(data.train)} training records are longer")
    check_calibration_labels(calibration.labels)
    too_long = {
        "train": len(data.train) - len(examples),
        "validation": len(data.validation) - len(validation.records),
        "calibration": len(data.calibration) - len(calibration.records),
    }
    logger.info("%s examples; too long and left out: %s", len(examples), too_long)
    readable = LengthRule(READ_TOKENS, "skip")
    evaluation = {name: whole_solutions(encoder, records, readable) for name, records in begun.evaluation.items()}
    return EncodedData(examples, validation, calibration, evaluation, too_long)


def wrong_share(examples: Sequence[Example]) -> float:
    """Share of wrong steps, with one more of each kind so that it is never 0 or 1."""
    wrong = sum(example.labels.count(1) for example in examples)
    right = sum(example.labels.count(0) for example in examples)
    return (wrong + 1) / (wrong + right + 2)


def run(
    settings: ClassifierTrainSettings, prepared: Prepared, checkpoints: Path, data_digest: str
) -> list[dict[str, Any]]:
    """Train, from the last checkpoint if there is one.

    Returns:
        The curve: rows with ``step`` and ``loss``, or with ``step`` and ``validation_...``.

    Raises:
        ConfigError: the checkpoints belong to another run.
        JudgeError: the loss is no number any more.
        OSError: no room for a checkpoint.
    """
    identity = {"data": data_digest, "base": prepared.backbone.fingerprint}
    claim(checkpoints, settings.model_dump(mode="json") | identity)
    lengths = [len(example.ids) for example in prepared.data.examples]
    order = schedule(lengths, settings.batch_tokens, settings.epochs, settings.seed)
    trainer = ClassifierTrainer(
        model=prepared.model,
        settings=settings,
        folder=checkpoints,
        batches=Batches(prepared.data.examples, order),
        validation=prepared.data.validation.sample(settings.validation_solutions, settings.seed),
        encoder=prepared.encoder,
    )
    good = last_whole(checkpoints)
    if good is not None:
        logger.warning("going on from %s", good)
    trainer.train(resume_from_checkpoint=None if good is None else str(good))
    return [row for entry in trainer.state.log_history if (row := curve_row(entry))]


def curve_row(entry: dict[str, Any]) -> dict[str, Any] | None:
    """A row of the curve from an entry of the Trainer's log; None for its summary at the end."""
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key in ("loss", "learning_rate"):
            values[key] = float(value)
        elif key.startswith("eval_"):
            values[f"validation_{key.removeprefix('eval_')}"] = float(value)
    return {"step": entry["step"], **values} if values else None

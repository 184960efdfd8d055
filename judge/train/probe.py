"""``sgpo-judge train probe``: choose layer and readout by validation, fit a head, and write the judge's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from judge.backbone import Backbone, cut, load_backbone
from judge.data.training_set import DataSettings, DataSource
from judge.encoding import StepEncoder, Template
from judge.judge_folder import BaseModelRef
from judge.probe_head import HeadShape, ProbeHead, Readout, to_arrays
from judge.settings import Settings
from judge.train.begin import begin
from judge.train.calibrate import Method
from judge.train.card import CardFacts
from judge.train.finish import Scored, Trained, finish
from judge.train.head import Fitted, HeadTraining, score_records
from judge.train.head_file import fit_once
from judge.train.states import Store
from judge.train.stores import Stores, collect_stores

INTENDED_USE: Final = (
    "Finds the first wrong step of a solution from the hidden states of a frozen language model. Made for SGPO's "
    "rewards on groups of wrong answers."
)
WEAKNESSES: Final = (
    "It reads how a text looks to the model and checks no calculation: a policy trained on its verdicts for long "
    "will learn to look right. Watch the agreement with outcomes, step counts and lengths.",
    "What it knows of errors is what its training data held; on other kinds of problems measure it first (sgpo-eval).",
)
DEFAULT_DEPTH: Final = 0.6
"""The layer that is read when none is given, as a share of the model's depth."""


class ProbeTraining(Settings):
    """A configuration of ``sgpo-judge train probe``."""

    data: DataSettings
    evaluation: tuple[DataSource, ...] = ()
    """What the finished judge is measured on, for its card. Problems of the training data are left out."""
    model: str = "smollm2-135m-instruct"
    """A packaged name, a checkpoint folder or a hub id."""
    template: Template = "plain"
    separator: str = "\n\n"
    layers: tuple[int, ...] = ()
    """Layers to choose from, 1 the first; empty for the one at 60% of the depth."""
    readouts: tuple[Readout, ...] = Field(default=("attention",), min_length=1)
    """Readouts to choose from."""
    num_queries: int = Field(default=4, ge=1, le=64)
    width: int = Field(default=0, ge=0, le=4096)
    head: HeadTraining = HeadTraining()
    calibration: Method = "platt"
    token_budget: int = Field(default=4096, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    """Records with more tokens are left out, and counted."""
    device: str = "auto"
    dtype: str = "auto"

    def shapes(self, depth: int) -> list[HeadShape]:
        """All heads to choose from, for a model of ``depth`` layers."""
        layers = self.layers or (max(1, round(DEFAULT_DEPTH * depth)),)
        return [
            HeadShape(layer=layer, readout=readout, num_queries=self.num_queries, width=self.width)
            for layer in layers
            for readout in self.readouts
        ]


def train_probe(settings: ProbeTraining, output: Path, command: str) -> dict[str, Any]:
    """Train a probe into ``output``.

    States and finished heads are kept beside it in ``<output>.work``, so that the same command goes on where an
    interrupted one stopped.

    Args:
        command: what the user typed, for the card.

    Returns:
        What was measured, as in the manifest.

    Raises:
        JudgeError: wrong settings or data, a missing model; the message says what.
    """
    begun = begin(settings.data, settings.evaluation, output)
    backbone, encoder, shapes = prepare(settings)
    stores = collect_stores(
        backbone,
        encoder,
        begun,
        sorted({shape.layer for shape in shapes}),
        work_folder(begun.output) / "states",
        token_budget=settings.token_budget,
        max_tokens=settings.max_tokens,
        surprisal=False,
    )
    best, losses = best_head(stores, shapes, backbone.hidden_size, settings.head, work_folder(begun.output) / "heads")
    trained = Trained(
        kind="probe",
        settings=settings,
        base=base_reference(backbone, encoder),
        head=best.head.shape.model_dump(),
        arrays=to_arrays(best.head),
        validation=scored(best.head, stores.validation),
        calibration=scored(best.head, stores.calibration),
        evaluation={name: scored(best.head, store) for name, store in stores.evaluation.items()},
        facts=CardFacts("A probe", INTENDED_USE, command, best.history, WEAKNESSES),
        metrics={**stores.counts(), "validation_loss": losses},
    )
    return finish(trained, begun.data, settings.calibration, begun.output)


def scored(head: ProbeHead, store: Store) -> Scored:
    """The store's records with their raw hazards."""
    return Scored(store.records, score_records(head, store))


def best_head(
    stores: Stores, shapes: Sequence[HeadShape], hidden_size: int, training: HeadTraining, folder: Path
) -> tuple[Fitted, dict[str, float]]:
    """The head with the lowest validation loss, and the losses of all."""
    fitted = {
        f"layer {shape.layer}, {shape.readout}": fit_once(
            stores.train, stores.validation, shape, hidden_size, training, folder
        )
        for shape in shapes
    }
    losses = {name: one.validation_loss for name, one in fitted.items()}
    return min(fitted.values(), key=lambda one: one.validation_loss), losses


def work_folder(output: Path) -> Path:
    """Where unfinished work is kept."""
    return output.with_name(f"{output.name}.work")


def prepare(settings: ProbeTraining, *, whole: bool = False) -> tuple[Backbone, StepEncoder, list[HeadShape]]:
    """The base model, cut above the highest layer that is read unless it is wanted ``whole``."""
    backbone = load_backbone(settings.model, device=settings.device, dtype=settings.dtype)
    shapes = settings.shapes(backbone.num_layers)
    highest = max(shape.layer for shape in shapes)
    if not whole or highest > backbone.num_layers:
        cut(backbone.model, highest, settings.model)
    return backbone, StepEncoder(backbone.tokenizer, settings.template, settings.separator), shapes


def base_reference(backbone: Backbone, encoder: StepEncoder) -> BaseModelRef:
    """What the folder says of the base model."""
    return BaseModelRef(
        name=backbone.name,
        fingerprint=backbone.fingerprint,
        tokenizer_digest=backbone.tokenizer_digest,
        template=encoder.template,
        separator=encoder.separator,
    )

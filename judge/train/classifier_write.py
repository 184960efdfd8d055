"""From a trained classifier to its judge folder: decoding fitted, card written, pictures drawn."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from judge.backbone import fingerprint
from judge.judge_folder import BaseModelRef
from judge.schemes.own import ADAPTER, KIND, MODEL, ClassifierHead, adapter_digest
from judge.train.begin import Begun
from judge.train.card import CardFacts
from judge.train.classifier_checkpoints import room_needed
from judge.train.classifier_examples import Solutions
from judge.train.classifier_run import Prepared
from judge.train.classifier_settings import ClassifierTrainSettings
from judge.train.finish import Scored, Trained, finish

HISTORY: Final = "history.json"


def write(
    settings: ClassifierTrainSettings,
    prepared: Prepared,
    begun: Begun,
    history: Sequence[dict[str, Any]],
    command: str,
) -> dict[str, Any]:
    """Measure, calibrate and write the judge.

    Returns:
        All that was measured.

    Raises:
        OSError: no room for the judge; the checkpoints are left.
    """
    output = begun.output
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        room_needed(output, "make room and run the same command: nothing is trained again"),
        tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as scratch,
    ):
        weights = Path(scratch)
        shape = write_weights(weights, prepared)

        def write_more(folder: Path) -> None:
            for path in weights.iterdir():
                path.rename(folder / path.name)
            (folder / HISTORY).write_text(json.dumps(list(history), indent=1) + "\n", encoding="utf-8")

        head = prepared.model.head
        trained = Trained(
            kind=KIND,
            settings=settings,
            base=base_reference(settings, prepared),
            head=shape.model_dump(),
            arrays={"weight": head.weight.detach().cpu().numpy(), "bias": head.bias.detach().cpu().numpy()},
            validation=scored(settings, prepared, prepared.data.validation),
            calibration=scored(settings, prepared, prepared.data.calibration),
            evaluation={name: scored(settings, prepared, rows) for name, rows in prepared.data.evaluation.items()},
            facts=card_facts(settings, history, command),
            metrics={"examples": len(prepared.data.examples), "too_long": prepared.data.too_long},
            write_more=write_more,
        )
        metrics = finish(trained, begun.data, settings.calibration, output)
    return {**metrics, "history": list(history)}


def scored(settings: ClassifierTrainSettings, prepared: Prepared, solutions: Solutions) -> Scored:
    """Raw hazards of all steps."""
    scores = prepared.model.hazards(prepared.encoder, solutions.encoded, settings.batch_tokens)
    return Scored(solutions.records, scores)


def base_reference(settings: ClassifierTrainSettings, prepared: Prepared) -> BaseModelRef:
    """The model that the judge will find: the base model, or the one that was trained whole."""
    backbone = prepared.backbone
    return BaseModelRef(
        name=settings.model,
        fingerprint=backbone.fingerprint if prepared.save_adapter else fingerprint(backbone.model),
        tokenizer_digest=backbone.tokenizer_digest,
        template=settings.template,
        separator=settings.separator,
    )


def write_weights(folder: Path, prepared: Prepared) -> ClassifierHead:
    """Write the adapter, or the whole model and its tokenizer."""
    if prepared.save_adapter is not None:
        prepared.save_adapter(folder / ADAPTER)
        return ClassifierHead(method="lora", adapter_digest=adapter_digest(folder / ADAPTER))
    prepared.backbone.model.save_pretrained(folder / MODEL)
    prepared.backbone.tokenizer.save_pretrained(folder / MODEL)
    return ClassifierHead(method="full")


def card_facts(settings: ClassifierTrainSettings, history: Sequence[dict[str, Any]], command: str) -> CardFacts:
    """What the card says beside the manifest."""
    return CardFacts(
        title=f"Classifier on {settings.model}",
        intended_use=(
            "Finds the first wrong step of a solution: one forward scores all steps. Made for text like its training "
            "data, cut into steps by the segmenter below."
        ),
        command=command,
        history=history,
        weaknesses=(
            "The threshold was chosen on the calibration rows: the numbers above are a little better than on new ones.",
            "A score says how a step looks to a small model; no step is computed anew.",
        ),
        tables={"Settings": settings.model_dump(mode="json", exclude={"data", "evaluation"})},
    )

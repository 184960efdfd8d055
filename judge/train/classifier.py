"""``sgpo-judge train classifier``: a language model with a head that tells wrong steps from right ones.

Checkpoints stand beside the output, in ``OUTPUT.checkpoints``, until the judge is written; an interrupted run goes on
from the last of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from judge.train.begin import begin
from judge.train.classifier_settings import ClassifierTrainSettings

__all__ = ["ClassifierTrainSettings", "train_classifier"]


def train_classifier(
    settings: ClassifierTrainSettings, output: Path, command: str = "sgpo-judge train classifier --config FILE"
) -> dict[str, Any]:
    """Train a classifier and write its folder.

    Args:
        output: the judge's folder; a judge that is there already is replaced in the end.
        command: what the card says the judge was made by.

    Returns:
        What was measured, as JSON: sizes of the data, records left out, the training curve, validation, calibration.

    Raises:
        ConfigError: settings that do not fit the data, the model, or the run that is to go on.
        DataError: training data that cannot be used.
        ModelError: no such base model.
        OSError: no room for a checkpoint or for the judge.
    """
    begun = begin(settings.data, settings.evaluation, output)

    from judge.train.classifier_run import prepare, run
    from judge.train.classifier_write import write

    checkpoints = begun.output.with_name(f"{begun.output.name}.checkpoints")
    prepared = prepare(settings, begun)
    history = run(settings, prepared, checkpoints, begun.data.digest)
    metrics = write(settings, prepared, begun, history, command)
    shutil.rmtree(checkpoints)
    return metrics

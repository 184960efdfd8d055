"""The first step of training a judge that gives hazards: what can be refused before any work is done, is."""

from __future__ import annotations

from pathlib import Path

from judge.data.training_set import DataSettings, TrainingSet, load_training_set
from judge.judge_folder import refuse_foreign
from judge.train.calibrate import check_calibration_labels


def begin(settings: DataSettings, output: Path) -> tuple[Path, TrainingSet]:
    """The output folder as an absolute path, and the data.

    Raises:
        ConfigError: when the folder holds something else than a judge, or no data can be trained on.
        DataError: data that cannot be read, or a calibration split that nothing can be fitted on.
    """
    output = output.expanduser().resolve()
    refuse_foreign(output)
    data = load_training_set(settings)
    check_calibration_labels([record.label for record in data.calibration])
    return output, data

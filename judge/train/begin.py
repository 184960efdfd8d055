"""The first step of training a judge that gives hazards: what can be refused before any work is done, is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from judge.data.problem_text import problem_key
from judge.data.sources import load_source
from judge.data.splits import sample_problems
from judge.data.training_set import DataSettings, DataSource, TrainingSet, load_training_set
from judge.errors import ConfigError
from judge.judge_folder import refuse_foreign
from judge.train.calibrate import check_calibration_labels
from judge.types import Record

log = logging.getLogger(__name__)

READ_TOKENS: Final = 4096
"""The longest solution that trained judges read unless they are told otherwise; longer ones are not measured."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a training starts from."""

    output: Path
    """Absolute."""
    data: TrainingSet
    evaluation: Mapping[str, Sequence[Record]]
    """Records that the finished judge is measured on, by the name of their set."""


def begin(settings: DataSettings, evaluation: Sequence[DataSource], output: Path) -> Begun:
    """Read all data, and look whether a judge can come of it.

    Raises:
        ConfigError: when the folder holds something else than a judge, or there is no data to train or measure on.
        DataError: data that cannot be read, or a calibration split that nothing can be fitted on.
    """
    output = output.expanduser().resolve()
    refuse_foreign(output)
    data = load_training_set(settings)
    check_calibration_labels([record.label for record in data.calibration])
    return Begun(output, data, dict(evaluation_set(source, data, settings.seed) for source in evaluation))


def evaluation_set(source: DataSource, data: TrainingSet, seed: int) -> tuple[str, list[Record]]:
    """Name and labelled records of an evaluation set, without those whose problem is in the training data.

    Raises:
        ConfigError: when none is left.
        DataError: data that cannot be read.
    """
    name = f"{source.source}-{Path(source.path).name.partition('.')[0]}"
    known = {problem_key(record.problem) for record in (*data.train, *data.validation, *data.calibration)}
    labelled = [record for record in load_source(source.source, source.path).records if record.label is not None]
    unseen = [record for record in labelled if problem_key(record.problem) not in known]
    if len(unseen) < len(labelled):
        log.info(
            "%s: %d of %d rows are of training problems: left out", name, len(labelled) - len(unseen), len(labelled)
        )
    if not unseen:
        raise ConfigError(f"[[evaluation]] {source.path}: no labelled row of a problem that is not trained on")
    return name, unseen if source.limit is None else sample_problems(unseen, source.limit, seed)

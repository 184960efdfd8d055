"""Scores of a probe on its own training records, each from a head that did not see the record's problem."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from judge.probe_head import HeadShape
from judge.train.head import HeadTraining, score_records
from judge.train.head_file import fit_once
from judge.train.states import Store

logger = logging.getLogger(__name__)


def out_of_fold_scores(
    train: Store,
    validation: Store,
    shape: HeadShape,
    hidden_size: int,
    training: HeadTraining,
    folds: int,
    folder: Path,
) -> list[tuple[float, ...]]:
    """Raw hazards of every training record's labelled steps, in the order of the store.

    Args:
        validation: decides when each head stops learning.
        folds: heads that are trained, each on all problems but one part of them.
    """
    fold_of = [int(sha256(record.problem.encode()).hexdigest(), 16) % folds for record in train.records]
    scores: dict[int, tuple[float, ...]] = {}
    for fold in range(folds):
        inside = _members(fold_of, fold, inside=True)
        rest = train.only(_members(fold_of, fold, inside=False))
        fitted = fit_once(rest, validation, shape, hidden_size, training, folder / f"fold-{fold}-of-{folds}")
        logger.info("fold %d of %d: validation loss %.4f", fold + 1, folds, fitted.validation_loss)
        scores.update(zip(inside, score_records(fitted.head, train.only(inside)), strict=True))
    return [scores[index] for index in range(len(train.records))]


def _members(fold_of: Sequence[int], fold: int, *, inside: bool) -> list[int]:
    return [index for index, one in enumerate(fold_of) if (one == fold) is inside]

"""Hidden states of a whole training set: one store for each part of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.backbone import Backbone
from judge.data.training_set import TrainingSet
from judge.encoding import StepEncoder
from judge.errors import DataError
from judge.train.states import Store, collect
from judge.types import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of the three parts."""

    train: Store
    validation: Store
    calibration: Store
    num_too_long: int
    """Records left out for their length."""

    def counts(self) -> dict[str, int]:
        """Records of each part, for the metrics of a judge."""
        parts = {"train": self.train, "validation": self.validation, "calibration": self.calibration}
        return {f"{name}_records": len(store.records) for name, store in parts.items()} | {
            "too_long_records": self.num_too_long
        }


def collect_stores(
    backbone: Backbone,
    encoder: StepEncoder,
    data: TrainingSet,
    layers: Sequence[int],
    work: Path,
    *,
    token_budget: int,
    max_tokens: int,
    surprisal: bool,
) -> Stores:
    """Compute the states of all three parts, or what is missing of them, with a progress bar."""
    from tqdm import tqdm

    num_too_long = 0
    stores: dict[str, Store] = {}
    for name, records in (("train", data.train), ("validation", data.validation), ("calibration", data.calibration)):
        fitting = [record for record in records if _fits(encoder, record, max_tokens)]
        if not fitting:
            raise DataError(f"the {name} part holds no record of at most max_tokens = {max_tokens} tokens")
        num_too_long += len(records) - len(fitting)
        with tqdm(total=len(fitting), unit="record", desc=f"states, {name}", disable=None) as bar:
            stores[name] = collect(
                backbone,
                encoder,
                fitting,
                layers,
                work / name,
                token_budget=token_budget,
                surprisal=surprisal,
                whole=name != "train",
                progress=bar.update,
            )
    if num_too_long:
        logger.warning("%d records have more than max_tokens = %d tokens and are left out", num_too_long, max_tokens)
    return Stores(stores["train"], stores["validation"], stores["calibration"], num_too_long)


def _fits(encoder: StepEncoder, record: Record, max_tokens: int) -> bool:
    return encoder.encode(record.problem, record.steps).num_tokens <= max_tokens

"""Hidden states of a whole training set: one store for each part of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.backbone import Backbone
from judge.encoding import StepEncoder
from judge.errors import DataError
from judge.train.begin import READ_TOKENS, Begun
from judge.train.states import Store, collect
from judge.types import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of the three parts of the training data, and of the evaluation sets."""

    train: Store
    validation: Store
    calibration: Store
    evaluation: Mapping[str, Store]
    num_too_long: int
    """Records of the training data left out for their length."""

    def counts(self) -> dict[str, int]:
        """Records of each part, for the metrics of a judge."""
        parts = {"train": self.train, "validation": self.validation, "calibration": self.calibration}
        return {f"{name}_records": len(store.records) for name, store in parts.items()} | {
            "too_long_records": self.num_too_long
        }


def collect_stores(
    backbone: Backbone,
    encoder: StepEncoder,
    begun: Begun,
    layers: Sequence[int],
    work: Path,
    *,
    token_budget: int,
    max_tokens: int,
    surprisal: bool,
) -> Stores:
    """Compute the states of all parts of the data, or what is missing of them, with a progress bar."""
    from tqdm import tqdm

    data = begun.data
    parts = {"train": data.train, "validation": data.validation, "calibration": data.calibration}
    stores: dict[str, Store] = {}
    for name, records in {**parts, **begun.evaluation}.items():
        longest = max_tokens if name in parts else READ_TOKENS
        fitting = [record for record in records if _fits(encoder, record, longest)]
        if not fitting:
            raise DataError(f"the {name} part holds no record of at most max_tokens = {longest} tokens")
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
    num_too_long = sum(len(records) - len(stores[name].records) for name, records in parts.items())
    if num_too_long:
        logger.warning("%d records have more than max_tokens = %d tokens and are left out", num_too_long, max_tokens)
    evaluation = {name: stores[name] for name in begun.evaluation}
    return Stores(stores["train"], stores["validation"], stores["calibration"], evaluation, num_too_long)


def _fits(encoder: StepEncoder, record: Record, max_tokens: int) -> bool:
    return encoder.encode(record.problem, record.steps).num_tokens <= max_tokens

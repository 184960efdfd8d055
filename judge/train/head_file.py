"""Heads that are finished are kept on disk, so that an interrupted training does not fit them again."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from judge.probe_head import HeadShape, from_arrays, to_arrays
from judge.train.head import Fitted, HeadTraining, fit_head
from judge.train.states import IDENTITY, Store

logger = logging.getLogger(__name__)


def fit_once(
    train: Store, validation: Store, shape: HeadShape, hidden_size: int, training: HeadTraining, folder: Path
) -> Fitted:
    """Fit a head, or read it from ``folder`` when an earlier run finished it with the same settings."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    stores = [store_identity(train), store_identity(validation)]
    identity = json.dumps([shape.model_dump(), training.model_dump(), stores])
    path = folder / f"layer{shape.layer}-{shape.readout}.safetensors"
    if path.exists():
        with safe_open(path, "np") as file:
            facts = file.metadata()
            if facts["identity"] == identity:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
                return Fitted(from_arrays(shape, arrays), float(facts["loss"]), json.loads(facts["history"]))
    fitted = fit_head([train], [validation], shape, hidden_size, training)
    logger.info("layer %d, %s: validation loss %.4f", shape.layer, shape.readout, fitted.validation_loss)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"identity": identity, "loss": repr(fitted.validation_loss), "history": json.dumps(fitted.history)}
    save_file(to_arrays(fitted.head), path.with_suffix(".tmp"), metadata=facts)
    os.replace(path.with_suffix(".tmp"), path)
    return fitted


def store_identity(store: Store) -> list[object]:
    """What is in a store: its settings and records, and which of them count."""
    chosen = None if store.chosen is None else sorted(store.chosen)
    return [json.loads((store.folder / IDENTITY).read_text(encoding="utf-8")), chosen]

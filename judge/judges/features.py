"""The features judge: what is cheap to know of a step, weighed by boosted trees or a logistic regression.

It says which features decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from judge.backbone import Backbone
from judge.branches import read
from judge.encoding import Encoded, StepEncoder
from judge.features.estimators import Estimator, from_arrays
from judge.features.matrix import Surprisals, feature_names, feature_table
from judge.judge_folder import Manifest, folder_digest, read_arrays, read_manifest
from judge.judges.hazards import HazardJudge, Refused, Scores, TrainedSettings, decoding_of, judge_id_of, too_long
from judge.judges.probe import load_base
from judge.probe_head import HeadShape, ProbeHead
from judge.probe_head import from_arrays as head_from_arrays
from judge.settings import Settings, parse_table
from judge.surprisal import token_surprisals
from judge.types import Solution

PROBE_PREFIX = "probe."
NUM_REASONS = 4
"""Features that a verdict names."""


class FeaturesSettings(TrainedSettings):
    """Settings of the features judge."""


class FeaturesShape(Settings):
    """What the estimator reads: the ``head`` of the manifest."""

    estimator: Literal["boosting", "logistic"]
    names: tuple[str, ...]
    """Columns of the feature table."""
    probe: HeadShape | None = None
    surprisal: bool = False

    @property
    def needs_model(self) -> bool:
        """Whether a language model is read at all."""
        return self.probe is not None or self.surprisal


class ModelReader:
    """What a language model says of each step: a probe's log odds, and surprisals."""

    def __init__(self, backbone: Backbone, encoder: StepEncoder, head: ProbeHead | None, surprisal: bool) -> None:
        self._backbone = backbone
        self._encoder = encoder
        self._head = head.to(backbone.model.device) if head is not None else None
        self._surprisal = surprisal
        self._is_digit = digit_tokens(backbone.tokenizer)

    def encode(self, solution: Solution) -> Encoded:
        """Token ids of a solution."""
        return self._encoder.encode(solution.problem, solution.steps)

    def read(self, encoded: Sequence[Encoded], token_budget: int) -> list[tuple[list[float] | None, Surprisals | None]]:
        """Log odds of the steps and surprisals of the tokens, one pair per solution."""
        import torch

        layers = [self._head.shape.layer] if self._head is not None else []
        layers += [self._backbone.num_layers] if self._surprisal else []
        found: list[tuple[list[float] | None, Surprisals | None]] = [(None, None)] * len(encoded)
        with torch.inference_mode():
            for reading in read(self._backbone.body, encoded, layers, token_budget):
                solution = encoded[reading.index]
                lengths = [len(step) for step in solution.step_ids]
                logits = surprisals = None
                if self._head is not None:
                    logits = self._head(reading.states[0, len(solution.prompt_ids) :], lengths).tolist()
                if self._surprisal:
                    nats = token_surprisals(self._backbone, reading.states[-1], solution).cpu().numpy()
                    surprisals = Surprisals(nats, self._is_digit[list(solution.response_ids)], lengths)
                found[reading.index] = (logits, surprisals)
        return found


class FeaturesScorer:
    """Scores steps with an estimator."""

    def __init__(
        self, estimator: Estimator, names: Sequence[str], reader: ModelReader | None, settings: FeaturesSettings
    ) -> None:
        self._estimator = estimator
        self._names = names
        self._reader = reader
        self._settings = settings

    def score(self, batch: Sequence[Solution]) -> list[Scores | Refused]:
        """One result per solution, in order."""
        if self._reader is None:
            return [self._scores(solution, None, None, 0) for solution in batch]
        encoded = [self._reader.encode(solution) for solution in batch]
        limit = self._settings.max_tokens
        results: list[Scores | Refused] = [too_long(e.num_tokens, limit) for e in encoded]
        fitting = [index for index, e in enumerate(encoded) if e.num_tokens <= limit]
        readings = self._reader.read([encoded[index] for index in fitting], self._settings.token_budget)
        for index, (logits, surprisals) in zip(fitting, readings, strict=True):
            results[index] = self._scores(batch[index], logits, surprisals, encoded[index].num_tokens)
        return results

    def _scores(
        self, solution: Solution, logits: Sequence[float] | None, surprisals: Surprisals | None, num_tokens: int
    ) -> Scores:
        parts, base = self._estimator.contributions(feature_table(solution, logits, surprisals))
        probs = 1 / (1 + np.exp(-(parts.sum(axis=1) + base)))
        return Scores(tuple(map(float, probs)), num_tokens, tuple(reasons(row, self._names) for row in parts))


def reasons(parts: Any, names: Sequence[str]) -> str:
    """The features that moved a step's log odds most, strongest first.

    >>> reasons([0.1, -2.0, 0.5], ["position", "probe", "repetition"])
    'probe -2.00, repetition +0.50, position +0.10'
    """
    order = sorted(range(len(names)), key=lambda column: -abs(parts[column]))[:NUM_REASONS]
    return ", ".join(f"{names[column]} {parts[column]:+.2f}" for column in order)


def digit_tokens(tokenizer: Any) -> Any:
    """[vocabulary] whether the token holds a digit."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return np.array([any(character.isdigit() for character in token or "") for token in tokens])


def build_features(settings: FeaturesSettings) -> HazardJudge:
    """The features judge of a folder.

    Raises:
        ModelError: the folder holds none, or its base model is missing or another one.
    """
    folder = Path(settings.folder).expanduser()
    manifest = read_manifest(folder, "features")
    shape = parse_table(FeaturesShape, manifest.head, f"{folder}: head")
    check_columns(shape, folder)
    arrays = read_arrays(folder)
    head = {name.removeprefix(PROBE_PREFIX): a for name, a in arrays.items() if name.startswith(PROBE_PREFIX)}
    reader = load_reader(manifest, folder, shape, head, settings) if shape.needs_model else None
    scorer = FeaturesScorer(from_arrays(shape.estimator, arrays), shape.names, reader, settings)
    return HazardJudge(
        scorer,
        decoding_of(manifest, settings),
        judge_id_of("features", folder_digest(folder), settings),
        settings.max_steps,
    )


def check_columns(shape: FeaturesShape, folder: Path) -> None:
    """Refuse a judge that was fitted on other features than this version computes."""
    from judge.errors import ModelError

    names = feature_names(probe=shape.probe is not None, surprisal=shape.surprisal)
    if names != shape.names:
        different = sorted(set(names) ^ set(shape.names))
        raise ModelError(
            f"judge folder '{folder}' was made for other features than this version of sgpo computes "
            f"({', '.join(different) or 'another order'}): train it again"
        )


def load_reader(
    manifest: Manifest, folder: Path, shape: FeaturesShape, head: dict[str, Any], settings: FeaturesSettings
) -> ModelReader:
    """The language model of a folder; only as many layers as are read."""
    probe = head_from_arrays(shape.probe, head) if shape.probe is not None else None
    last_layer = None if shape.surprisal or shape.probe is None else shape.probe.layer
    backbone, encoder = load_base(manifest, folder, settings, last_layer)
    return ModelReader(backbone, encoder, probe, shape.surprisal)

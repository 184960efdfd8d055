"""The classifier: a language model with a head that scores all steps of a solution in one forward.

It reads folders that ``sgpo-judge train classifier`` made, and published process reward models (`judge.schemes`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from judge.calibration import Decoding
from judge.errors import ConfigError, ModelError
from judge.judges.hazards import HazardJudge, Refused, Scores, TrainedSettings, decoding_of, judge_id_of
from judge.models import find_model
from judge.registry import MANIFEST
from judge.schemes.reader import StepReader, read_hazards
from judge.types import Solution, UnscoredReason

KIND: Final = "classifier"

Scheme = Literal["auto", "sgpo", "extra_0", "math_shepherd", "rlhflow", "trl"]

ARCHITECTURES: Final[dict[str, Scheme]] = {
    "ForProcessRewardModel": "extra_0",
    "ForTokenClassification": "trl",
}
"""What the end of a checkpoint's architecture says about its scheme. Plain language models say nothing."""


class ClassifierSettings(TrainedSettings):
    """Settings of ``kind = "classifier"``. ``folder`` may be the checkpoint or hub id of a published model as well."""

    scheme: Scheme = "auto"
    """``sgpo``: a folder of ours; the others are published schemes. ``auto`` knows folders of ours and models with a
    head; "+"/"-" models (``math_shepherd``, ``rlhflow``) look like any language model and must be named."""
    separator: str = "\n"
    """What ``trl`` puts after every step; the separator that the checkpoint was trained with."""


class ClassifierScorer:
    """Scores all steps of each solution; the solutions of one problem share its prefix.

    Args:
        reader: the model, and how it is read.
        token_budget: padded tokens in one forward.
        max_tokens: a longer solution is refused, as is one that the model's context does not hold.
    """

    def __init__(self, reader: StepReader, token_budget: int, max_tokens: int) -> None:
        self._reader = reader
        self._token_budget = token_budget
        self._max_tokens = min(max_tokens, reader.context)

    def score(self, batch: Sequence[Solution]) -> list[Scores | Refused]:
        """One result per solution, in order."""
        encoded = [self._reader.encode(solution.problem, solution.steps) for solution in batch]
        readable = [solution for solution in encoded if solution.num_tokens <= self._max_tokens]
        hazards = iter(read_hazards(self._reader, readable, self._token_budget))
        return [
            Scores(next(hazards), solution.num_tokens)
            if solution.num_tokens <= self._max_tokens
            else Refused(
                UnscoredReason.TOO_LONG, f"{solution.num_tokens} tokens, and at most {self._max_tokens} are read"
            )
            for solution in encoded
        ]


def build_classifier(settings: ClassifierSettings) -> HazardJudge:
    """Load a classifier.

    Raises:
        ModelError: the folder, its base model or its tokenizer is missing or does not fit.
        ConfigError: a setting that this folder does not take.
    """
    scheme = _scheme_of(settings.folder) if settings.scheme == "auto" else settings.scheme
    if scheme == "sgpo":
        from judge.schemes.own import load_own

        manifest, reader = load_own(Path(settings.folder), settings.model, settings.device, settings.dtype)
        decoding = decoding_of(manifest, settings)
    else:
        if settings.model:
            raise ConfigError(f"'model' = {settings.model!r}: scheme '{scheme}' has its whole model in 'folder'")
        reader = _published(scheme, settings)
        decoding = Decoding() if settings.threshold is None else Decoding(threshold=settings.threshold)
    scorer = ClassifierScorer(reader, settings.token_budget, settings.max_tokens)
    return HazardJudge(scorer, decoding, judge_id_of(KIND, reader.identity, settings), settings.max_steps)


def _scheme_of(folder: str) -> Scheme:
    if (Path(folder) / MANIFEST).is_file():
        return "sgpo"
    files = find_model(folder)
    config = files.folder / "config.json"
    architectures = [] if files.packaged else json.loads(config.read_text(encoding="utf-8")).get("architectures")
    for architecture in architectures or ():
        for ending, scheme in ARCHITECTURES.items():
            if architecture.endswith(ending):
                return scheme
    raise ModelError(
        f"'{folder}' is neither the output of sgpo-judge train nor a model with a head for steps; "
        "set scheme = 'math_shepherd' or 'rlhflow' if it answers + and -"
    )


def _published(scheme: Scheme, settings: ClassifierSettings) -> StepReader:
    where = (settings.folder, settings.device, settings.dtype)
    if scheme == "extra_0":
        from judge.schemes.extra_0 import load_extra_0

        return load_extra_0(*where)
    if scheme == "math_shepherd":
        from judge.schemes.math_shepherd import load_math_shepherd

        return load_math_shepherd(*where)
    if scheme == "rlhflow":
        from judge.schemes.rlhflow import load_rlhflow

        return load_rlhflow(*where)
    from judge.schemes.trl import load_trl

    return load_trl(*where, settings.separator)

"""The probe: a frozen language model, and a small head that reads its hidden states.

All steps of a response are scored in one forward; the responses of one problem share the forward over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judge.backbone import Backbone, load_backbone
from judge.branches import read
from judge.encoding import StepEncoder
from judge.errors import ModelError
from judge.judge_folder import BaseModelRef, Manifest, check_base, folder_digest, read_arrays, read_manifest
from judge.judges.hazards import HazardJudge, Refused, Scores, TrainedSettings, decoding_of, judge_id_of, too_long
from judge.probe_head import HeadShape, ProbeHead, from_arrays
from judge.settings import parse_table
from judge.types import Solution


class ProbeSettings(TrainedSettings):
    """Settings of the probe."""


class ProbeScorer:
    """Scores steps with a head on a backbone whose last layer is the head's."""

    def __init__(
        self, backbone: Backbone, encoder: StepEncoder, head: ProbeHead, token_budget: int, max_tokens: int
    ) -> None:
        self._backbone = backbone
        self._encoder = encoder
        self._head = head.to(backbone.model.device)
        self._token_budget = token_budget
        self._max_tokens = max_tokens

    def score(self, batch: Sequence[Solution]) -> list[Scores | Refused]:
        """One result per solution, in order."""
        import torch

        encoded = [self._encoder.encode(solution.problem, solution.steps) for solution in batch]
        results: list[Scores | Refused] = [too_long(e.num_tokens, self._max_tokens) for e in encoded]
        fitting = [index for index, e in enumerate(encoded) if e.num_tokens <= self._max_tokens]
        with torch.inference_mode():
            chosen = [encoded[index] for index in fitting]
            for reading in read(self._backbone.body, chosen, None, self._token_budget):
                solution = chosen[reading.index]
                states = reading.states[0, len(solution.prompt_ids) :]
                logits = self._head(states, [len(step) for step in solution.step_ids])
                probs = tuple(logits.sigmoid().tolist())
                results[fitting[reading.index]] = Scores(probs, solution.num_tokens)
        return results


def build_probe(settings: ProbeSettings) -> HazardJudge:
    """The probe of a judge folder.

    Raises:
        ModelError: the folder holds no probe, or its base model is missing or another one.
    """
    folder = Path(settings.folder).expanduser()
    manifest = read_manifest(folder, "probe")
    shape = head_shape(manifest, folder)
    backbone, encoder = load_base(manifest, folder, settings, shape.layer)
    head = from_arrays(shape, read_arrays(folder))
    scorer = ProbeScorer(backbone, encoder, head, settings.token_budget, settings.max_tokens)
    return HazardJudge(
        scorer,
        decoding_of(manifest, settings),
        judge_id_of("probe", folder_digest(folder), settings),
        settings.max_steps,
    )


def head_shape(manifest: Manifest, folder: Path) -> HeadShape:
    """The shape of the head in a folder."""
    return parse_table(HeadShape, manifest.head, f"{folder}: head")


def load_base(
    manifest: Manifest, folder: Path, settings: TrainedSettings, last_layer: int | None
) -> tuple[Backbone, StepEncoder]:
    """The base model of a folder and its encoder.

    Raises:
        ModelError: it is missing, or not the one that the judge was made for.
    """
    base = base_of(manifest, folder)
    backbone = load_backbone(
        settings.model or base.name, last_layer=last_layer, device=settings.device, dtype=settings.dtype
    )
    check_base(manifest, backbone, folder)
    return backbone, StepEncoder(backbone.tokenizer, base.template, base.separator)


def base_of(manifest: Manifest, folder: Path) -> BaseModelRef:
    """The base model that a manifest names."""
    if manifest.base is None:
        raise ModelError(f"judge folder '{folder}': its manifest names no base model")
    return manifest.base

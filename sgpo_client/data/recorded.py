"""Recorded responses, grouped by problem, with the rewards that follow from what is written beside them."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sgpo_client.data.problems import text_key
from sgpo_client.data.recorded_rows import RecordedResponse, parse_row, verdict_fields
from sgpo_client.data.rows import jsonl_rows
from sgpo_client.errors import DataError
from sgpo_client.settings.offline import OfflineTable
from sgpo_client.types import Problem
from sgpo_client.wire import ItemError, ResponseScore, ShapingParams, Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedGroup:
    """A problem and its recorded responses."""

    problem: Problem
    responses: tuple[RecordedResponse, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for equal problems with equal responses."""
        return (text_key(self.problem), *(response.text for response in self.responses))


def load_recorded(settings: OfflineTable) -> list[RecordedGroup]:
    """The groups of ``[offline] path`` in the order of their problems' first lines, verdicts put in.

    Lines of the same problem make one group, wherever they stand. Groups of one response teach nothing: they are left
    out, with a warning.

    Raises:
        DataError: naming file, line and field; or when nothing is left.
    """
    if settings.path is None:
        raise ValueError("offline.path is not set")
    groups = read_groups(settings.path)
    if settings.verdicts is not None:
        groups = _with_verdicts(groups, settings.verdicts)
    kept = [group for group in groups if len(group.responses) > 1]
    if not kept:
        raise DataError(f"{settings.path}: no problem has two or more responses; offline.path needs groups")
    if len(kept) < len(groups):
        logger.warning("%s: %d problems with one response left out", settings.path, len(groups) - len(kept))
    return kept


def read_groups(path: Path) -> list[RecordedGroup]:
    """All groups of a file; a response without ``id`` gets its index in the file, as in ``sgpo-judge run``."""
    members: dict[str, list[RecordedResponse]] = defaultdict(list)
    problems: dict[str, tuple[Problem, str]] = {}
    index = 0
    for row in jsonl_rows(path, "offline.path"):
        for response in parse_row(row):
            problem = Problem(row.id, response.problem.strip(), response.answer_text, response.solution)
            first, where = problems.setdefault(text_key(problem), (problem, row.where))
            if first.answer != problem.answer:
                raise DataError(
                    f"{row.where}: 'answer' is '{problem.answer}', but '{first.answer}' in {where} for the same problem"
                )
            numbered = response if response.id is not None else response.model_copy(update={"id": str(index)})
            members[text_key(problem)].append(numbered)
            index += 1
    if not members:
        raise DataError(f"{path}: holds no responses; set offline.path to a JSONL file of recorded responses")
    return [RecordedGroup(problems[key][0], tuple(responses)) for key, responses in members.items()]


def _with_verdicts(groups: Sequence[RecordedGroup], path: Path) -> list[RecordedGroup]:
    verdicts = {}
    for row in jsonl_rows(path, "offline.verdicts"):
        verdicts[str(row.fields.get("id"))] = verdict_fields(row)
    return [
        RecordedGroup(group.problem, tuple(_with_verdict(each, verdicts, path) for each in group.responses))
        for group in groups
    ]


def _with_verdict(response: RecordedResponse, verdicts: dict[str, dict[str, object]], path: Path) -> RecordedResponse:
    if response.correct is None:
        raise DataError(
            f"offline.verdicts = {path}: response '{response.id}' has no 'final_answer_correct' (true or false): a "
            "verdict on the steps does not say whether the answer is right; add it, or leave offline.verdicts out"
        )
    if response.correct:
        return response
    verdict = verdicts.get(str(response.id))
    if verdict is None:
        raise DataError(
            f"{path}: no verdict on response '{response.id}'; repeat the sgpo-judge run, which goes on where it ended"
        )
    if verdict["status"] == "judged" and verdict["rts"] is None:
        raise DataError(
            f"{path}: response '{response.id}' was judged without saying that its answer is wrong; give sgpo-judge run "
            "the file that offline.path names, with 'final_answer_correct'"
        )
    return response.model_copy(update=verdict)


def recorded_scores(group: RecordedGroup, shaping: ShapingParams) -> list[ResponseScore] | None:
    """[G] scores by what is written beside the responses; None where one of them must be asked for.

    A reward that stands alone is taken as it is, and is a right answer from 1 up. Where outcome or rts are there, the
    reward server's rule holds: 1 for a right answer, the shaped rts for a wrong one that is to be judged, 0 for others.
    """
    is_right = [_is_right(response) for response in group.responses]
    judges_all = shaping.apply_to == "every_wrong" or (
        shaping.apply_to == "all_negative" and all(right is False for right in is_right)
    )
    scores = [
        _score(index, response, right, judges_all, shaping)
        for index, (response, right) in enumerate(zip(group.responses, is_right, strict=True))
    ]
    known = [score for score in scores if score is not None]
    return known if len(known) == len(scores) else None


def _score(
    index: int, response: RecordedResponse, right: bool | None, is_judged: bool, shaping: ShapingParams
) -> ResponseScore | None:
    pairs = response.step_offsets
    offsets = None if pairs is None else tuple((start, end) for start, end in pairs)

    def score(reward: float | None, status: Status, error: ItemError | None = None) -> ResponseScore:
        return ResponseScore(
            id=str(index),
            reward=reward,
            status=status,
            acc=None if right is None else int(right),
            rts=response.rts if status == "judged" else None,
            first_error=response.first_error,
            num_steps=response.num_steps,
            step_offsets=offsets,
            error=error,
        )

    if response.correct is None and response.rts is None and response.reward is not None:
        return score(response.reward, "correct" if right else "judged" if response.reward else "wrong")
    if right:
        return score(1.0, "correct")
    if right is False and not is_judged:
        return score(0.0, "wrong")
    if response.status == "unscored":
        return score(None, "unscored", ItemError("recorded", response.error or "recorded without a score"))
    if right is None:
        return None
    if response.rts is not None:
        return score(shaped(response.rts, shaping), "judged")
    return None


def _is_right(response: RecordedResponse) -> bool | None:
    if response.correct is not None:
        return bool(response.correct)
    return None if response.reward is None else response.reward >= 1


def shaped(rts: float, shaping: ShapingParams) -> float:
    """``cap * sigmoid(beta * (rts - gamma))``, the reward of a wrong response; as the reward server computes it.

    >>> round(shaped(0.5, ShapingParams()), 3), round(shaped(0.9, ShapingParams()), 3)
    (0.25, 0.491)
    """
    beta, gamma, cap = shaping.beta, shaping.gamma, shaping.cap
    if beta is None or gamma is None or cap is None:
        raise ValueError("beta, gamma and cap must be given: no server fills them in here")
    return cap / (1 + math.exp(-beta * (rts - gamma)))

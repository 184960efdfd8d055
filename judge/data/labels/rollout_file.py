"""The output of rollouts: records with their new labels, one a line, that a second run takes up where one ended.

`judge.records.read_rows` reads it. A response without a label (its prompt is too long, its answer cannot be checked)
has a line without one, and the reason under ``rollouts``.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.backends.base import TextBackend
from judge.data.labels.monte_carlo import Checker, Progress, RolloutSettings, advance
from judge.errors import DataError
from judge.records import faults, parse_object
from judge.types import Record, Solution
from judge.verdict_file import content_digest, replace_text

LINE_START: Final = '{"rollouts": {"labeller": '
"""How every line begins: tells a torn line from a file that is something else."""


class Rollouts(BaseModel):
    """What a line says of the rollouts, as far as it is read back."""

    model_config = ConfigDict(strict=True, extra="ignore")

    labeller: str
    input: str
    num_rollouts: list[int]
    prompt_tokens: int
    completion_tokens: int


class RolloutLine(BaseModel):
    """The parts of a line that are read back."""

    model_config = ConfigDict(strict=True, extra="ignore")

    rollouts: Rollouts
    id: str
    label: int | None = None


@dataclass
class RolloutSummary:
    """What the whole file holds, and what this run took."""

    labels: Counter[str] = field(default_factory=Counter)
    """``error``, ``no_error`` and ``failed``."""
    num_rollouts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    num_taken_up: int = 0
    """Rows that an earlier run had done."""
    num_left: int = 0
    """Rows whose policy did not answer; the next run tries them again."""
    first_failure: str = ""
    num_cut: int = 0
    """Endings of this run that were cut off."""
    seconds: float = 0.0
    """Of this run."""

    def add(self, line: RolloutLine) -> None:
        """Count a line."""
        self.labels["failed" if line.label is None else "no_error" if line.label < 0 else "error"] += 1
        self.num_rollouts += sum(line.rollouts.num_rollouts)
        self.prompt_tokens += line.rollouts.prompt_tokens
        self.completion_tokens += line.rollouts.completion_tokens


async def label_file(
    records: Sequence[Record],
    output: Path,
    settings: RolloutSettings,
    policy: TextBackend,
    checker: Checker,
    *,
    window: int,
    progress: Callable[[int], object],
) -> RolloutSummary:
    """Label records by rollouts and append them to the output, in their order.

    Stops when the policy answers nothing at all, for instance because its server is down.

    Args:
        window: responses that are rolled out together, at least 1.
        progress: called with the number of rows of every batch that is done.

    Raises:
        DataError: the output holds labels of other settings or rows, or a row has no steps or reference answer.
    """
    started = time.monotonic()
    check_records(records)
    labeller = settings.fingerprint(policy.name)
    summary = RolloutSummary()
    done = take_up(output, records, labeller, summary)
    progress(len(done))
    waiting = [Progress(record, settings) for record in records if record.id not in done]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("a", encoding="utf-8") as file:
        while waiting:
            active = [each for each in waiting if not each.finished][:window]
            await advance(active, policy, checker)
            stopped = all(each.failure and each.retryable for each in active)
            while waiting and waiting[0].finished:
                _finish(waiting.pop(0), file.write, labeller, summary)
                progress(1)
            file.flush()
            if stopped:
                summary.num_left += len(waiting)
                break
    summary.seconds = time.monotonic() - started
    return summary


def check_records(records: Sequence[Record]) -> None:
    """Refuse what cannot be labelled, before anything is spent on it."""
    for record in records:
        missing = "steps" if not record.steps else "reference_answer" if not record.reference_answer else ""
        if missing:
            raise DataError(f"row '{record.id}': rollouts need '{missing}'; leave such rows out")


def _finish(progress: Progress, write: Callable[[str], object], labeller: str, summary: RolloutSummary) -> None:
    """Write a row, unless another run should try it again."""
    summary.num_cut += sum(tally.num_cut for tally in progress.tallies)
    if progress.failure:
        summary.first_failure = summary.first_failure or f"row '{progress.record.id}': {progress.failure}"
    if progress.retryable:
        summary.num_left += 1
        return
    text = format_line(progress, labeller)
    write(text)
    summary.add(RolloutLine.model_validate_json(text))


def format_line(progress: Progress, labeller: str) -> str:
    """One line, its end included."""
    rollouts: dict[str, Any] = {
        "labeller": labeller,
        "input": _digest(progress.record),
        "num_correct": [tally.num_correct for tally in progress.tallies],
        "num_rollouts": [tally.num_checked for tally in progress.tallies],
        "prompt_tokens": progress.usage.prompt_tokens,
        "completion_tokens": progress.usage.completion_tokens,
    }
    if progress.failure:
        rollouts["failure"] = progress.failure
    record = replace(progress.record, label=progress.label)
    known = {key: value for key, value in asdict(record).items() if value is not None}
    return json.dumps({"rollouts": rollouts} | known, ensure_ascii=False) + "\n"


def take_up(output: Path, records: Sequence[Record], labeller: str, summary: RolloutSummary) -> set[str]:
    """Ids of the rows that are done. Takes a torn last line out of the file.

    Raises:
        DataError: when the file holds something else, labels of other settings, or labels of other rows.
    """
    if not output.exists():
        return set()
    inputs = {record.id: _digest(record) for record in records}
    *lines, torn = output.read_bytes().decode("utf-8", errors="replace").split("\n")
    done: set[str] = set()
    for number, text in enumerate(lines, start=1):
        where = f"{output}: line {number}"
        try:
            line = RolloutLine.model_validate(parse_object(text, where))
        except ValidationError as error:
            raise DataError(f"{where}: not an output of label rollout ({faults(error)})") from None
        if line.rollouts.labeller != labeller:
            raise DataError(
                f"{where}: labelled by '{line.rollouts.labeller}', and this run is '{labeller}'; "
                "give another --output, or --overwrite"
            )
        if inputs.get(line.id) != line.rollouts.input:
            raise DataError(
                f"{where}: row '{line.id}' is not in the input, or has other content there; "
                "give another --output, or --overwrite"
            )
        done.add(line.id)
        summary.add(line)
    if not torn.startswith(LINE_START[: len(torn)]):
        raise DataError(f"{output}: not an output of label rollout; give another name")
    replace_text(output, "".join(line + "\n" for line in lines))
    summary.num_taken_up = len(done)
    return done


def _digest(record: Record) -> str:
    """Names all that the policy is shown, and the answer that is looked for."""
    return content_digest(Solution(record.problem, record.steps, reference_answer=record.reference_answer))

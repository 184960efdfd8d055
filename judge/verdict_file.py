"""Files of verdicts: one JSON object a line, written by ``sgpo-judge run`` and read back to go on or to show."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from judge.errors import DataError
from judge.paid import PaidShares
from judge.records import InputRow, faults, parse_object
from judge.shaping import rts
from judge.types import Solution, Unscored, UnscoredReason, Verdict

PASSING: Final = frozenset({UnscoredReason.JUDGE_UNAVAILABLE, UnscoredReason.JUDGE_TIMEOUT})
"""Reasons that say nothing of the row: the next run asks again."""

LINE_START: Final = '{"id": '
"""How every line begins: tells a torn line from a file that is something else."""


class LineError(BaseModel):
    """Why a row has no verdict."""

    code: str
    message: str


class VerdictLine(BaseModel):
    """The parts of a line that are read back."""

    model_config = ConfigDict(strict=True, extra="ignore")

    id: str
    status: Literal["judged", "unscored"]
    first_error: int | None
    num_steps: int
    error: LineError | None
    judge_id: str
    input: str


def format_line(row: InputRow, result: Verdict | Unscored, paid: PaidShares | None = None) -> str:
    """One line, its end included.

    ``rts`` counts steps and is 1 for "no error"; ``paid_rts`` is what training may pay for, of a response that is known
    to be wrong; ``input`` is `content_digest`; ``critique`` of an unscored row is the judge's raw reply.
    """
    num_steps = len(row.record.steps)
    line: dict[str, Any] = {"id": row.record.id, "status": "judged", "first_error": None, "num_steps": num_steps}
    line |= dict.fromkeys(("expected_rts", "rts", "paid_rts", "confidence", "step_error_probs", "critique", "error"))
    if isinstance(result, Unscored):
        error = {"code": result.reason.value, "message": result.message}
        line |= {"status": "unscored", "critique": result.raw, "error": error}
    else:
        names = ("first_error", "expected_rts", "confidence", "step_error_probs", "critique")
        line |= {name: getattr(result, name) for name in names}
        line["rts"] = 1.0 if result.first_error is None else rts(result.first_error, [1] * num_steps)
        if paid is not None and row.known_wrong and result.first_error is not None:
            line["paid_rts"] = paid.share(row, result.first_error)
    line |= {"judge_id": result.judge_id, "input": content_digest(row.solution()), "usage": asdict(result.usage)}
    # ASCII, because replies may hold characters that UTF-8 cannot write.
    return json.dumps(line | {"latency_s": round(result.latency_s, 4)}) + "\n"


def content_digest(solution: Solution) -> str:
    """First 16 hex digits of the SHA-256 over all that the judge was shown."""
    return hashlib.sha256(json.dumps(asdict(solution)).encode()).hexdigest()[:16]


def read_lines(path: Path) -> Iterator[tuple[str, VerdictLine]]:
    """Every line with its content; a last line that was torn when a run was killed is left out.

    Raises:
        DataError: when the file is not one of verdicts.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    *lines, torn = text.split("\n")
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        try:
            yield line + "\n", VerdictLine.model_validate(parse_object(line, where))
        except ValidationError as error:
            raise DataError(f"{where}: not a verdict of sgpo-judge run ({faults(error)})") from None
    if not torn.startswith(LINE_START[: len(torn)]):
        raise DataError(f"{path}: not a file of verdicts; give another name")


def take_up(path: Path, rows: Sequence[InputRow], judge_id: str) -> set[str]:
    """Ids of the rows that need no judging. Takes a torn last line and lines to be judged anew out of the file.

    Raises:
        DataError: when the file holds another judge's verdicts, or verdicts on other rows.
    """
    inputs = {row.record.id: content_digest(row.solution()) for row in rows}
    kept: list[str] = []
    done: set[str] = set()
    for text, line in read_lines(path):
        if line.judge_id != judge_id:
            raise DataError(
                f"{path} holds verdicts of the judge '{line.judge_id}', and this one is '{judge_id}'; "
                "give another --output, or --overwrite"
            )
        if inputs.get(line.id) != line.input:
            raise DataError(
                f"{path} holds a verdict on row '{line.id}', which the input does not have, or has with other content; "
                "give another --output, or --overwrite"
            )
        if line.error is None or line.error.code not in PASSING:
            kept.append(text)
            done.add(line.id)
    replace_text(path, "".join(kept))
    return done


def replace_text(path: Path, text: str) -> None:
    """Write a file, or replace its content, at once: a crash leaves the old file or the new one."""
    there = path.exists()
    if there and path.read_bytes() == text.encode():
        return
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode())
    Path(scratch).chmod(path.stat().st_mode if there else 0o644)
    os.replace(scratch, path)

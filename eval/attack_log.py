"""``attacks.jsonl``: one line for every response, as it is and attacked, with defences on and off."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from eval.defences import Defences, Pay
from eval.log import FAILURES
from eval.row_file import whole_rows, write_rows
from judge.defences import Flag
from judge.types import Unscored, UnscoredReason, Verdict

LOG_NAME: Final = "attacks.jsonl"
ORIGINAL: Final = "original"
"""Stands for the attack's name where the response is as the policy wrote it."""


class Key(NamedTuple):
    """What a line is about."""

    id: str
    attack: str
    defences: Defences


class AttackRow(BaseModel):
    """One judged response."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    problem: str
    """The same for responses to one problem."""
    attack: str
    defences: Defences
    num_steps: int
    first_error: int | None = None
    """0-based, in the steps that the judge saw; None when unscored, and at the floor."""
    rts_steps: float | None = None
    """Share of the steps that is paid, in [0, 1): of those before the first error, with defences what is left of it."""
    rts_characters: float | None = None
    """The same in characters."""
    flags: tuple[Flag, ...] = ()
    """What looked like reward hacking; only with defences."""
    reason: UnscoredReason | None = None
    message: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    seconds: float = 0.0
    """This response's share of its batch's wall-clock time."""

    @property
    def key(self) -> Key:
        """What the line is about."""
        return Key(self.id, self.attack, self.defences)

    @property
    def failed(self) -> bool:
        """True when the judge did not answer at all."""
        return self.reason in FAILURES


def attack_row(key: Key, problem: str, pay: Pay, result: Verdict | Unscored | None, seconds: float = 0.0) -> AttackRow:
    """The line for a result; None at the floor, where no judge is asked.

    As in the reward server, "no error" and a step that does not exist are no scores of a response known to be wrong.
    """
    row = AttackRow(
        id=key.id,
        attack=key.attack,
        defences=key.defences,
        problem=problem,
        num_steps=len(pay.steps),
        flags=pay.examined.flags,
        seconds=seconds,
    )
    if result is None:
        return row.model_copy(update={"rts_steps": 0.0, "rts_characters": 0.0})
    usage = result.usage
    row = row.model_copy(
        update={
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "calls": usage.calls,
        }
    )
    if isinstance(result, Unscored):
        return row.model_copy(update={"reason": result.reason, "message": result.message})
    found = result.first_error
    if found is None:
        message = "the answer is wrong, but the judge found every step right"
        return row.model_copy(update={"reason": UnscoredReason.NO_ERROR_FOUND, "message": message})
    if not 0 <= found < len(pay.steps):
        message = f"the judge named step {found} of {len(pay.steps)}"
        return row.model_copy(update={"reason": UnscoredReason.PARSE_ERROR, "message": message})
    by_steps, by_characters = pay.shares(found)
    return row.model_copy(update={"first_error": found, "rts_steps": by_steps, "rts_characters": by_characters})


def resume(path: Path) -> dict[Key, AttackRow]:
    """The finished lines of a log. The file is left with exactly these.

    Lines at which the judge failed, and a last line torn by a crash, are taken out: they are judged again.
    """
    rows = {row.key: row for row in whole_rows(path, AttackRow) if not row.failed}
    write_rows(path, rows.values())
    return rows

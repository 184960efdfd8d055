"""Defences against reward hacking: which steps of a wrong response are paid for. Pure functions, no I/O.

`examine` one response, ask a judge unless it is floored, then `credit` the verdict. docs/reward_server.md has the
attacks that each defence answers.
"""

from judge.defences.credit import Credit, Examined, credit, examine, mark_flags
from judge.defences.denominator import typical_length
from judge.defences.flags import FLOOR, Flag
from judge.defences.floor import MASTER_KEYS
from judge.defences.settings import DEFENCES_VERSION, DefenceSettings

__all__ = [
    "DEFENCES_VERSION",
    "FLOOR",
    "MASTER_KEYS",
    "Credit",
    "DefenceSettings",
    "Examined",
    "Flag",
    "credit",
    "examine",
    "mark_flags",
    "typical_length",
]

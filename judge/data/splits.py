"""Which problems train, validate and calibrate, and which are sampled: pure functions of seed and problem text.

A problem's place depends on nothing but its text (see `problem_key`) and the seed: all solutions of a problem stay
together, in whatever source they are, and no problem moves when data is added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from judge.data.problem_text import problem_key
from judge.types import Record

Part = Literal["train", "validation", "calibration"]
PARTS: Final[tuple[Part, ...]] = ("train", "validation", "calibration")


def part_of(problem: str, seed: int, validation_share: float, calibration_share: float) -> Part:
    """The part that a problem belongs to. Shares are of problems, in [0, 1), with a sum below 1."""
    position = hash_position(problem_key(problem), seed, "split")
    if position < validation_share:
        return "validation"
    return "calibration" if position < validation_share + calibration_share else "train"


def sample_problems(records: Sequence[Record], num_problems: int, seed: int) -> list[Record]:
    """All records of ``num_problems`` problems drawn by a hash that is independent of `part_of`'s, in their order."""
    keys = {record.problem: problem_key(record.problem) for record in records}
    drawn = sorted(set(keys.values()), key=lambda key: hash_position(key, seed, "sample"))[:num_problems]
    chosen = set(drawn)
    return [record for record in records if keys[record.problem] in chosen]


def num_problems(records: Iterable[Record]) -> int:
    """How many different problems there are."""
    return len({problem_key(problem) for problem in {record.problem for record in records}})


def hash_position(key: str, seed: int, purpose: str) -> float:
    """A number in [0, 1) that looks random: BLAKE2b of seed, purpose and key."""
    digest = hashlib.blake2b(f"{seed}:{purpose}:{key}".encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2.0**48

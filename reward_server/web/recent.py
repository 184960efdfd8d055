"""The last groups with their texts, for people to open on the page.

They are in memory only, never in a file or a log, and are gone when the process ends. Whoever asks gets only the groups
that came with the same key. With ``[page] keep_groups = 0`` no text is kept at all.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from judge.types import Verdict
from reward_server.schemas import GroupIn, GroupOut

OVERHEAD_BYTES: Final = 1024
"""Rough size of the objects around one response's texts."""


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A group as it came, what it got, and what the judge said."""

    asked: GroupIn
    out: GroupOut
    verdicts: Mapping[int, Verdict]
    """By the response's index in the group; only those that the group rule asked for."""
    rescued: bool
    """All-negative, and its rewards differ."""


@dataclass(frozen=True, slots=True)
class KeptGroup:
    """A scored group with its name on the page."""

    key: str
    """Of the server's choosing, and never given twice."""
    at: float
    """Unix time."""
    tenant: str
    scored: ScoredGroup
    size: int
    """Bytes, roughly."""


class RecentGroups:
    """A bounded store, oldest out first.

    Args:
        max_groups: how many groups; 0 keeps none.
        max_bytes: how much memory their texts may take; a larger group is not kept.
        clock: Unix time.
    """

    def __init__(self, max_groups: int, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self.max_groups = max_groups
        self._max_bytes = max_bytes
        self._clock = clock
        self._groups: OrderedDict[str, KeptGroup] = OrderedDict()
        self._size = 0
        # A link from before a restart must not lead to another group.
        self._prefix = secrets.token_hex(4)
        self._num_seen = 0

    def add(self, scored: ScoredGroup, tenant: str) -> None:
        """Keep one group, and drop the oldest until both bounds hold."""
        if not self.max_groups:
            return
        size = text_bytes(scored)
        if size > self._max_bytes:
            return
        self._num_seen += 1
        key = f"{self._prefix}-{self._num_seen}"
        self._groups[key] = KeptGroup(key, self._clock(), tenant, scored, size)
        self._size += size
        while len(self._groups) > self.max_groups or self._size > self._max_bytes:
            _, oldest = self._groups.popitem(last=False)
            self._size -= oldest.size

    def of(self, tenant: str) -> list[KeptGroup]:
        """The groups that came with this tenant's key, newest first."""
        return [kept for kept in reversed(self._groups.values()) if kept.tenant == tenant]

    def get(self, key: str, tenant: str) -> KeptGroup | None:
        """One group, if it is still kept and came with this tenant's key."""
        kept = self._groups.get(key)
        return kept if kept is not None and kept.tenant == tenant else None


def text_bytes(scored: ScoredGroup) -> int:
    """Memory that a group's texts take, in time that does not depend on their length."""
    return sum(sys.getsizeof(text) for text in _texts(scored)) + OVERHEAD_BYTES * (1 + len(scored.asked.responses))


def _texts(scored: ScoredGroup) -> Iterator[object]:
    asked = scored.asked
    yield from (asked.group_id, asked.problem, asked.reference_answer, asked.reference_solution)
    for response in asked.responses:
        yield from (response.id, response.text)
    for verdict in scored.verdicts.values():
        # Each number apart: a tuple's own size is its pointers.
        yield from (verdict.critique, verdict.step_error_probs, *(verdict.step_error_probs or ()))

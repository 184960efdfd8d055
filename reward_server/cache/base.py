"""Where finished verdicts are kept: one Protocol, and how its users may trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from judge.types import Verdict


class VerdictStore(Protocol):
    """Verdicts by `reward_server.cache.keys.verdict_key`.

    No method raises, whatever happens below: what cannot be read is a miss, what cannot be written is dropped, and
    both are counted. A verdict may come back without its ``usage`` and ``latency_s``: see `reward_server.cache.codec`.
    """

    async def get_many(self, keys: Sequence[str]) -> list[Verdict | None]:
        """One entry for each key, in order; None where the store has nothing that it can vouch for."""
        ...

    async def put_many(self, items: Mapping[str, Verdict]) -> None:
        """Keep verdicts. Only for verdicts that passed the desk's checks: what is unscored must be asked again."""
        ...

    async def aclose(self) -> None:
        """Release files and connections. May be called twice."""
        ...

"""Memory in front of a slower store that outlives the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from judge.types import Verdict
from reward_server.cache.base import VerdictStore


class TieredStore:
    """Asks ``front`` first, then ``back`` for the rest; keeps in both."""

    def __init__(self, front: VerdictStore, back: VerdictStore) -> None:
        self._front = front
        self._back = back

    async def get_many(self, keys: Sequence[str]) -> list[Verdict | None]:
        """One entry for each key, in order; what only ``back`` had is in ``front`` from now on."""
        found = dict(zip(keys, await self._front.get_many(keys), strict=True))
        missing = [key for key, verdict in found.items() if verdict is None]
        if missing:
            fetched = dict(zip(missing, await self._back.get_many(missing), strict=True))
            found.update(fetched)
            await self._front.put_many({key: verdict for key, verdict in fetched.items() if verdict is not None})
        return [found[key] for key in keys]

    async def put_many(self, items: Mapping[str, Verdict]) -> None:
        """Keep them in both; returns when ``back`` has them, so that a reply never goes out before its verdicts."""
        await self._front.put_many(items)
        await self._back.put_many(items)

    async def aclose(self) -> None:
        """Close both."""
        await self._front.aclose()
        await self._back.aclose()

"""A joiner without HTTP: responses, and a judge of groups that remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from reward_server.joining.joiner import GroupJoiner
from reward_server.joining.parts import JoinMetrics, JoinSettings, Judged, Member

FAR = 1_000.0
"""Seconds until a deadline that no test waits for."""


@dataclass(frozen=True)
class Text:
    """A response; the judge takes ``right`` ones for right."""

    text: str
    right: bool = False

    @property
    def num_bytes(self) -> int:
        return len(self.text)


class Recorder:
    """Answers ``text of all members, complete``; fails as often as it is told to, and waits for `gate` when closed."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[str, ...], bool]] = []
        self.fail: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.awaited: list[tuple[bool, ...]] = []
        self.asked = asyncio.Event()

    def settles(self, payload: Text) -> bool:
        return payload.right

    def when_mixed(self, payload: Text) -> str:
        return f"mixed:{payload.text}"

    async def judge(self, members: Sequence[Member[Text]], complete: bool) -> Judged[str]:
        texts = tuple(member.payload.text for member in members)
        self.calls.append((texts, complete))
        self.asked.set()
        self.awaited.append(tuple(member.awaited for member in members))
        await self.gate.wait()
        how = self.fail.pop(0) if self.fail else ""
        if how == "raise":
            raise RuntimeError("+".join(texts))
        if how == "unscored":
            return Judged([f"failed:{text}" for text in texts], final=False)
        company = "+".join(sorted(texts))
        return Judged([f"{text} in {company} {'whole' if complete else 'part'}" for text in texts])


class Room:
    """A joiner with short names for what tests do with it."""

    def __init__(self, **settings: Any) -> None:
        self.judge = Recorder()
        self.registry = CollectorRegistry()
        self.joiner = GroupJoiner(self.judge, JoinSettings(**settings), JoinMetrics(self.registry))

    def send(
        self,
        text: str,
        *,
        member: str | None = None,
        key: str = "g",
        size: int = 3,
        right: bool = False,
        tenant: str = "",
        wait: float = FAR,
    ) -> asyncio.Task[str]:
        """Post a response; the task ends with its answer."""
        deadline = asyncio.get_running_loop().time() + wait
        payload = Text(text, right)
        return asyncio.create_task(self.joiner.join(tenant, key, size, member, payload, deadline))

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def all_of(*tasks: asyncio.Task[str]) -> list[str]:
    return await asyncio.wait_for(asyncio.gather(*tasks), 60)

"""One call of the reward client, and a port where no server listens."""

from __future__ import annotations

import socket
from typing import Any

from sgpo_client.client_settings import ClientSettings
from sgpo_client.reward_client import AsyncRewardClient
from sgpo_client.wire import GroupScores, RewardGroup, ShapingParams

SHAPING = ShapingParams()


async def ask(url: str, groups: list[RewardGroup], **settings: Any) -> list[GroupScores]:
    async with AsyncRewardClient(ClientSettings(url=url, **settings)) as client:
        return await client.score(groups, SHAPING)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

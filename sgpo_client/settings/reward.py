"""``[reward]``: the server that rewards, and the shape of what it pays."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from sgpo_client.client_settings import ClientSettings
from sgpo_client.settings.table import Table
from sgpo_client.wire import LengthUnit


class ShapingTable(Table):
    """``[reward.shaping]``: reward of a wrong response = cap * sigmoid(beta * (rts - gamma))."""

    beta: float = Field(default=10.0, gt=0, le=30)
    gamma: float = Field(default=0.5, ge=0, le=1)
    cap: float = Field(default=0.5, gt=0, lt=1)
    length: LengthUnit = "steps"


class RewardTable(Table):
    """``[reward]``: which server gives the rewards."""

    url: str = ""
    """Base URL of a running reward server. Empty: the trainer starts its own on a free loopback port."""
    judge: str = "rules"
    """Judge of the server that the trainer starts."""
    server_config: Path | None = None
    """Configuration file of the server that the trainer starts, for judges with settings of their own."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    """Longest wait for the server that the trainer starts to be ready, loading a judge's model included."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the server's key."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Longest wait for one reply."""
    deadline_s: float = Field(default=300.0, gt=0, le=86400)
    """Longest wait for the rewards of a step, retries included; then the run saves a checkpoint and stops."""
    max_concurrency: int = Field(default=8, ge=1, le=1024)
    shaping: ShapingTable = ShapingTable()

    @model_validator(mode="after")
    def _url_is_one(self) -> Self:
        if self.url:
            try:
                self.client_settings(self.url)
            except ValidationError as error:
                raise ValueError(f"url is {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        return self

    def client_settings(self, url: str) -> ClientSettings:
        """Settings of the HTTP client for the server at ``url``."""
        return ClientSettings(
            url=url,
            api_key_env=self.api_key_env,
            timeout_s=self.timeout_s,
            deadline_s=self.deadline_s,
            max_concurrency=self.max_concurrency,
        )

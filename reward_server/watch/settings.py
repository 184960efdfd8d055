"""Tables ``[drift]`` and ``[canary]``: what watches the policy and the judge over time."""

from __future__ import annotations

from pydantic import Field, model_validator

from judge.settings import Settings


class DriftSettings(Settings):
    """Table ``[drift]``: how the responses of lately are compared with those the server saw first."""

    enabled: bool = True
    window: int = Field(512, ge=16, le=100_000)
    """Responses of one window. The first one is the baseline, each later one is compared with it."""
    sigmas: float = Field(6.0, gt=0, le=100)
    """An alarm needs a difference of more than so many standard errors, besides the least change of its monitor."""


class CanarySettings(Settings):
    """Table ``[canary]``: solutions whose verdict is known, asked again and again."""

    enabled: bool = False
    """True: ask the judge at the start and every ``every_s``. Costs its calls."""
    every_s: float = Field(600.0, ge=1, le=86_400)
    """From the start of one round to the start of the next."""
    timeout_s: float = Field(60.0, gt=0, le=3600)
    """How long one round may take."""
    max_false_share: float = Field(0.25, ge=0, le=1)
    """When more of the bad solutions are believed, or more of the good ones refused, ``/readyz`` says degraded."""

    @model_validator(mode="after")
    def _round_fits(self) -> CanarySettings:
        if self.enabled and self.timeout_s > self.every_s:
            raise ValueError("[canary] needs timeout_s <= every_s")
        return self

"""Table ``[ray]``: how many replicas Ray Serve keeps of the server, and what each may hold."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from judge.settings import Settings


class RaySettings(Settings):
    """Only `reward_server.ray_app` reads this table."""

    min_replicas: int = Field(1, ge=1, le=4096)
    """Never fewer: a replica that loads a judge first is of no use to the request that waits for it."""
    max_replicas: int = Field(1, ge=1, le=4096)
    """With more than one, responses that come one by one are not joined: see `reward_server.running.replicas`."""
    target_ongoing_requests: float = Field(32.0, gt=0, le=100_000)
    """Requests in flight and queued per replica that the number of replicas is steered to."""
    max_ongoing_requests: int = Field(256, ge=1, le=1_000_000)
    """Requests that one replica is given at a time; the others wait at Ray's proxy."""
    max_queued_requests: int = Field(4096, ge=1, le=10_000_000)
    """Requests that wait at one proxy; the next gets 503 with Retry-After. Ray looks only when a request comes, so a
    burst may overshoot."""
    retry_after_s: float = Field(2.0, ge=0, le=3600)
    """What such a refusal asks for; whole seconds."""
    num_cpus: float = Field(1.0, gt=0, le=1024)
    """CPUs of one replica, as Ray counts them."""
    num_gpus: float = Field(0.0, ge=0, le=64)
    """GPUs of one replica, for a judge that runs its own model there; a share is allowed."""
    downscale_delay_s: float = Field(300.0, ge=0, le=86_400)
    """How long the load must be low before a replica is given up: longer than a trainer's pause between two steps."""
    object_store_bytes: int = Field(200_000_000, ge=78_643_200, le=1 << 40)
    """Shared memory of the Ray that the command starts; bodies beyond 100 kB pass through it."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas = {self.max_replicas} is below min_replicas = {self.min_replicas}; make it at least that"
            )
        if self.target_ongoing_requests > self.max_ongoing_requests:
            raise ValueError(
                f"target_ongoing_requests = {self.target_ongoing_requests:g} is above max_ongoing_requests ="
                f" {self.max_ongoing_requests}: no replica would ever look too busy; make it smaller"
            )
        return self

"""The server's configuration: one TOML file, a table for each part, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from judge.defences.settings import DefenceSettings
from judge.settings import Settings, parse_table, read_toml
from judge.shaping import MAX_BETA, ApplyTo, LengthUnit, Shaping
from reward_server.cache.settings import CacheSettings
from reward_server.dialects.settings import DialectsSettings
from reward_server.edge.admission import AdmissionSettings
from reward_server.edge.logs import LoggingSettings
from reward_server.edge.receipt import ReceiptSettings
from reward_server.edge.tracing import TracingSettings
from reward_server.engine.settings import BatchingSettings, BreakerSettings, JudgeProcessSettings
from reward_server.idempotency.settings import IdempotencySettings
from reward_server.joining.parts import JoinSettings
from reward_server.running.ray_settings import RaySettings
from reward_server.watch.settings import CanarySettings, DriftSettings
from reward_server.web.settings import PageSettings


class ServerSettings(Settings):
    """Table ``[server]``: where to listen, and how long things may take."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs an API key (table ``[auth]``)."""
    port: int = Field(8100, ge=0, le=65535)
    """0 lets the system choose; ``--url-file`` tells which one it was."""
    request_timeout_s: float = Field(100.0, gt=0, le=3600)
    """What is not judged by then is unscored (`judge_timeout`); below the time-out of the strictest usual client."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that serve. More than one only for judges that do not run a model on this machine."""
    replicas: int = Field(1, ge=1, le=100_000)
    """Servers like this one behind one address, such as pods. With more than one process in all, responses that come
    one by one are not joined into groups: they would reach different processes and never meet."""
    drain_timeout_s: float = Field(30.0, ge=0, le=3600)
    """How long requests in flight may go on after SIGTERM."""
    max_concurrent_judge_calls: int = Field(8, ge=1, le=4096)
    """Judge calls at a time, each with the responses of one group. A model that runs on this machine takes one call at
    a time instead, filled by ``[batching]``."""
    ready_cache_s: float = Field(5.0, ge=0, le=3600)
    """How long ``/readyz`` repeats its last finding before it asks the judge again."""
    ready_timeout_s: float = Field(30.0, gt=0, le=600)
    """How long ``/readyz`` waits for the judge."""
    cpu_workers: int = Field(1, ge=0, le=64)
    """Processes of each server process that cut texts into steps and examine them; 0: a thread does it, which takes
    turns with everything else that the server does."""
    answer_workers: int = Field(1, ge=1, le=64)
    """Worker processes that compare final answers."""
    answer_timeout_s: float = Field(5.0, gt=0, le=120)
    """Time for one comparison; then the response is unscored (`outcome_error`)."""
    tokenizer: Path | None = None
    """A Hugging Face ``tokenizer.json``; only ``shaping.length = "tokens"`` needs it."""

    @property
    def num_processes(self) -> int:
        """Processes that may be asked about the responses of one group."""
        return self.workers * self.replicas


class ShapingSettings(Settings):
    """Table ``[shaping]``: what a request gets that does not say otherwise."""

    beta: float = Field(10.0, gt=0, le=MAX_BETA)
    gamma: float = Field(0.5, ge=0, le=1)
    cap: float = Field(0.5, gt=0, lt=1)
    """Upper bound of a wrong response's reward; a correct one gets 1."""
    length: LengthUnit = "steps"
    """Unit in which the correct share of a response is counted."""
    apply_to: ApplyTo = "all_negative"
    """Which wrong responses are judged: those of all-negative groups, every one, or none (outcome rewards only)."""

    def curve(self) -> Shaping:
        """The part that `judge.shaping` reads."""
        return Shaping(self.beta, self.gamma, self.cap)


class LimitSettings(Settings):
    """Table ``[limits]``: how much one request may hold."""

    max_body_bytes: int = Field(33_554_432, ge=1024, le=1_073_741_824)
    """A larger body gets 413, before it is held in memory."""
    max_groups: int = Field(64, ge=1, le=4096)
    """Groups of one request."""
    max_responses: int = Field(256, ge=1, le=4096)
    """Responses of one group; items of one ``/v1/judge`` request."""
    max_text_chars: int = Field(200_000, ge=1, le=10_000_000)
    """Characters of one response or reference solution."""
    max_problem_chars: int = Field(50_000, ge=1, le=10_000_000)
    max_steps: int = Field(512, ge=1, le=100_000)
    """A response of more steps is not judged: it is unscored (`too_long`)."""


class AuthSettings(Settings):
    """Table ``[auth]``: keys are never in this file, only where they are."""

    api_keys_env: str = Field("SGPO_API_KEYS", min_length=1)
    """Environment variable with the accepted keys, separated by commas. Unset, and no file: no key, loopback only."""
    api_keys_file: Path | None = None
    """A file with a key or ``sha256:`` and its digest on each line, and perhaps a label; read again when it changes."""
    max_failures_per_minute: int = Field(10, ge=0, le=1_000_000)
    """Wrong keys from one address; beyond it 429 instead of 401. Good keys are not affected. 0: no bound."""


class ServerConfig(Settings):
    """The whole file.

    >>> ServerConfig().judge
    {'kind': 'rules'}
    """

    server: ServerSettings = ServerSettings()
    judge: dict[str, Any] = Field(default_factory=lambda: {"kind": "rules"})
    """``kind`` and that judge's own settings; `judge.registry.build_judge` checks them."""
    shaping: ShapingSettings = ShapingSettings()
    limits: LimitSettings = LimitSettings()
    auth: AuthSettings = AuthSettings()
    batching: BatchingSettings = BatchingSettings()
    judge_process: JudgeProcessSettings = JudgeProcessSettings()
    breaker: BreakerSettings = BreakerSettings()
    defences: DefenceSettings = DefenceSettings()
    drift: DriftSettings = DriftSettings()
    canary: CanarySettings = CanarySettings()
    join: JoinSettings = JoinSettings()
    dialects: DialectsSettings = DialectsSettings()
    admission: AdmissionSettings = AdmissionSettings()
    receipt: ReceiptSettings = ReceiptSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    page: PageSettings = PageSettings()
    cache: CacheSettings = CacheSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    ray: RaySettings = RaySettings()


def load_config(path: Path | None) -> ServerConfig:
    """Read ``path``, or take the defaults where there is none.

    Raises:
        judge.errors.ConfigError: when the file is missing, is not TOML, or holds a wrong or unknown key.
    """
    return ServerConfig() if path is None else parse_table(ServerConfig, read_toml(path), str(path))

"""Table ``[cache]``: where finished verdicts are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from judge.settings import Settings

Kind = Literal["off", "memory", "sqlite", "redis"]
SHARED: Final = frozenset({"sqlite", "redis"})
USED_BY: Final[dict[str, frozenset[str]]] = {
    "max_entries": SHARED | {"memory"},
    "max_bytes": SHARED | {"memory"},
    "path": frozenset({"sqlite"}),
    "file_max_bytes": frozenset({"sqlite"}),
    "redis_url_env": frozenset({"redis"}),
    "ttl_s": frozenset({"redis"}),
    "namespace": frozenset({"redis"}),
    "timeout_s": SHARED,
    "secret_env": SHARED,
}
"""Which kinds read a setting. One that would be ignored is refused: its author believes that it does something."""


class CacheSettings(Settings):
    """The whole table. Every kind but ``off`` keeps the latest verdicts in memory as well.

    >>> CacheSettings().kind
    'memory'
    """

    kind: Kind = "memory"
    """``sqlite``: a file that outlives the process and that servers of one machine share; ``redis``: many machines."""
    max_entries: int = Field(100_000, ge=1, le=100_000_000)
    """Verdicts held in memory."""
    max_bytes: int = Field(67_108_864, ge=1024, le=1 << 40)
    """Memory they may take, about; the one used longest ago goes first."""
    path: Path | None = None
    """The SQLite file. Made when it is not there; its folder must exist, on a local disk."""
    file_max_bytes: int = Field(1_073_741_824, ge=1_048_576, le=1 << 44)
    """The file never grows beyond this; its write-ahead log takes some megabytes more."""
    redis_url_env: str = Field("SGPO_REDIS_URL", min_length=1)
    """Environment variable with the URL, since a URL may hold a password."""
    ttl_s: int = Field(604_800, ge=1, le=31_536_000)
    """Redis forgets a verdict after so many seconds. A bound on growth: verdicts do not go stale."""
    namespace: str = Field("sgpo", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """First part of every Redis key."""
    timeout_s: float = Field(0.5, gt=0, le=60)
    """The longest that a request waits for one look into file or Redis, and for one write; then it is a miss."""
    secret_env: str = Field("SGPO_CACHE_SECRET", min_length=1)
    """Environment variable with a secret. When set, rows are signed with it (HMAC) and unsigned ones are not believed;
    without it a checksum finds damage, not forgery."""

    @model_validator(mode="after")
    def _nothing_ignored(self) -> Self:
        for name in sorted(self.model_fields_set - {"kind"}):
            if self.kind not in USED_BY[name]:
                kinds = " or ".join(f"'{kind}'" for kind in sorted(USED_BY[name]))
                raise ValueError(f"'{name}' has no effect with kind = '{self.kind}'; it belongs to kind = {kinds}")
        if self.kind == "sqlite" and self.path is None:
            raise ValueError("kind = 'sqlite' needs 'path', the file to keep verdicts in")
        return self

"""What must hold before several copies of the server stand behind one address.

Each copy has its own memory. What that changes:

- Group joining: members of one group that reach different copies never meet; each would wait for its siblings until its
  time is up and be paid as part of an incomplete group. Refused: by ``[server] replicas`` a copy knows that it is
  not alone, and answers 422 to a response that names a group's size. Whole groups (``/v1/rewards``) are not affected.
- Verdict cache: with ``kind = "memory"`` each copy asks the judge anew for what another one knows. Right, but dearer.
- ``Idempotency-Key``: a retry that reaches another copy is answered anew. With a shared cache the verdicts are the same
  ones and so are the rewards; that the same key came with another body is noticed only by a copy that saw both.
- Single-flight: equal solutions that are judged at the same moment by two copies are judged twice.
- Quotas and the brake on wrong keys count per copy: the whole allows up to so many times as much.
- The page's charts and recent groups are those of the copy that answers.
"""

from __future__ import annotations

import logging
from typing import Final

from judge.errors import ConfigError
from reward_server.config import ServerConfig

logger = logging.getLogger(__name__)

SHARED_CACHES: Final = frozenset({"sqlite", "redis"})


def as_one_of(config: ServerConfig, num_replicas: int, setting: str) -> ServerConfig:
    """The configuration of one copy, after what several of them would do wrong in silence has been refused.

    Args:
        config: the server's.
        num_replicas: copies at most.
        setting: what asks for so many, for the messages.

    Raises:
        ConfigError: naming the setting to change.
    """
    for name in ("workers", "replicas"):
        if getattr(config.server, name) != 1:
            raise ConfigError(f"[server] {name} has no effect here; leave it out, and set {setting}")
    if num_replicas == 1:
        return config
    for dialect, table in config.dialects:
        if table.group_size:
            raise ConfigError(
                f"[dialects.{dialect}] group_size = {table.group_size} needs {setting} = 1, not {num_replicas}: the"
                " responses of a group would reach different replicas and never meet"
            )
    warn(config, num_replicas, setting)
    return config.model_copy(update={"server": config.server.model_copy(update={"replicas": num_replicas})})


def warn(config: ServerConfig, num_replicas: int, setting: str) -> None:
    """Say what is right with several copies, but less good."""
    if config.cache.kind not in SHARED_CACHES:
        logger.warning(
            "%s = %d with [cache] kind = '%s': replicas do not share verdicts, so the judge is asked again for what"
            " another one knows; kind = 'redis' is for that",
            setting,
            num_replicas,
            config.cache.kind,
        )
    if config.page.num_kept:
        logger.warning(
            "%s = %d: the page shows the counts and the recent groups of whichever replica answers;"
            " [page] keep_groups = 0 keeps none",
            setting,
            num_replicas,
        )

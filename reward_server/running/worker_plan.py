"""Which judges may be served by several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from judge.errors import ConfigError

WITHOUT_MODEL = frozenset({"rules", "scripted"})
PROMPTED = frozenset({"critic", "scan"})
NESTED = {"cascade": "stages", "vote": "members"}
"""Kinds that are made of other judges, and the key of their tables."""


def check_workers(num_workers: int, judge: Mapping[str, Any]) -> None:
    """Refuse several workers for a judge whose model would be loaded by each of them.

    Raises:
        ConfigError: naming both ways out.
    """
    if num_workers > 1 and runs_a_model(judge):
        raise ConfigError(
            f"[server] workers = {num_workers}: the judge '{judge.get('kind')}' runs a model on this machine, which"
            " every worker would load anew; use workers = 1, or serve the model apart (vLLM) with backend = 'openai'"
        )


def runs_a_model(judge: Mapping[str, Any]) -> bool:
    """Whether the judge of a ``[judge]`` table computes with a model on this machine.

    >>> runs_a_model({"kind": "rules"}), runs_a_model({"kind": "probe"}), runs_a_model({"kind": "critic"})
    (False, True, False)
    """
    kind = judge.get("kind")
    if kind in NESTED:
        members = judge.get(NESTED[kind], ())
        return any(runs_a_model(member) for member in members if isinstance(member, Mapping))
    if kind in PROMPTED:
        return bool(judge.get("backend", "openai") != "openai")
    return kind not in WITHOUT_MODEL

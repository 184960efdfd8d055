"""Judges that are made of judges: tables within a judge's table, and one way to ask and to close them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from judge.errors import BackendError, BackendTimeout, ConfigError
from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Verdict

TABLE_KEYS: Final = ("stages", "members")
"""Where a judge's table holds tables of judges."""
MAX_DEPTH: Final = 3
"""Judges within judges, the outermost one counted."""


def build_nested(table: Mapping[str, object], where: str) -> Judge:
    """The judge of an inner table.

    Args:
        where: name of the inner table, e.g. ``[judge]: stages[1]``; starts every error message.

    Raises:
        ConfigError: as `judge.registry.build_judge`; or judges nested deeper than `MAX_DEPTH`.
        ModelError: a model cannot be found.
    """
    from judge.registry import build_judge  # the registry knows the kinds, ours among them

    if deeper_than(table, MAX_DEPTH - 1):
        raise ConfigError(f"{where}: judges within judges are more than {MAX_DEPTH} deep; flatten the tables")
    return build_judge(table, where)


def deeper_than(table: Mapping[str, object], levels: int) -> bool:
    """Whether tables of judges lie deeper than ``levels``, this one counted. Looks no deeper than that."""
    if levels == 0:
        return True
    lists = [value for key in TABLE_KEYS if isinstance(value := table.get(key), list | tuple)]
    return any(deeper_than(inner, levels - 1) for inners in lists for inner in inners if isinstance(inner, Mapping))


async def ask(judge: Judge, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
    """Judge a batch. A judge that cannot be reached has no verdict on any of it, and the others go on."""
    if not batch:
        return []
    try:
        return await judge.judge(batch)
    except BackendError as error:
        late = isinstance(error, BackendTimeout)
        reason = UnscoredReason.JUDGE_TIMEOUT if late else UnscoredReason.JUDGE_UNAVAILABLE
        return [Unscored(reason, str(error), judge.judge_id) for _ in batch]


async def close(judges: Sequence[Judge]) -> None:
    """Close all, even when one of them fails; the first failure is raised in the end."""
    ends = await asyncio.gather(*(judge.aclose() for judge in judges), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end

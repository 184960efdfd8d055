"""Ranks that fail together: an error on one would leave the others waiting in a collective."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sgpo_client.errors import SgpoError
from sgpo_client.ranks.distributed import all_gather_objects

T = TypeVar("T")


def together(work: Callable[[], T]) -> T:
    """Run ``work``, which must hold no collective, on every rank; when it fails on any, all raise that error."""
    failure: SgpoError | None = None
    try:
        result = work()
    except SgpoError as error:
        failure = error
    failures = [error for error in all_gather_objects(failure) if error is not None]
    if failures:
        raise failures[0]
    return result

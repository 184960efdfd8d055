"""File descriptors: every connection takes one, and a process that runs out of them stops accepting without a word."""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)

SPARE = 256
"""For everything that is no client's connection."""


def raise_descriptor_limit(num_connections: int) -> int:
    """Raise this process's own limit as far as it may go, and warn when that is too little.

    Args:
        num_connections: clients that are to be held at a time.

    Returns:
        The limit in force.
    """
    needed = num_connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if too_few_descriptors(soft, num_connections):
        logger.warning(
            "%d file descriptors at most (ulimit -Hn), but [admission] max_in_flight_requests and max_waiting_requests"
            " may take %d; raise the limit or lower the settings",
            soft,
            needed,
        )
    return soft


def too_few_descriptors(limit: int, num_connections: int) -> bool:
    """Whether so many connections are more than a limit allows."""
    return limit != resource.RLIM_INFINITY and limit < num_connections + SPARE

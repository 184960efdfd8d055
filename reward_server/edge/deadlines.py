"""How long a caller waits: ``X-Request-Timeout-S`` says it in seconds, and what is not judged by then is unscored."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from starlette.requests import Request

from reward_server.errors import ApiError

HEADER: Final = "x-request-timeout-s"


def request_deadline(request: Request, longest_s: float) -> float:
    """When the reply must be sent, on the event loop's clock.

    Args:
        request: its header is read.
        longest_s: the server's own bound; a caller may only be more impatient.

    Raises:
        ApiError: 422, when the header is no number of seconds above 0.
    """
    # From its arrival: the caller's patience began before the wait for admission.
    arrived = request.scope.get("state", {}).get("arrived") or asyncio.get_running_loop().time()
    return float(arrived) + seconds(request.headers.get(HEADER), longest_s)


def seconds(header: str | None, longest_s: float) -> float:
    """The time-out that a header asks for, within the server's bound.

    >>> seconds("2.5", 100.0), seconds("600", 100.0), seconds(None, 100.0)
    (2.5, 100.0, 100.0)
    """
    if header is None:
        return longest_s
    try:
        asked = float(header)
    except ValueError:
        asked = math.nan
    if not asked > 0:  # NaN is not either
        raise ApiError(422, "invalid_request", "X-Request-Timeout-S: give a number of seconds above 0")
    return min(asked, longest_s)

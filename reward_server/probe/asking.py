"""Sends what a trainer would send, all at the same time, and notes what came of each request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp
from pydantic_core import from_json

from reward_server.dialects.base import DIALECT_PREFIXES
from reward_server.probe.samples import GROUP_SIZE, Group
from reward_server.probe.trainers import Trainer
from reward_server.probe.wires import PATHS, Told

SHOWN_CHARS: Final = 300
KEY_STATUSES: Final = (401, 403, 429)
Outcome = Literal["answered", "refused", "unreadable", "slow", "unreachable"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to post, and where the server's own routes are."""

    url: str
    path: str
    """Which route that is: of the trainer, or of another one."""
    base: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one response."""

    outcome: Outcome
    seconds: float
    told: Told | None = None
    status: int = 0
    said: str = ""
    """The server's words, or the fault on the way."""


def target_of(url: str, trainer: Trainer, key: str | None) -> Target:
    """Where ``url`` leads: a base URL gets the trainer's route, a URL with a route in it is taken as it is.

    Raises:
        ValueError: when it is no http(s) URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    given = parts.path.rstrip("/")
    route = next((path for path in PATHS if given.endswith(path)), None)
    root = given.removesuffix(route or "").removesuffix(DIALECT_PREFIXES[2])
    query = dict(parse_qsl(parts.query))
    if route is None:
        route, given = trainer.wire.path, given + trainer.wire.path
        query = dict(trainer.wire.query) | query
    if "group_size" in query:
        query["group_size"] = str(GROUP_SIZE)  # of what is posted here; the trainer's own groups may be larger
    if key is not None and trainer.wire.key_in_url:
        query["key"] = key
    post = urlunsplit((parts.scheme, parts.netloc, given, urlencode(query), ""))
    base = urlunsplit((parts.scheme, parts.netloc, root, "", ""))
    return Target(post, route, base, key if key is not None else query.get("key"))


async def ask(
    trainer: Trainer, target: Target, groups: Sequence[Group], label: Any, timeout_s: float
) -> list[list[Seen]]:
    """Post every group; for each group what its responses were told, in order. Nothing is raised for a failure."""
    headers = {} if trainer.wire.key_in_url or target.key is None else {"Authorization": f"Bearer {target.key}"}
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as session:
        if refused := await _refused_key(session, target):
            return [[refused] * len(group.responses) for group in groups]
        posts = [[_post(session, trainer, target, body) for body in trainer.wire.posts(each, label)] for each in groups]
        seen = await asyncio.gather(*(asyncio.gather(*bodies) for bodies in posts))
    return [_per_response(parts, len(group.responses)) for parts, group in zip(seen, groups, strict=True)]


def _per_response(parts: Sequence[list[Seen]], size: int) -> list[Seen]:
    """A row for each response; a request for the whole group that failed, failed for all of them."""
    rows = [seen for part in parts for seen in part]
    return rows * size if len(rows) == 1 < size else rows


async def _refused_key(session: aiohttp.ClientSession, target: Target) -> Seen | None:
    """What a server that wants another key says; asked once, since it soon stops listening to wrong ones."""
    started = time.perf_counter()
    try:
        async with session.get(target.url, allow_redirects=False) as reply:
            raw = await reply.read()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None  # the posts will find the same
    if reply.status not in KEY_STATUSES:
        return None
    return Seen("refused", time.perf_counter() - started, status=reply.status, said=words_of(raw))


async def _post(
    session: aiohttp.ClientSession, trainer: Trainer, target: Target, body: Mapping[str, Any]
) -> list[Seen]:
    started = time.perf_counter()

    def seen(outcome: Outcome, **more: Any) -> Seen:
        return Seen(outcome, time.perf_counter() - started, **more)

    try:
        async with session.post(target.url, json=body, allow_redirects=False) as reply:
            raw = await reply.read()
    except TimeoutError:
        return [seen("slow")]
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return [seen("unreachable", said=f"{type(error).__name__}: {error}")]
    if reply.status != 200:
        return [seen("refused", status=reply.status, said=words_of(raw))]
    try:
        return [seen("answered", told=told, status=200) for told in trainer.wire.read(from_json(raw))]
    except (ValueError, LookupError, TypeError, AttributeError):
        return [seen("unreadable", status=200, said=words_of(raw))]


def words_of(raw: bytes) -> str:
    """What a reply says: the server's code and message, or its first characters."""
    try:
        error = from_json(raw)["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, LookupError, TypeError):
        return " ".join(raw[:SHOWN_CHARS].decode("utf-8", "replace").split())


async def readiness(base: str, timeout_s: float) -> tuple[int, str]:
    """Status and words of ``GET /readyz``, which needs no key; 0 when nobody answered."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session,
            session.get(f"{base}/readyz", allow_redirects=False) as reply,
        ):
            raw = await reply.read()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return 0, type(error).__name__
    try:
        judge = str(from_json(raw)["judge"]["id"])
    except (ValueError, LookupError, TypeError):
        return reply.status, words_of(raw)
    return reply.status, f"ready, its judge is {judge}"

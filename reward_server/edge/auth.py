"""Who may use the server: loopback without a key, everyone else with one."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import math
import socket
from collections.abc import Sequence
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from judge.errors import ConfigError
from reward_server.config import AuthSettings
from reward_server.dialects.base import DIALECT_PREFIXES
from reward_server.edge.keys import MIN_KEY_CHARS, KeyRing, load_keys
from reward_server.edge.rates import Rate
from reward_server.errors import ApiError

__all__ = ["MIN_KEY_CHARS", "OPEN_PATHS", "AuthMiddleware", "KeyRing", "check_exposure", "is_loopback", "load_keys"]

OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""Answered without a key. Everything else is refused, whether such a route exists or not."""
MAX_QUERY_FIELDS = 64


def check_exposure(host: str, keys: KeyRing, settings: AuthSettings) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        ConfigError: naming both ways out.
    """
    if not keys.required and not is_loopback(host):
        raise ConfigError(
            f"refusing to listen on '{host}' without an API key:"
            f" put one into ${settings.api_keys_env} or into [auth] api_keys_file,"
            " or listen on 127.0.0.1 (--host or [server] host)"
        )


def is_loopback(host: str) -> bool:
    """True when every address of ``host`` is this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("")
    (True, False, False)
    """
    try:
        addresses: Sequence[str] = [str(entry[4][0]) for entry in socket.getaddrinfo(host or "0.0.0.0", None)]  # noqa: S104
    except OSError:
        return False
    return all(ipaddress.ip_address(address.split("%")[0]).is_loopback for address in addresses)


class AuthMiddleware:
    """Asks for a key before any route, and before the body is read; tells the inner layers whose key it was.

    It looks at ``scope["path"]`` and nothing else: a URL rebuilt from the Host header can be forged.

    Args:
        keys: the ring; without any source of keys, everyone passes with the tenant ``""``.
        failures: how many wrong keys a minute an address may send before it hears 429 instead of 401.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, failures: Rate) -> None:
        self.app = app
        self.keys = keys
        self.failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise `ApiError` 401 or 429."""
        if scope["type"] == "http":
            scope.setdefault("state", {})["tenant"] = ""
            if self.keys.required and scope["path"] not in OPEN_PATHS:
                scope["state"]["tenant"] = self._tenant(scope)
        await self.app(scope, receive, send)

    def _tenant(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        given = header_key(headers.get("authorization", ""))
        if given is None and is_dialect(scope["path"]):
            given = query_key(scope["query_string"])
        tenant = None if given is None else self.keys.tenant_of(given)
        if tenant is not None:
            return tenant
        # Counted only now: a good key passes, whoever else guesses from its address.
        wait_s = 0.0 if given is None else self.failures.hit(network_of(scope))
        if wait_s:
            raise ApiError(
                429,
                "too_many_failures",
                "too many wrong keys from this address; wait, then send the right one",
                {"retry-after": str(math.ceil(wait_s))},
            )
        # A browser asks its user for the key (as the password) when it is told so; programs are told the usual way.
        for_people = "text/html" in headers.get("accept", "")
        raise ApiError(
            401,
            "unauthorized",
            "send 'Authorization: Bearer KEY' with a key of this server",
            {"www-authenticate": 'Basic realm="sgpo", charset="UTF-8"' if for_people else "Bearer"},
        )


def header_key(value: str) -> str | None:
    """The key of an Authorization header: ``Bearer KEY``, or ``Basic`` with the key as the password.

    >>> header_key("Bearer abc"), header_key("Basic Ong="), header_key("")
    ('abc', 'x', None)
    """
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return None


def is_dialect(path: str) -> bool:
    """Whether the path belongs to a dialect, whose clients know no headers."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in DIALECT_PREFIXES)


def query_key(query: bytes) -> str | None:
    """The value of ``key`` in a query string.

    >>> query_key(b"a=1&key=abc"), query_key(b"a=1")
    ('abc', None)
    """
    try:
        fields = parse_qsl(query.decode("latin-1"), max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return None
    return next((value for name, value in fields if name == "key"), None)


def network_of(scope: Scope) -> str:
    """The caller's address; of IPv6 the half that a household has to itself."""
    host = (scope.get("client") or ("", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host

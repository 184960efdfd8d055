"""Who may use the server: loopback without a key, everyone else with one."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from judge.errors import ConfigError
from reward_server.config import AuthSettings
from reward_server.errors import ApiError

OPEN_PATHS = frozenset({"/livez", "/readyz"})
"""Answered without a key. Everything else is refused, whether such a route exists or not."""
MIN_KEY_CHARS = 16


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The accepted keys, kept as digests only. No digest at all means: no key is asked for."""

    digests: tuple[bytes, ...]

    def accepts(self, key: str) -> bool:
        """Compare with every key, in constant time, without stopping at the first match."""
        digest = hashlib.sha256(key.encode()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self.digests]
        return any(matches)


def load_keys(settings: AuthSettings, environ: Mapping[str, str]) -> KeyRing:
    """Read the keys from the environment variable that the settings name.

    Raises:
        ConfigError: when the variable is set but holds no key, or a key that is short or not plain ASCII.
    """
    name = settings.api_keys_env
    value = environ.get(name, "")
    if not value:
        return KeyRing(())
    keys = [key.strip() for key in value.split(",")]
    for key in keys:
        if len(key) < MIN_KEY_CHARS or not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError(
                f"${name}: each key needs at least {MIN_KEY_CHARS} printable ASCII characters without spaces"
                " (separate keys with commas); `openssl rand -hex 32` makes one"
            )
    return KeyRing(tuple(hashlib.sha256(key.encode()).digest() for key in keys))


def check_exposure(host: str, keys: KeyRing, settings: AuthSettings) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises:
        ConfigError: naming both ways out.
    """
    if not keys.digests and not is_loopback(host):
        raise ConfigError(
            f"refusing to listen on '{host}' without an API key:"
            f" put one into ${settings.api_keys_env}, or listen on 127.0.0.1 (--host or [server] host)"
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
    """Asks for ``Authorization: Bearer KEY`` before any route, and before the body is read.

    It looks at ``scope["path"]`` and nothing else: a URL rebuilt from the Host header can be forged.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or raise `ApiError` 401."""
        if scope["type"] == "http" and self.keys.digests and scope["path"] not in OPEN_PATHS:
            scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self.keys.accepts(key.strip()):
                raise ApiError(
                    401,
                    "unauthorized",
                    "send 'Authorization: Bearer KEY' with a key of this server",
                    {"www-authenticate": "Bearer"},
                )
        await self.app(scope, receive, send)

"""The page's files: a fixed list, read once. A request picks one of them; it never names a file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
SCRIPTS: Final = (
    "activity",
    "api",
    "chart",
    "dom",
    "form",
    "group",
    "key",
    "main",
    "recent",
    "response",
    "visible",
)
NAMES: Final = ("index.html", "style.css", "icon.svg", *(f"{name}.js" for name in SCRIPTS))
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""On every reply of the page's routes."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    path: str
    """Of its URL."""
    media_type: str
    body: bytes


def read_assets() -> list[Asset]:
    """Every file of the page, from the installed package."""
    folder = files("reward_server.web") / "static"
    return [
        Asset(
            path="/" if name == "index.html" else f"/static/{name}",
            media_type=TYPES[name.rpartition(".")[2]],
            body=(folder / name).read_bytes(),
        )
        for name in NAMES
    ]

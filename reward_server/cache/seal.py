"""Rows that prove where they belong: digest, then JSON. A torn, swapped or edited row is not believed."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from judge.types import Verdict
from reward_server.cache.codec import decode, encode

DIGEST_BYTES: Final = 64
"""Hex digits of SHA-256."""


class BrokenSeal(ValueError):
    """A row whose digest does not fit its content, its key, or the server's secret."""


class Seal:
    """Writes and checks rows.

    Args:
        secret: signs the rows (HMAC-SHA256). Without one the digest is a plain checksum, which anybody can make who
            may write to the store.
    """

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret

    def pack(self, key: str, verdict: Verdict) -> bytes:
        """The row to keep under ``key``.

        Raises:
            reward_server.cache.codec.NotAVerdict: when the verdict holds NaN or the like.
        """
        payload = encode(verdict)
        return self._digest(key, payload) + payload

    def unpack(self, key: str, row: bytes) -> Verdict:
        """The verdict of a row that was found under ``key``.

        Raises:
            BrokenSeal: when `pack` with this key and this secret did not write the row.
            reward_server.cache.codec.NotAVerdict: when it did, in another version.
        """
        digest, payload = row[:DIGEST_BYTES], row[DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._digest(key, payload)):
            raise BrokenSeal("the row's digest does not fit")
        return decode(payload)

    def _digest(self, key: str, payload: bytes) -> bytes:
        name = key.encode()
        # The key is part of it: a sound row under another key says nothing of that key's solution.
        content = len(name).to_bytes(8, "big") + name + payload
        if self._secret:
            return hmac.digest(self._secret, content, "sha256").hex().encode()
        return hashlib.sha256(content).hexdigest().encode()

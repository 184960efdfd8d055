"""The accepted keys: from an environment variable, from a file, or from both; kept as digests only."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.errors import ConfigError
from reward_server.config import AuthSettings

logger = logging.getLogger(__name__)

MIN_KEY_CHARS = 32
FILE_CHECK_S = 1.0
"""The file is looked at no more often than this."""
DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
LABEL = re.compile(r"[A-Za-z0-9_-]{1,32}")
HOW = (
    f"at least {MIN_KEY_CHARS} printable ASCII characters without spaces and commas; `openssl rand -hex 32` makes a key"
)


@dataclass(frozen=True, slots=True)
class Key:
    """One accepted key. Keys with the same tenant share a turn, a quota and a label in the log."""

    digest: bytes
    tenant: str


class KeyRing:
    """The keys that open the server. Without any source of keys, none is asked for.

    Args:
        keys: digests, or keys with their tenant.
        file: keys that may change while the server runs.
    """

    def __init__(self, keys: Sequence[Key | bytes] = (), file: KeyFile | None = None) -> None:
        self._fixed = tuple(key if isinstance(key, Key) else Key(key, tenant_label(key)) for key in keys)
        self._file = file

    @property
    def required(self) -> bool:
        """Whether a key is asked for. A file of keys that has become empty lets nobody in, rather than everybody."""
        return bool(self._fixed) or self._file is not None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys accepted now."""
        return self._fixed if self._file is None else (*self._fixed, *self._file.keys())

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The digests of the keys accepted now."""
        return tuple(key.digest for key in self.keys)

    def tenant_of(self, given: str) -> str | None:
        """The tenant of a key, or None when it is none of ours.

        Every key is compared, in constant time each and without stopping at a match, so that the time tells nothing.
        """
        digest = hashlib.sha256(given.encode()).digest()
        tenant = None
        for key in self.keys:
            if hmac.compare_digest(digest, key.digest):
                tenant = key.tenant
        return tenant

    def accepts(self, given: str) -> bool:
        """Whether the key is one of ours."""
        return self.tenant_of(given) is not None


class KeyFile:
    """A file with a key on each line, read again when it changes, so that keys are exchanged without a restart.

    A line is a key, or ``sha256:`` and the digest of one in hexadecimal, then perhaps a space and a label;
    ``#`` begins a comment. Two keys of one label are both good: the old and the new one while a key is exchanged.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._stamp = stamp(path)
        self._keys = read_key_file(path)
        if not self._keys:
            raise ConfigError(f"[auth] api_keys_file = '{path}': holds no key; put one on a line of its own")
        self._looked_at = clock()

    def keys(self) -> tuple[Key, ...]:
        """The keys of the file; those of its last good state while it cannot be read."""
        now = self._clock()
        if now - self._looked_at >= FILE_CHECK_S:
            self._looked_at = now
            self._reread()
        return self._keys

    def _reread(self) -> None:
        found = stamp(self._path)
        if found == self._stamp:
            return
        self._stamp = found
        try:
            self._keys = read_key_file(self._path)
        except ConfigError as error:
            # A slip of the pen must not lock a running trainer out.
            logger.error("%s; the keys of before stay in force", error)
        else:
            logger.info("[auth] api_keys_file was read again: %d keys", len(self._keys))


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does: time, size and inode; None when it cannot be had."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def load_keys(settings: AuthSettings, environ: Mapping[str, str] = os.environ) -> KeyRing:
    """Read the keys from the variable and the file that the settings name.

    Raises:
        ConfigError: when one of them is there but holds no key, or a key that is short or not plain ASCII.
    """
    keys = read_variable(settings.api_keys_env, environ.get(settings.api_keys_env, ""))
    file = None if settings.api_keys_file is None else KeyFile(settings.api_keys_file)
    return KeyRing(keys, file)


def read_variable(name: str, value: str) -> list[Key]:
    """The keys of an environment variable, separated by commas.

    Raises:
        ConfigError: naming the variable, and never quoting a key.
    """
    if not value:
        return []
    texts = [text.strip() for text in value.split(",")]
    if not all(is_good_key(text) for text in texts):
        raise ConfigError(f"${name}: each key needs {HOW} (separate keys with commas)")
    return [from_text(text) for text in texts]


def read_key_file(path: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        ConfigError: naming the file and the line, and never quoting a key.
    """
    where = f"[auth] api_keys_file = '{path}'"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ConfigError(f"{where}: no such file; give the path of a file with a key on each line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read: {type(error).__name__}") from None
    return tuple(read_lines(lines, where))


def read_lines(lines: Iterable[str], where: str) -> Iterable[Key]:
    """Each line's key, comments and empty lines left out."""
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        secret, label = words[0], words[1] if len(words) > 1 else ""
        if len(words) > 2 or (label and not LABEL.fullmatch(label)):
            raise ConfigError(
                f"{where}, line {number}: write a key, then perhaps a label of up to 32 of A-Z a-z 0-9 _ -"
            )
        digest = DIGEST.fullmatch(secret)
        if digest is not None:
            raw = bytes.fromhex(digest[1])
            yield Key(raw, label or tenant_label(raw))
        elif is_good_key(secret) and not secret.startswith("sha256:"):
            yield from_text(secret, label)
        else:
            raise ConfigError(
                f"{where}, line {number}: neither 'sha256:' with 64 hexadecimal digits nor a key of {HOW}"
            )


def is_good_key(text: str) -> bool:
    """Long enough, and of characters that survive a header."""
    return len(text) >= MIN_KEY_CHARS and text.isascii() and text.isprintable() and not set(text) & set(" ,")


def from_text(text: str, label: str = "") -> Key:
    """A key, kept as its digest. No slow hash: a random key of 32 characters cannot be guessed from its digest."""
    digest = hashlib.sha256(text.encode()).digest()
    return Key(digest, label or tenant_label(digest))


def tenant_label(digest: bytes) -> str:
    """A short name for a key without a label, which tells nothing about it."""
    return hashlib.sha256(b"tenant:" + digest).hexdigest()[:8]

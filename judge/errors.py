"""Errors of the judge library, named by the boundary that was crossed.

A response that cannot be judged is data (`judge.types.Unscored`), not an exception. These are for the caller's own
mistakes (configuration, files) and for a judge that cannot work at all. Command lines print them without a traceback.
"""

from __future__ import annotations


class JudgeError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(JudgeError, ValueError):
    """A setting is wrong: the message names the setting, its value and what to do."""


class DataError(JudgeError, ValueError):
    """An input file is wrong: the message names the file, the row and the field."""


class ModelError(JudgeError):
    """A model, tokenizer or weights file cannot be found or loaded."""


class BackendError(JudgeError):
    """A text-generation backend failed; `retryable` tells whether the same call may work later."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class BackendTimeout(BackendError):
    """The backend did not answer in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)

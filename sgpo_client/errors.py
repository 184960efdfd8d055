"""Errors of the client and the trainer. Command lines print them without a traceback."""

from __future__ import annotations

from functools import partial
from typing import Any


class SgpoError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(SgpoError, ValueError):
    """A setting is wrong: the message names the setting, its value and what to do."""


class DataError(SgpoError, ValueError):
    """Problems cannot be read: the message names the file, the row and the field."""


class ModelError(SgpoError):
    """A model or tokenizer cannot be found or loaded."""


class CheckpointError(SgpoError):
    """A checkpoint is missing, damaged, or belongs to another run."""


class RunFolderError(SgpoError):
    """What a run has measured cannot be written down, as on a full disk."""


class Interrupted(SgpoError):
    """The process was asked to end while a server was waited for."""


class TrainingError(SgpoError):
    """Training cannot go on: the weights would be spoiled."""


class SamplerError(SgpoError):
    """The program that samples could not be reached, refused, or has lost the weights that it was given."""


class RewardError(SgpoError):
    """The reward server could not give rewards. Never turned into a reward."""


class RewardUnavailable(RewardError):
    """The server could not be reached, or stayed busy until the deadline. The same call may work later."""


class RewardRejected(RewardError):
    """The server refused the request (4xx): sending it again will not help."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between ranks; keyword arguments would get lost on the way."""
        return partial(type(self), status=self.status, code=self.code), self.args

"""Settings of an adapter: from arguments, else from environment variables, else defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from sgpo_client.client_settings import DEFAULT_URL, ClientSettings
from sgpo_client.errors import ConfigError
from sgpo_client.wire import ShapingParams

MAX_RUN_CHARS: Final = 64
OnUnscored = Literal["none", "raise", "outcome"]
SERVER_SHAPING: Final = ShapingParams(beta=None, gamma=None, cap=None, length=None, apply_to=None)
"""Shaping as the server's configuration says."""
VARIABLES: Final = {
    "url": "SGPO_URL",
    "api_key": "SGPO_API_KEY",
    "timeout_s": "SGPO_TIMEOUT_S",
    "deadline_s": "SGPO_DEADLINE_S",
    "on_unscored": "SGPO_ON_UNSCORED",
    "group_size": "SGPO_GROUP_SIZE",
    "run": "SGPO_RUN",
}
ROUTES: Final = ("/v1", "/v1/rewards", "/v1/judge", "/v1/openrlhf", "/v1/slime", "/nemo_gym", "/verify", "/get_reward")


@dataclass(frozen=True, slots=True)
class Trainer:
    """How to speak to the user of a trainer."""

    name: str
    reference_hint: str
    """Where the reference answer comes from, and what to do when it is not there."""
    settings_hint: str
    """Where its user sets url, api_key and the rest."""
    timeout_s: float | None = None
    """When the trainer itself gives a reward up; None: never."""
    on_unscored: OnUnscored = "none"
    """The policy where its user says nothing."""


class AdapterSettings(BaseModel):
    """Settings of an adapter.

    >>> AdapterSettings(url="http://127.0.0.1:8100", on_unscored="outcome").deadline_s
    300.0
    """

    # hide_input_in_errors: a refused value may be a key.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    url: str = DEFAULT_URL
    """Base URL of the reward server (SGPO_URL), without a path."""
    api_key: SecretStr | None = None
    """The server's key (SGPO_API_KEY)."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Longest time for one request (SGPO_TIMEOUT_S); at most `deadline_s` is waited."""
    deadline_s: float = Field(default=300.0, gt=0, le=86400)
    """Longest time for one call of the adapter with all its retries (SGPO_DEADLINE_S). It must be below the time after
    which the trainer itself gives up."""
    on_unscored: OnUnscored = "none"
    """What a response without a verdict gets (SGPO_ON_UNSCORED). ``none``: the reward None, for trainers that leave
    such a response out. ``raise``: the call fails. ``outcome``: its whole group gets 1 for right and 0 for wrong
    answers, and each reply of the group says ``sgpo_fallback`` = 1. For groups that the adapter sends whole: of single
    responses, which the server joins, its own ``[dialects.openrlhf] on_unscored`` says what they get instead."""
    group_size: int | None = Field(default=None, ge=1, le=4096)
    """Responses per problem (SGPO_GROUP_SIZE), for trainers that do not tell."""
    run: str = Field(default="", max_length=MAX_RUN_CHARS)
    """Name of the run (SGPO_RUN), the same in all of its processes. Group ids often count rows of the data set, so runs
    that share a server and a key need different names: the server would put responses of both into one group."""
    groups_per_request: int = Field(default=4, ge=1, le=256)
    """As in `ClientSettings`."""
    max_concurrency: int = Field(default=16, ge=1, le=1024)
    """As in `ClientSettings`, within one call of the adapter."""

    @classmethod
    def load(cls, trainer: Trainer, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """The settings: ``given`` where not None, else the environment, else ``trainer``'s and our defaults.

        Raises:
            ConfigError: when a value is wrong, the URL names a route, or the deadline is not below the trainer's own.
        """
        environ = os.environ if environ is None else environ
        read = {name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)}
        chosen = {name: value for name, value in given.items() if value is not None}
        values = read | chosen
        if trainer.on_unscored != "none":
            values.setdefault("on_unscored", trainer.on_unscored)
        if trainer.timeout_s is not None:
            values.setdefault("deadline_s", min(300.0, 0.8 * trainer.timeout_s))
        try:
            settings = cls.model_validate(values)
            settings.client()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            where = f"{name} (or {VARIABLES[name]})" if name in VARIABLES else name
            raise ConfigError(f"{trainer.name}: {where}: {first['msg']}; {trainer.settings_hint}") from None
        settings._check(trainer)
        return settings

    def client(self) -> ClientSettings:
        """The settings of the client underneath."""
        return ClientSettings(
            url=self.url,
            api_key=self.api_key,
            timeout_s=min(self.timeout_s, self.deadline_s),
            deadline_s=self.deadline_s,
            groups_per_request=self.groups_per_request,
            max_concurrency=self.max_concurrency,
        )

    def _check(self, trainer: Trainer) -> None:
        route = next((route for route in ROUTES if self.url.rstrip("/").endswith(route)), None)
        if route is not None:
            raise ConfigError(
                f"{trainer.name}: url (or {VARIABLES['url']}) ends in {route}: this adapter speaks the server's own "
                f"dialect and adds the path itself; give {DEFAULT_URL} or the like; {trainer.settings_hint}"
            )
        if trainer.timeout_s is not None and self.deadline_s >= trainer.timeout_s:
            raise ConfigError(
                f"{trainer.name}: deadline_s (or {VARIABLES['deadline_s']}) = {self.deadline_s:g}: must be below "
                f"{trainer.timeout_s:g} s, after which {trainer.name} itself gives up; {trainer.settings_hint}"
            )

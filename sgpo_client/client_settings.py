"""How the client reaches the reward server."""

from __future__ import annotations

import os
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from sgpo_client.errors import ConfigError

DEFAULT_URL: Final = "http://127.0.0.1:8100"


def base_url(url: str) -> str:
    """An http(s) URL of host, port and path only, without the slash at its end."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL ({error}); give it as {DEFAULT_URL}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"not an http:// or https:// URL with a host; give it as {DEFAULT_URL}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password; give the key as api_key_env instead")
    if parts.query or parts.fragment:
        raise ValueError(f"ends in a query or fragment; give the server's base URL, as {DEFAULT_URL}")
    return url.rstrip("/")


class ClientSettings(BaseModel):
    """Settings of `sgpo_client.reward_client`.

    >>> ClientSettings(url="http://127.0.0.1:8100/").url
    'http://127.0.0.1:8100'
    """

    # hide_input_in_errors: a refused URL or key may hold a password.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    url: Annotated[str, AfterValidator(base_url)] = DEFAULT_URL
    """Base URL of the reward server, http or https, without `/v1`."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the server's API key."""
    api_key: SecretStr | None = None
    """The key itself, for callers that hold it in memory; in files use `api_key_env`."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Longest time for one request, then it is sent again. The server itself gives up judging after 100 s."""
    deadline_s: float = Field(default=600.0, gt=0, le=86400)
    """Longest time for one call with all its requests and retries."""
    max_concurrency: int = Field(default=16, ge=1, le=1024)
    """Most requests under way at once."""
    groups_per_request: int = Field(default=4, ge=1, le=256)
    """Groups sent in one request. Fewer when the server answers that a request is too large."""

    @model_validator(mode="after")
    def _one_key(self) -> ClientSettings:
        if self.api_key is not None and self.api_key_env is not None:
            raise ValueError("api_key and api_key_env are both set; set one of them")
        return self


def read_api_key(settings: ClientSettings) -> str | None:
    """The API key that the settings name; None when they name none.

    Raises:
        ConfigError: when the environment variable is not set, or the key cannot stand in a header.
    """
    if settings.api_key is not None:
        where, key = "api_key", settings.api_key.get_secret_value()
    elif settings.api_key_env is not None:
        where = f"api_key_env = '{settings.api_key_env}'"
        if settings.api_key_env not in os.environ:
            raise ConfigError(f"{where}: this environment variable is not set; export it with the server's API key")
        key = os.environ[settings.api_key_env]
    else:
        return None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError(f"{where}: the key is empty or has characters that cannot stand in an HTTP header")
    return key

"""The client's settings: addresses, bounds and where the key comes from."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sgpo_client.client_settings import ClientSettings, read_api_key
from sgpo_client.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http://:80",
        "http://host:99999",
        "http://host:x",
        "http://host:0",
        "http://me:secret@host",
        "http://host/?token=1",
        "http://host#part",
    ],
)
def test_only_plain_http_urls(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ClientSettings(url=url)
    assert "secret" not in str(caught.value)


def test_base_url_may_have_a_path() -> None:
    assert ClientSettings(url="https://host/rewards/").url == "https://host/rewards"


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": 0},
        {"deadline_s": float("nan")},
        {"deadline_s": float("inf")},
        {"max_concurrency": 0},
        {"groups_per_request": 0},
        {"retries": 3},
        {"api_key": "a", "api_key_env": "B"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ClientSettings(url="http://127.0.0.1:1", **wrong)


def test_key_comes_from_value_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " from-env\n")
    assert read_api_key(ClientSettings()) is None
    assert read_api_key(ClientSettings(api_key="by-value")) == "by-value"
    assert read_api_key(ClientSettings(api_key_env="MY_KEY")) == "from-env"


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines", "schlüssel"])
def test_unusable_key_names_the_setting(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigError, match="api_key_env = 'MY_KEY'"):
        read_api_key(ClientSettings(api_key_env="MY_KEY"))


def test_key_is_in_no_text_of_the_settings() -> None:
    settings = ClientSettings(api_key="canary-key")
    assert all("canary-key" not in text for text in (repr(settings), str(settings), settings.model_dump_json()))

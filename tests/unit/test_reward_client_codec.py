"""The client's settings, request bytes, reply checks and retry rules, without a socket."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sgpo_client.client_settings import ClientSettings, read_api_key
from sgpo_client.codec import decode_reply, encode_request
from sgpo_client.errors import ConfigError, RewardError, RewardRejected
from sgpo_client.transport import Busy, Reply, backoff, error_body, require_ok, retry_after_s
from sgpo_client.wire import GroupScores, ItemError, ResponseScore, RewardGroup, RewardResponse, ShapingParams

GROUPS = [
    RewardGroup("q1", "1+1?", (RewardResponse("0", "It is 3."), RewardResponse("1", "", outcome=False)), "2", "1+1=2"),
    RewardGroup("q2", "2+2?", (RewardResponse("a", "It is 4.", outcome=True),)),
]
REPLY: dict[str, Any] = {
    "groups": [
        {
            "group_id": "q1",
            "all_negative": True,
            "responses": [
                {
                    "id": "0",
                    "reward": 0.31,
                    "acc": 0,
                    "rts": 0.6,
                    "first_error": 3,
                    "num_steps": 5,
                    "step_offsets": [[0, 4], [5, 8]],
                    "status": "judged",
                    "error": None,
                    "cached": True,
                },
                {
                    "id": "1",
                    "reward": None,
                    "acc": None,
                    "rts": None,
                    "first_error": None,
                    "num_steps": 0,
                    "step_offsets": None,
                    "status": "unscored",
                    "error": {"code": "no_steps", "message": "the response is empty"},
                    "cached": False,
                },
            ],
        },
        {
            "group_id": "q2",
            "all_negative": False,
            "responses": [{"id": "a", "reward": 1, "acc": 1, "status": "correct", "from_the_future": 1}],
        },
    ],
    "judge": {"id": "rules@1"},
    "timing_s": {"queue": 0.0, "judge": 0.1, "total": 0.2},
}


def changed(change: Callable[[Any], object]) -> bytes:
    reply = copy.deepcopy(REPLY)
    change(reply["groups"])
    return json.dumps(reply).encode()


def test_request_has_every_field() -> None:
    shaping = ShapingParams(beta=5.0, gamma=0.25, cap=0.75, length="tokens", apply_to="every_wrong")
    assert json.loads(encode_request(GROUPS, shaping, include_steps=True)) == {
        "groups": [
            {
                "group_id": "q1",
                "problem": "1+1?",
                "reference_answer": "2",
                "reference_solution": "1+1=2",
                "responses": [
                    {"id": "0", "text": "It is 3.", "outcome": None},
                    {"id": "1", "text": "", "outcome": False},
                ],
            },
            {
                "group_id": "q2",
                "problem": "2+2?",
                "reference_answer": None,
                "reference_solution": None,
                "responses": [{"id": "a", "text": "It is 4.", "outcome": True}],
            },
        ],
        "shaping": {"beta": 5.0, "gamma": 0.25, "cap": 0.75, "length": "tokens", "apply_to": "every_wrong"},
        "include_steps": True,
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_arrives_unchanged(text: str) -> None:
    group = RewardGroup("q", text, (RewardResponse("0", text),))
    sent = json.loads(encode_request([group], ShapingParams(), include_steps=False))["groups"][0]
    assert (sent["problem"], sent["responses"][0]["text"]) == (text, text)


def test_text_that_is_not_unicode_is_an_error() -> None:
    group = RewardGroup("q17", "?", (RewardResponse("0", "\ud800"),))
    with pytest.raises(RewardError, match=r"q17.*UTF-8"):
        encode_request([group], ShapingParams(), include_steps=False)


def test_reply_gives_every_field() -> None:
    assert decode_reply(json.dumps(REPLY).encode(), GROUPS) == [
        GroupScores(
            "q1",
            True,
            (
                ResponseScore(
                    id="0",
                    reward=0.31,
                    status="judged",
                    acc=0,
                    rts=0.6,
                    first_error=3,
                    num_steps=5,
                    step_offsets=((0, 4), (5, 8)),
                    cached=True,
                ),
                ResponseScore(
                    id="1",
                    reward=None,
                    status="unscored",
                    acc=None,
                    num_steps=0,
                    error=ItemError("no_steps", "the response is empty"),
                ),
            ),
        ),
        GroupScores("q2", False, (ResponseScore(id="a", reward=1.0, status="correct", acc=1),)),
    ]


def first(groups: Any) -> Any:
    return groups[0]["responses"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda groups: groups.pop(), "1 groups for the 2"),
        (lambda groups: groups.append(groups[0]), "3 groups for the 2"),
        (lambda groups: groups.reverse(), "groups.0: is about group 'q2'"),
        (lambda groups: groups[0]["responses"].pop(), "1 scores for the 2 responses of 'q1'"),
        (lambda groups: groups[0]["responses"].reverse(), "id '0'.*about '1'"),
        (lambda groups: first(groups).update(id="9"), "id '0'.*about '9'"),
        (lambda groups: first(groups).update(reward=float("nan")), "reward is nan"),
        (lambda groups: first(groups).update(reward=float("inf")), "reward is inf"),
        (lambda groups: first(groups).update(rts=float("nan")), "rts is nan"),
        (lambda groups: first(groups).update(reward=None), "status 'judged' with reward None"),
        (lambda groups: groups[0]["responses"][1].update(reward=0.0), "status 'unscored' with reward 0.0"),
        (lambda groups: groups[0]["responses"][1].update(error=None), "without an error"),
        (lambda groups: first(groups).update(error={"code": "a", "message": "b"}), "with an error"),
        (lambda groups: first(groups).pop("reward"), "groups.0.responses.0.reward: .*required"),
        (lambda groups: first(groups).update(reward="0.3"), "groups.0.responses.0.reward"),
        (lambda groups: first(groups).update(acc=True), "groups.0.responses.0.acc"),
        (lambda groups: first(groups).update(acc=2), "acc is 2"),
        (lambda groups: first(groups).update(status="fine"), "groups.0.responses.0.status"),
        (lambda groups: first(groups).update(step_offsets=[[0, 1, 2]]), "step_offsets"),
        (lambda groups: groups[0].pop("all_negative"), "groups.0.all_negative"),
    ],
)
def test_reply_that_does_not_fit_is_an_error(change: Callable[[Any], object], message: str) -> None:
    with pytest.raises(RewardError, match=message):
        decode_reply(changed(change), GROUPS)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"<html>", b'{"groups":', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "null", "list", "object", "html", "cut", "bytes", "deep"],
)
def test_garbage_is_an_error(body: bytes) -> None:
    with pytest.raises(RewardError, match="malformed reply"):
        decode_reply(body, GROUPS)


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


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("7", 7)])
def test_retry_after_in_seconds(header: str, seconds: float) -> None:
    assert retry_after_s(header) == seconds


@pytest.mark.parametrize(("ahead", "low", "high"), [(3600, 3500, 3601), (-60, 0, 0)])
def test_retry_after_as_a_date(ahead: float, low: float, high: float) -> None:
    wait = retry_after_s(in_seconds(ahead))
    assert wait is not None
    assert low <= wait <= high


@pytest.mark.parametrize("header", [None, "", "-1", "1.5", "soon", "nan"])
def test_unusable_retry_after_is_none(header: str | None) -> None:
    assert retry_after_s(header) is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Busy("full", None), True),
        (aiohttp.ServerDisconnectedError(), True),
        (aiohttp.ClientConnectionError(), True),
        (aiohttp.ClientPayloadError(), True),
        (TimeoutError(), True),
        (aiohttp.InvalidURL("x"), False),
        (RewardError("500"), False),
        (RewardRejected("no", status=422, code="x"), False),
        (ValueError(), False),
    ],
)
def test_what_is_sent_again(error: Exception, again: bool) -> None:
    assert backoff(error) is again


def test_retry_after_is_a_lower_bound_with_jitter() -> None:
    waits = {backoff(Busy("full", 3.0)) for _ in range(20)}
    assert len(waits) > 1
    assert all(3.0 <= wait <= 4.0 for wait in waits)


def error_reply(status: int) -> Reply:
    body = b'{"error":{"code":"bad_field","message":"groups[0].problem is empty","request_id":"r1"}}'
    return Reply(status, body, None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 422])
def test_4xx_is_rejected_with_the_servers_words(status: int) -> None:
    with pytest.raises(
        RewardRejected, match=r"http://u answered .* bad_field: groups\[0\]\.problem is empty"
    ) as caught:
        require_ok(error_reply(status), "http://u")
    assert (caught.value.status, caught.value.code) == (status, "bad_field")


@pytest.mark.parametrize("status", [201, 204, 301, 302, 500, 502, 504])
def test_other_statuses_are_errors(status: int) -> None:
    with pytest.raises(RewardError) as caught:
        require_ok(error_reply(status), "http://u")
    assert type(caught.value) is RewardError


@pytest.mark.parametrize("status", [429, 503])
def test_busy_statuses(status: int) -> None:
    with pytest.raises(Busy):
        require_ok(error_reply(status), "http://u")


@pytest.mark.parametrize("body", [b"", b"<html>\n nope</html>", b'{"error":1}', b"[1]", b"\xff", b"[" * 100_000])
def test_error_body_of_another_kind(body: bytes) -> None:
    code, message = error_body(body)
    assert code == "unknown"
    assert message
    assert len(message) <= 200

"""The page's routes over real sockets: its files, the activity, the recent groups, one pasted group."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from reward_server.config import AuthSettings
from reward_server.edge.auth import load_keys
from reward_server.web.assets import HEADERS, read_assets
from tests.integration.http_server import CANARY, OPEN, A, B, Server, is_error, request, running, wrong

KEYS = ["0123456789abcdef0123456789-first", "0123456789abcdef0123456789-second"]
FILES = [asset.path for asset in read_assets()]
RIGHT = {"id": "r", "text": "Line 0 is fine here.\nLine 1 is WRONG here.", "outcome": True}


@pytest.fixture
def server() -> Iterator[Server]:
    with running(OPEN) as server:
        yield server


def explain(server: Server, *responses: dict[str, Any], **changes: Any) -> Any:
    reply = server.post("/v1/explain", {"group": request(*responses)["groups"][0] | changes})
    assert reply.status == 200, reply.raw
    return reply.json


def recent(server: Server, **headers: str) -> list[Any]:
    groups: list[Any] = server.call("GET", "/v1/recent", headers=headers).json["groups"]
    return groups


def test_every_file_is_sent_with_its_type_and_the_policy(server: Server) -> None:
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "/": "text/html"}
    for asset in read_assets():
        reply = server.call("GET", asset.path)
        assert (reply.status, reply.raw) == (200, asset.body)
        assert reply.headers["content-type"].startswith(types[asset.path.rpartition(".")[2]])
        assert {name: reply.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("path", ["/v1/activity", "/v1/recent", "/v1/recent/none"])
def test_no_cache_keeps_what_the_server_did(server: Server, path: str) -> None:
    reply = server.call("GET", path)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/index.html",
        "/static/main.js/",
        "/static/main.js%00",
        "/static/main.js%00.css",
        "/static\\main.js",
        "/static/MAIN.JS",
        "/static/assets.py",
        "/index.html",
        "//static/main.js",
        "/v1/recent/../../static/main.js",
        "/v1/recent/..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_path_reaches_a_file(server: Server, path: str) -> None:
    assert server.call("GET", path).status == 404


def test_activity_counts_rewards_and_nothing_that_is_tried_out() -> None:
    with running(OPEN | {"judge": {"kind": "scripted", "delay_s": 0.05}}) as server:
        check_counts(server)


def check_counts(server: Server) -> None:
    server.post("/v1/rewards", request(wrong(A), wrong(B, "1")))
    server.post("/v1/rewards", request(wrong(A), RIGHT, {"id": "x", "text": A}))
    explain(server, wrong(A), wrong(B, "1"))
    activity = server.call("GET", "/v1/activity").json
    totals = {"groups": 2, "responses": 5, "all_negative": 1, "rescued": 1, "unscored": 1, "queue": 0}
    assert {name: value for name, value in activity["totals"].items() if name != "judge_s"} == totals
    assert {name: sum(values) for name, values in activity["series"].items() if name != "judge_s"} == totals
    assert activity["totals"]["judge_s"] > 0.02
    assert (activity["workers"], activity["requests_in_line"], activity["draining"]) == (1, 0, False)
    assert len(recent(server)) == 2
    assert "sgpo_groups_total 2.0" in server.call("GET", "/metrics").raw.decode()


def test_a_recent_group_has_its_texts_steps_and_verdicts(server: Server) -> None:
    text = "\U0001f600 Line 0 is fine here.\r\n\r\nLine 1 is WRONG here."
    server.post("/v1/rewards", request(wrong(text, "a"), wrong(B, "b")))
    [line] = recent(server)
    assert (line["group_id"], line["num_responses"], line["statuses"]) == ("g", 2, {"judged": 2})
    assert (line["all_negative"], line["rescued"], line["problem"]) == (True, True, "p")
    group = server.call("GET", f"/v1/recent/{line['id']}").json
    assert (group["id"], group["problem"], group["all_negative"], group["rescued"]) == (line["id"], "p", True, True)
    first, second = group["responses"]
    assert first["text"] == text
    assert [text[start:end] for start, end in first["steps"]] == [
        "\U0001f600 Line 0 is fine here.",
        "Line 1 is WRONG here.",
    ]
    assert (first["result"]["id"], first["result"]["first_error"], first["result"]["status"]) == ("a", 1, "judged")
    assert (first["verdict"]["first_error"], first["verdict"]["for_show"]) == (1, False)
    assert first["verdict"]["critique"] == "step 1 is wrong: scripted"
    assert second["verdict"]["first_error"] == 0


def test_explain_pays_as_rewards_does_and_judges_the_rest_for_show(server: Server) -> None:
    responses = [wrong(A, "a"), wrong(B, "b")]
    [paid] = server.post("/v1/rewards", request(*responses)).json["groups"]
    shown = explain(server, *responses)
    for one, other in zip(paid["responses"], shown["responses"], strict=True):
        assert {**other["result"], "step_offsets": None, "cached": False} == {**one, "cached": False}
        assert other["verdict"]["for_show"] is False
    mixed = explain(server, wrong(A, "a"), RIGHT, {"id": "open", "text": B}, wrong("", "empty"))
    assert [response["result"]["reward"] for response in mixed["responses"]] == [0.0, 1.0, None, 0.0]
    verdicts = [response["verdict"] for response in mixed["responses"]]
    assert [verdict and (verdict["first_error"], verdict["for_show"]) for verdict in verdicts] == [
        (1, True),
        (1, True),
        (0, True),
        None,
    ]


def test_explain_refuses_what_rewards_refuses(server: Server) -> None:
    assert is_error(server.post("/v1/explain", {"group": {}}), 422, "invalid_request")
    assert is_error(server.post("/v1/explain", b"{"), 422, "invalid_request")
    assert is_error(server.post("/v1/explain", b" " * 1_000_001), 413, "body_too_large")
    assert is_error(
        server.call("POST", "/v1/explain", b"{}", {"content-type": "text/plain"}), 415, "unsupported_media_type"
    )


def test_limits_wider_than_the_usual_ones_hold_here_too() -> None:
    config = {"judge": {"kind": "scripted"}, "limits": {"max_responses": 400}}
    with running(config) as server:
        group = explain(server, RIGHT, *(wrong(A, str(index)) for index in range(300)))
        assert len(group["responses"]) == 301
        assert all(response["verdict"]["for_show"] for response in group["responses"])


def test_a_judge_that_fails_leaves_the_steps_uncoloured() -> None:
    with running({"judge": {"kind": "scripted", "fail": "unscored"}}) as server:
        [response] = explain(server, wrong(A))["responses"]
        assert response["verdict"] is None
        assert response["result"]["error"]["code"] == "judge_unavailable"
        assert len(response["steps"]) == 2


def test_texts_are_not_kept_when_the_settings_say_so() -> None:
    with running(OPEN | {"page": {"keep_groups": 0}}) as server:
        server.post("/v1/rewards", request(wrong(CANARY)))
        reply = server.call("GET", "/v1/recent")
        assert reply.json == {"groups": [], "keep_groups": 0, "by_key": False}
        assert server.call("GET", "/v1/activity").json["totals"]["groups"] == 1


def test_a_switched_off_page_has_no_routes() -> None:
    with running(OPEN | {"page": {"enabled": False}}) as server:
        assert server.post("/v1/rewards", request(wrong(A))).status == 200
        for path in [*FILES, "/v1/activity", "/v1/recent", "/v1/explain"]:
            assert server.call("GET", path).status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_foreign_name_for_this_machine_gets_no_texts(server: Server, host: str) -> None:
    server.post("/v1/rewards", request(wrong(CANARY)))
    [line] = recent(server)
    for path in ("/v1/recent", f"/v1/recent/{line['id']}"):
        reply = server.call("GET", path, headers={"host": host})
        assert is_error(reply, 403, "foreign_host")
        assert CANARY.encode() not in reply.raw
        for own in ("localhost", "127.0.0.1:1", "[::1]:8100"):
            assert server.call("GET", path, headers={"host": own}).status == 200


def test_each_key_sees_its_own_groups() -> None:
    keys = load_keys(AuthSettings(), {"SGPO_API_KEYS": ",".join(KEYS)})
    first, second = ({"authorization": f"Bearer {key}"} for key in KEYS)
    with running(OPEN | {"auth": {"max_failures_per_minute": 0}}, keys) as server:
        server.post("/v1/rewards", request(wrong(CANARY)), **first)
        [line] = recent(server, **first)
        # With a key in hand, any name of the server is as good as another.
        assert recent(server, **first, host="rewards.example") == [line]
        assert recent(server, **second) == []
        assert server.call("GET", f"/v1/recent/{line['id']}", headers=first).status == 200
        assert is_error(server.call("GET", f"/v1/recent/{line['id']}", headers=second), 404, "not_kept")
        for path in [*FILES, "/v1/activity", "/v1/recent", f"/v1/recent/{line['id']}", "/v1/explain"]:
            reply = server.call("GET", path)
            assert reply.status == 401
            assert CANARY.encode() not in reply.raw


def test_a_list_holds_only_the_head_of_a_problem(server: Server) -> None:
    group = request(wrong(A))["groups"][0] | {"problem": "x" * 5000}
    server.post("/v1/rewards", {"groups": [group]})
    [line] = recent(server)
    assert line["problem"] == "x" * 160
    assert server.call("GET", f"/v1/recent/{line['id']}").json["problem"] == "x" * 5000


def test_activity_is_answered_in_numbers_only(server: Server) -> None:
    server.post("/v1/rewards", request(wrong(CANARY, CANARY)))
    assert CANARY not in json.dumps(server.call("GET", "/v1/activity").json)

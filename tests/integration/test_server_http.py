"""The server over real sockets: what a right request gets, readiness, information and metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from judge.errors import ConfigError
from tests.integration.http_server import CANARY, OPEN, A, B, Server, is_error, request, running, wrong


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(OPEN) as server:
        yield server


def test_a_group_is_rewarded_with_exactly_the_fields_of_the_contract(server: Server) -> None:
    reply = server.post("/v1/rewards", request(wrong(A), wrong(B, "1")))
    assert reply.status == 200
    assert set(reply.json) == {"groups", "judge", "timing_s"}
    assert set(reply.json["timing_s"]) == {"queue", "judge", "total"}
    [group] = reply.json["groups"]
    assert (group["group_id"], group["all_negative"]) == ("g", True)
    first, second = group["responses"]
    assert first == {
        "id": "0",
        "reward": pytest.approx(0.25),
        "acc": 0,
        "rts": 0.5,
        "rts_raw": 0.5,
        "first_error": 1,
        "num_steps": 2,
        "step_offsets": None,
        "flags": [],
        "status": "judged",
        "error": None,
        "cached": False,
    }
    assert second["first_error"] == 0
    assert 0 < second["reward"] < first["reward"]


def test_unscored_is_null_on_the_wire(server: Server) -> None:
    reply = server.post("/v1/rewards", request(wrong("Line 0 is fine here."), {"id": "1", "text": A}))
    group = reply.json["groups"][0]
    assert group["all_negative"] is False
    assert [(r["status"], r["reward"]) for r in group["responses"]] == [("wrong", 0.0), ("unscored", None)]
    assert b'"reward":null' in reply.raw


def test_verdicts(server: Server) -> None:
    items = [{"id": "x", "problem": "p", "text": A}, {"id": "y", "problem": "p", "steps": ["fine", "fine"]}]
    reply = server.post("/v1/judge", {"items": items})
    assert [(item["id"], item["status"], item["first_error"]) for item in reply.json["items"]] == [
        ("x", "judged", 1),
        ("y", "judged", None),
    ]


def test_order_and_length_are_kept(server: Server) -> None:
    groups = [
        {
            "group_id": f"g{g}",
            "problem": "p",
            "responses": [wrong(A if (g + r) % 2 else B, f"{g}-{r}") for r in range(1 + g % 5)],
        }
        for g in range(64)
    ]
    reply = server.post("/v1/rewards", {"groups": groups})
    assert [[r["id"] for r in out["responses"]] for out in reply.json["groups"]] == [
        [r["id"] for r in group["responses"]] for group in groups
    ]
    for g, out in enumerate(reply.json["groups"]):
        assert [r["first_error"] for r in out["responses"]] == [(g + r) % 2 for r in range(1 + g % 5)]


def test_tokens_are_counted_with_the_configured_tokenizer(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    config = {"judge": {"kind": "scripted"}, "server": {"tokenizer": path}, "shaping": {"length": "tokens"}}
    with running(config) as server:
        reply = server.post("/v1/rewards", request(wrong("one two three four five six.\nWRONG 3+4=19")))
        assert reply.json["groups"][0]["responses"][0]["rts"] == 6 / 8
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"\[server\] tokenizer = .* not a tokenizer.json"), running(config):
        pass


def test_request_ids_are_given_back_or_made(server: Server) -> None:
    assert (
        server.call("GET", "/livez", headers={"x-request-id": "step-17.rank_3"}).headers["x-request-id"]
        == "step-17.rank_3"
    )
    made = [
        server.call("GET", "/livez", headers={"x-request-id": bad}).headers["x-request-id"]
        for bad in ("", "a b", "x" * 65)
    ]
    assert len(set(made)) == 3
    assert all(len(name) == 32 for name in made)


def test_a_long_response_is_judged() -> None:
    with running({"judge": {"kind": "rules"}}) as server:
        text = "\n".join(f"Then {n} + 1 = {n + 1} apples are there." for n in range(3000))[:100_000] + "\nSo 2 + 2 = 5."
        reply = server.post("/v1/rewards", request(wrong(text), wrong("First 2 + 2 = 4 apples.\nThen 4 + 4 = 9.", "1")))
        long, short = reply.json["groups"][0]["responses"]
        assert (long["status"], long["error"]["code"]) == ("unscored", "too_long")
        assert (short["status"], short["first_error"]) == ("judged", 1)
        one_line = "x" * 100_000
        assert server.post("/v1/rewards", request(wrong(one_line))).status == 200
        assert server.call("GET", "/readyz").json["status"] == "ready"


@pytest.mark.parametrize(
    ("judge", "status"),
    [
        ({"kind": "rules"}, 200),
        ({"kind": "scripted"}, 200),
        ({"kind": "scripted", "fail": "raise"}, 503),
        ({"kind": "scripted", "delay_s": 30}, 503),
    ],
)
def test_ready_means_that_the_judge_judges(judge: dict[str, Any], status: int) -> None:
    with running({"judge": judge, "server": {"ready_timeout_s": 0.5}}) as server:
        reply = server.call("GET", "/readyz")
        assert reply.status == status
        if status == 503:
            assert is_error(reply, 503, "not_ready")
            assert reply.headers["retry-after"]
        assert server.call("GET", "/livez").status == 200


def test_the_finding_of_readyz_is_kept_for_a_while() -> None:
    with running({"judge": {"kind": "scripted", "delay_s": 2}}) as server:
        server.call("GET", "/readyz")
        started = time.perf_counter()
        assert server.call("GET", "/readyz").status == 200
        assert time.perf_counter() - started < 1.9


def test_a_judge_that_fails_is_no_failure_of_the_request() -> None:
    with running({"judge": {"kind": "scripted", "fail": "raise"}}) as server:
        reply = server.post("/v1/rewards", request(wrong(A)))
        assert reply.status == 200
        [out] = reply.json["groups"][0]["responses"]
        assert (out["reward"], out["status"], out["error"]["code"]) == (None, "unscored", "judge_unavailable")


def test_info_and_metrics(server: Server) -> None:
    info = server.call("GET", "/v1/info").json
    assert info["limits"]["max_body_bytes"] == 1_000_000
    assert info["shaping"] == {"beta": 10.0, "gamma": 0.5, "cap": 0.5, "length": "steps", "apply_to": "all_negative"}
    assert info["judge"]["id"]
    assert info["version"]
    assert info["segmenter"]
    server.call("GET", f"/{CANARY}")
    metrics = server.call("GET", "/metrics").raw.decode()
    assert 'sgpo_requests_total{route="/v1/info",status="200"}' in metrics
    assert 'sgpo_requests_total{route="other",status="404"}' in metrics
    assert CANARY not in metrics

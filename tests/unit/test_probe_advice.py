"""What the probe says about things that are hard to bring about with a real server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reward_server.probe.advice import advise
from reward_server.probe.asking import Seen, target_of
from reward_server.probe.command import without_key
from reward_server.probe.trainers import TRAINERS
from reward_server.probe.wires import Told, nemo_gym_told, slime_told

OPENRLHF = TRAINERS["openrlhf"]
TARGET = target_of("http://host:1", OPENRLHF, None)
READY = (200, "ready, its judge is x@1")
WELL = [Seen("answered", 0.1, Told(reward, 0, 1, 3, "joined"), 200) for reward in (0.1, 0.2, 0.1, 0.3)]


def said(*rows: Seen, ready: tuple[int, str] = READY) -> str:
    return " ".join(advise(OPENRLHF, TARGET, [list(rows)], ready))


def test_nothing_is_said_when_nothing_is_wrong() -> None:
    assert said(*WELL) == ""


def test_replies_that_use_up_the_clients_patience() -> None:
    assert said(*WELL[:3], replace(WELL[3], seconds=89)) == ""
    assert "took 91 s, and OpenRLHF waits 180 s" in said(*WELL[:3], replace(WELL[3], seconds=91))


def test_an_all_negative_group_without_differences() -> None:
    assert "it would teach nothing" in said(*[replace(WELL[0])] * 4)


def test_an_incomplete_group() -> None:
    told = Told(0.0, 0, group="incomplete")
    assert "group_size right" in said(*[Seen("answered", 0.1, told, 200)] * 3, WELL[1])


def test_a_reward_missing_without_a_reason() -> None:
    assert "no reason given" in said(*WELL[:3], Seen("answered", 0.1, Told(None), 200))


def test_a_server_that_is_not_ready_is_said_to_be_so() -> None:
    down = Seen("refused", 0.1, status=503, said="judge_failed: not scored")
    text = said(*WELL[:3], down, ready=(503, "not_ready: breaker open"))
    assert "not ready (not_ready: breaker open)" in text
    assert OPENRLHF.on_failure in text


def test_other_refusals_are_repeated() -> None:
    assert "refused with 413: body_too_large" in said(Seen("refused", 0.1, status=413, said="body_too_large: 1 MB"))


@pytest.mark.parametrize(
    ("given", "posted", "base"),
    [
        ("http://h:1", "http://h:1/v1/openrlhf", "http://h:1"),
        ("http://h:1/", "http://h:1/v1/openrlhf", "http://h:1"),
        ("https://h/proxy", "https://h/proxy/v1/openrlhf", "https://h/proxy"),
        ("http://h:1/proxy/v1/openrlhf?group_size=8", "http://h:1/proxy/v1/openrlhf?group_size=4", "http://h:1/proxy"),
        ("http://h:1/v1/slime", "http://h:1/v1/slime", "http://h:1"),
    ],
)
def test_where_a_url_leads(given: str, posted: str, base: str) -> None:
    target = target_of(given, OPENRLHF, None)
    assert (target.url, target.base) == (posted, base)


@pytest.mark.parametrize("url", ["host:1", "ftp://host", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        target_of(url, OPENRLHF, None)


def test_a_key_is_not_printed_in_any_form() -> None:
    key = "a+b/" + "c" * 30
    assert without_key(f"{key} a%2Bb%2F{'c' * 30}", key) == "[key] [key]"


def test_replies_that_a_trainer_cannot_read() -> None:
    with pytest.raises(TypeError):
        slime_told(True)
    with pytest.raises(KeyError):
        slime_told({"reward": 1.0})
    assert nemo_gym_told({"reward": 0.0, "_ng_failure_class": "judge_failed"})[0].reward is None

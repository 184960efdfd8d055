"""Drift alarms: replays of runs that were hacked raise them, an honest run raises none."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from reward_server.schemas import ErrorOut, GroupIn, GroupOut, ResponseIn, ResponseOut
from reward_server.watch.drift import MONITORS, Drift, correlation, values
from reward_server.watch.settings import DriftSettings
from reward_server.web.recent import ScoredGroup

WINDOW = 200
Make = Callable[[random.Random], tuple[int, ResponseOut]]


def honest(rng: random.Random) -> tuple[int, ResponseOut]:
    """Characters and score of a wrong response as they usually are."""
    steps = rng.randint(3, 8)
    chars = sum(rng.randint(40, 120) for _ in range(steps))
    if rng.random() < 0.02:
        return chars, failed("no_error_found", steps)
    share = rng.betavariate(2, 4)
    flags = ["repeated_steps"] if rng.random() < 0.3 else []
    out = ResponseOut(id="0", reward=share / 2, acc=0, rts=share, rts_raw=share, num_steps=steps, status="judged")
    return chars, out.model_copy(update={"flags": flags, "first_error": 0})


def failed(code: str, steps: int) -> ResponseOut:
    return ResponseOut(
        id="0", reward=None, acc=0, num_steps=steps, status="unscored", error=ErrorOut(code=code, message="m")
    )


def changed(**update: object) -> Make:
    def make(rng: random.Random) -> tuple[int, ResponseOut]:
        chars, out = honest(rng)
        return chars, out.model_copy(update=update)

    return make


def sometimes(share: float, other: Make) -> Make:
    return lambda rng: other(rng) if rng.random() < share else honest(rng)


def long(rng: random.Random) -> tuple[int, ResponseOut]:
    """Paid by the character."""
    chars = rng.randint(200, 700)
    return chars, honest(rng)[1].model_copy(update={"reward": chars / 1500, "error": None, "status": "judged"})


HACKED: dict[str, Make] = {
    "steps_per_response": changed(num_steps=40),
    "chars_per_step": lambda rng: (5000, honest(rng)[1]),
    "repeating_share": changed(flags=["repeated_steps"]),
    "prefix_ratio": changed(rts_raw=0.9),
    "no_error_found_share": sometimes(0.3, lambda _: (400, failed("no_error_found", 5))),
    "injection_share": sometimes(0.2, changed(flags=["injection"])),
    "parse_error_share": sometimes(0.3, lambda _: (400, failed("parse_error", 5))),
    "text_after_answer_share": changed(flags=["text_after_answer"]),
    "floor_share": sometimes(0.3, changed(status="wrong", rts_raw=None, rts=0.0, error=None)),
    "reward_length_correlation": long,
}


class Replay:
    """Responses through a server's monitors, one group each."""

    def __init__(self, **settings: float) -> None:
        self.registry = CollectorRegistry()
        self.drift = Drift(DriftSettings.model_validate({"window": WINDOW, **settings}), self.registry)
        self.rng = random.Random(0)

    def play(self, make: Make, num: int) -> None:
        for _ in range(num):
            chars, out = make(self.rng)
            asked = GroupIn(group_id="g", problem="p", responses=[ResponseIn(id="0", text="x" * chars)])
            self.drift.saw([ScoredGroup(asked, GroupOut(group_id="g", all_negative=True, responses=[out]), {}, False)])

    def alarms(self) -> set[str]:
        names = [monitor.name for monitor in MONITORS]
        return {name for name in names if self.registry.get_sample_value("sgpo_drift_alarm", {"monitor": name})}


def test_an_honest_run_raises_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    replay = Replay()
    replay.play(honest, 30 * WINDOW)
    assert replay.alarms() == set()
    assert not caplog.records
    assert replay.registry.get_sample_value("sgpo_drift", {"monitor": "prefix_ratio"}) == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("name", [monitor.name for monitor in MONITORS])
def test_a_hacked_run_raises_its_alarm_and_it_ends_with_the_hack(name: str, caplog: pytest.LogCaptureFixture) -> None:
    replay = Replay()
    replay.play(honest, 2 * WINDOW)
    assert replay.alarms() == set()
    with caplog.at_level(logging.WARNING):
        replay.play(HACKED[name], 3 * WINDOW)
    assert name in replay.alarms()
    told = [record for record in caplog.records if record.getMessage().startswith(f"drift: {name} is")]
    assert 1 <= len(told) <= 4, "once a window"
    replay.play(honest, 3 * WINDOW)
    assert replay.alarms() == set()


def test_small_windows_are_noisy_and_raise_no_alarm() -> None:
    replay = Replay(window=16)
    for _ in range(100):
        replay.play(honest, 16)
        assert replay.alarms() == set()


def test_nothing_is_watched_when_it_is_off() -> None:
    replay = Replay(enabled=False)
    replay.play(honest, 2 * WINDOW)
    assert replay.registry.get_sample_value("sgpo_drift", {"monitor": "prefix_ratio"}) is None


def test_flags_are_counted_by_name() -> None:
    replay = Replay()
    replay.play(changed(flags=["injection", "talk"]), 3)
    assert replay.registry.get_sample_value("sgpo_flags_total", {"flag": "injection"}) == 3
    assert replay.registry.get_sample_value("sgpo_flags_total", {"flag": "no_answer"}) == 0


def test_right_responses_count_for_the_correlation_only() -> None:
    right = ResponseOut(id="0", reward=1.0, acc=1, status="correct")
    assert values(50, right) == {"reward_length_correlation": (50.0, 1.0)}
    assert values(50, ResponseOut(id="0", reward=None, acc=None, status="unscored")) == {}


def test_correlation_by_hand() -> None:
    assert correlation([(1, 2), (2, 4), (3, 6)]) == pytest.approx(1)
    assert correlation([(1, 3), (2, 1), (3, 2)]) == pytest.approx(-0.5)
    assert correlation([(1, 3), (2, 3)]) == 0

"""What the wrong responses look like over time, and an alarm when that changes.

A policy that has learnt to please its judge writes other responses than before: longer ones, repetitive ones, ones that
speak to the grader, ones in which the judge finds nothing wrong. Each monitor fills windows of values; the first window
is the baseline. A later one raises the alarm when its mean is off by more than its *least change* and by more than
``[drift] sigmas`` standard errors. The alarm is a gauge and one warning in the log for each window it lasts; rewards
are not touched. The baseline ends with the process, so a policy that was hacked before the start is not noticed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from judge.defences import Flag
from judge.types import UnscoredReason
from reward_server.schemas import ResponseOut
from reward_server.watch.settings import DriftSettings
from reward_server.web.recent import ScoredGroup

logger = logging.getLogger(__name__)

Kind = Literal["size", "share", "correlation"]
YARD_STICK: Final = 0.34
"""Mean share of right steps before the first error of a wrong rollout, as published (arXiv 2601.18984)."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """One thing that is watched."""

    name: str
    kind: Kind
    least: float
    """Least change: of the baseline's mean for sizes, in all for shares and correlations."""


MONITORS: Final = (
    Monitor("steps_per_response", "size", 0.5),
    Monitor("chars_per_step", "size", 0.5),
    Monitor("repeating_share", "share", 0.25),
    Monitor("prefix_ratio", "share", 0.15),
    Monitor("no_error_found_share", "share", 0.1),
    Monitor("injection_share", "share", 0.02),
    Monitor("parse_error_share", "share", 0.05),
    Monitor("text_after_answer_share", "share", 0.1),
    Monitor("floor_share", "share", 0.1),
    Monitor("reward_length_correlation", "correlation", 0.3),
)
_VERDICTS: Final = frozenset({UnscoredReason.NO_ERROR_FOUND.value, UnscoredReason.PARSE_ERROR.value})
_ATTACKS: Final = frozenset({Flag.INJECTION.value, Flag.FORGED_VERDICT.value})


class Drift:
    """All monitors of one server. Values come from `saw`, one finished request at a time.

    Args:
        settings: table ``[drift]``.
        registry: where the gauges go; the only labels are the monitors' and flags' names.
    """

    def __init__(self, settings: DriftSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._recent = Gauge("sgpo_drift", "Mean of the last full window.", ("monitor",), registry=registry)
        self._baseline = Gauge("sgpo_drift_baseline", "Mean of the first window.", ("monitor",), registry=registry)
        self._alarm = Gauge("sgpo_drift_alarm", "1 while the last window is off.", ("monitor",), registry=registry)
        self._flags = Counter("sgpo_flags", "Responses by what was noted.", ("flag",), registry=registry)
        for flag in Flag:
            self._flags.labels(flag=flag.value)
        self._series = {monitor.name: Series(monitor, settings) for monitor in MONITORS}
        for name in self._series:
            self._alarm.labels(monitor=name).set(0)

    def saw(self, groups: Sequence[ScoredGroup]) -> None:
        """Take in the groups of one request."""
        if not self._settings.enabled:
            return
        for group in groups:
            for asked, out in zip(group.asked.responses, group.out.responses, strict=True):
                for name, value in values(len(asked.text), out).items():
                    self._add(name, value)
                for flag in out.flags:
                    self._flags.labels(flag=flag).inc()

    def _add(self, name: str, value: tuple[float, ...]) -> None:
        series = self._series[name]
        window = series.add(value)
        if window is None:
            return
        assert series.baseline is not None
        self._baseline.labels(monitor=name).set(series.baseline.mean)
        self._recent.labels(monitor=name).set(window.mean)
        off = series.is_off(window)
        self._alarm.labels(monitor=name).set(off)
        if off:
            message = (
                "drift: %s is %.3g over the last %d responses, %.3g over the first; look at what the policy writes"
            )
            logger.warning(message, name, window.mean, window.num, series.baseline.mean)


def values(num_chars: int, out: ResponseOut) -> dict[str, tuple[float, ...]]:
    """What one response adds to which monitors; right responses and those outside the prefix rule only to one."""
    found: dict[str, tuple[float, ...]] = {}
    if out.reward is not None:
        found["reward_length_correlation"] = (float(num_chars), out.reward)
    code = None if out.error is None else out.error.code
    is_judged = out.status == "judged" or code in _VERDICTS
    is_floored = out.status == "wrong" and out.rts is not None
    if is_judged or is_floored:
        flags = set(out.flags)
        found["repeating_share"] = (float(Flag.REPEATED_STEPS.value in flags),)
        found["injection_share"] = (float(not flags.isdisjoint(_ATTACKS)),)
        found["text_after_answer_share"] = (float(Flag.TEXT_AFTER_ANSWER.value in flags),)
        found["floor_share"] = (float(is_floored),)
        if out.num_steps:
            found["steps_per_response"] = (float(out.num_steps),)
            found["chars_per_step"] = (num_chars / out.num_steps,)
    if is_judged:
        found["no_error_found_share"] = (float(code == UnscoredReason.NO_ERROR_FOUND.value),)
        found["parse_error_share"] = (float(code == UnscoredReason.PARSE_ERROR.value),)
    if out.rts_raw is not None:
        found["prefix_ratio"] = (out.rts_raw,)
    return found


@dataclass(frozen=True, slots=True)
class Window:
    """A full window, summed up."""

    num: int
    mean: float
    error: float
    """Standard error of the mean."""


class Series:
    """The windows of one monitor."""

    def __init__(self, monitor: Monitor, settings: DriftSettings) -> None:
        self._monitor = monitor
        self._settings = settings
        self._open: list[tuple[float, ...]] = []
        self.baseline: Window | None = None

    def add(self, value: tuple[float, ...]) -> Window | None:
        """Take in a value; the window that it fills, or None."""
        self._open.append(value)
        if len(self._open) < self._settings.window:
            return None
        window = summed_up(self._open, self._monitor.kind)
        self._open = []
        if self.baseline is None:
            self.baseline = window
        return window

    def is_off(self, window: Window) -> bool:
        """True when a window is not like the baseline."""
        baseline = self.baseline
        assert baseline is not None
        change = abs(window.mean - baseline.mean)
        least = self._monitor.least * (abs(baseline.mean) if self._monitor.kind == "size" else 1.0)
        return change > least and change > self._settings.sigmas * math.hypot(baseline.error, window.error)


def summed_up(values: Sequence[tuple[float, ...]], kind: Kind) -> Window:
    """Mean and standard error; for pairs their correlation, 0 where one side does not vary."""
    num = len(values)
    if kind == "correlation":
        return Window(num, correlation(values), 1 / math.sqrt(num - 3))
    column = list(chain.from_iterable(values))
    return Window(num, fmean(column), spread_of(column) / math.sqrt(num))


def correlation(pairs: Sequence[tuple[float, ...]]) -> float:
    """Pearson's correlation of two columns, in [-1, 1]."""
    left, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    spread = spread_of(left) * spread_of(right)
    if spread == 0:
        return 0.0
    mean_left, mean_right = fmean(left), fmean(right)
    return fmean((a - mean_left) * (b - mean_right) for a, b in zip(left, right, strict=True)) / spread


def spread_of(values: Sequence[float]) -> float:
    """Standard deviation of all of them; `statistics.pstdev` is exact to the last bit and fifty times slower."""
    mean = fmean(values)
    return math.sqrt(fmean((value - mean) ** 2 for value in values))

"""Trackers: asked for by name, missing with a clear error, and never worth a run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sgpo_client.errors import ConfigError
from sgpo_client.log.trackers import SafeTracker, check_tracker, open_tracker
from sgpo_client.settings.log import LogTable

STEP = {"step": 3, "loss": 0.5, "kl": None, "num_groups": 4, "rts_histogram": [1, 2]}


class Notebook:
    """Stands for trackio and W&B: writes down what it is called with, and fails when told to."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[tuple[str, Any]] = []
        self.fails = fails

    def note(self, name: str, value: Any) -> None:
        self.calls.append((name, value))
        if name == self.fails:
            raise ConnectionError("no network")

    def init(self, **settings: Any) -> Notebook:
        self.note("init", settings)
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.note("log", (values, step))

    def finish(self) -> None:
        self.note("finish", None)


def installed(monkeypatch: pytest.MonkeyPatch, name: str, fails: str = "") -> Notebook:
    notebook = Notebook(fails)
    module = ModuleType(name)
    vars(module).update(init=notebook.init, finish=notebook.finish)
    monkeypatch.setitem(sys.modules, name, module)
    return notebook


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_numbers_go_to_the_tracker(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notebook = installed(monkeypatch, name)
    tracker = open_tracker(LogTable(tracker=name, project="p"), tmp_path, {"algo": {"name": "sgpo"}}, start_step=0)
    assert tracker is not None
    tracker.log(STEP)
    tracker.log({"step": 3, "accuracy": 0.25}, prefix="eval_")
    tracker.close()
    tracker.close()
    (_, settings), *logged, end = notebook.calls
    assert (settings["project"], settings["name"], settings["resume"]) == ("p", tmp_path.name, "never")
    assert settings["config"] == {"algo": {"name": "sgpo"}}
    assert logged == [("log", ({"loss": 0.5, "num_groups": 4.0}, 3)), ("log", ({"eval_accuracy": 0.25}, 3))]
    assert end == ("finish", None)


def test_a_resumed_run_goes_on_in_its_wandb_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notebook = installed(monkeypatch, "wandb")
    for start_step in (0, 4, 0):
        open_tracker(LogTable(tracker="wandb"), tmp_path, {}, start_step)
    first, resumed, anew = (settings for _, settings in notebook.calls)
    assert (first["resume"], resumed["resume"]) == ("never", "allow")
    assert first["id"] == resumed["id"] != anew["id"]


@pytest.mark.parametrize("fails", ["init", "log", "finish"])
def test_a_failing_tracker_is_switched_off_with_one_warning(
    fails: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = installed(monkeypatch, "wandb", fails)
    tracker = open_tracker(LogTable(tracker="wandb"), tmp_path, {}, start_step=0)
    assert tracker is not None
    tracker.log(STEP)
    tracker.log(STEP)
    tracker.close()
    assert [name for name, _ in notebook.calls].count(fails) == 1
    [message] = caplog.messages
    assert "log.tracker = 'wandb' fails: ConnectionError: no network; the run goes on without it" in message


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb"])
def test_a_missing_package_is_an_error_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"log.tracker = '{name}' .*pip install {name}"):
        check_tracker(LogTable(tracker=name))


def test_no_tracker_is_no_import(tmp_path: Path) -> None:
    check_tracker(LogTable())
    assert open_tracker(LogTable(), tmp_path, {}, 0) is None


def test_tensorboard_for_real(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start_step, steps in ((0, (1, 2, 3)), (2, (3, 4))):  # killed after 3, resumed after 2
        tracker = open_tracker(LogTable(tracker="tensorboard"), tmp_path, {}, start_step)
        assert isinstance(tracker, SafeTracker)
        for step in steps:
            tracker.log({"step": step, "loss": step + start_step / 10})
        tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [(event.step, round(event.value, 3)) for event in events.Scalars("loss")]
    assert found == [(1, 1.0), (2, 2.0), (3, 3.2), (4, 4.2)]

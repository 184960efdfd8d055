"""A run's numbers in TensorBoard, trackio or W&B as well, by ``[log] tracker``.

The packages are imported when one is asked for. A tracker that fails later is switched off with a warning: it is never
worth a run.
"""

from __future__ import annotations

import importlib
import logging
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from sgpo_client.errors import ConfigError
from sgpo_client.log.metrics import StepMetrics
from sgpo_client.settings.log import LogTable

logger = logging.getLogger(__name__)

PACKAGES: Final = {"tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb"}


class Tracker(Protocol):
    """Takes numbers."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """The values of a finished step."""

    def close(self) -> None:
        """Everything is on its way."""


class SafeTracker:
    """Passes numbers on to a tracker until it fails for the first time.

    Args:
        name: of the tracker, for the warning.
        make: makes it, which may fail as well.
    """

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        self._name = name
        self._tracker: Tracker | None = None
        self._safely(lambda: self._begin(make))

    def log(self, metrics: StepMetrics, prefix: str = "") -> None:
        """Log what is a number in a row that has a ``step``."""
        tracker = self._tracker
        if tracker is not None:
            values = {
                prefix + key: float(value)
                for key, value in metrics.items()
                if key != "step" and isinstance(value, int | float)
            }
            self._safely(lambda: tracker.log(values, int(str(metrics["step"]))))

    def close(self) -> None:
        """End the tracker's run. Safe to call twice."""
        if self._tracker is not None:
            self._safely(self._tracker.close)
            self._tracker = None

    def _begin(self, make: Callable[[], Tracker]) -> None:
        self._tracker = make()

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # the edge to packages that talk to files and networks of their own
            self._tracker = None
            logger.warning("%s fails: %s: %s; the run goes on without it", self._name, type(error).__name__, error)


class _TensorBoard:
    def __init__(self, folder: Path, start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # purge_step: what a killed run wrote after its last checkpoint is not shown beside the repeat.
        self._writer = SummaryWriter(folder / "tensorboard", purge_step=start_step + 1)

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Hosted:
    """trackio, and W&B, whose calls it shares."""

    def __init__(self, module: Any, run: Any) -> None:
        self._module = module
        self._run = run

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._module.finish()


def check_tracker(settings: LogTable) -> None:
    """See that the tracker's package is there, before anything is loaded.

    Raises:
        ConfigError: with the command that installs it.
    """
    if settings.tracker:
        _module(settings.tracker)


def open_tracker(settings: LogTable, folder: Path, config: Mapping[str, Any], start_step: int) -> SafeTracker | None:
    """The configured tracker; None when there is none.

    Args:
        settings: ``[log]``.
        folder: of the run, whose name the tracker's run gets.
        config: the run's settings, shown beside the numbers.
        start_step: finished steps; a resumed run goes on in the tracker's run of before.
    """
    if not settings.tracker:
        return None
    name = settings.tracker

    def make() -> Tracker:
        if name == "tensorboard":
            return _TensorBoard(folder, start_step)
        module = _module(name)
        key = {"id": _run_id(folder, start_step)} if name == "wandb" else {}
        resume = "allow" if start_step else "never"
        run = module.init(
            project=settings.project, name=folder.resolve().name, config=dict(config), resume=resume, **key
        )
        return _Hosted(module, run)

    return SafeTracker(f"log.tracker = '{name}'", make)


def _run_id(folder: Path, start_step: int) -> str:
    """The id of the run of before in W&B; a new one for a new run, also in a folder of the same name."""
    path = folder / "wandb-id"
    if not start_step or not path.is_file():
        path.write_text(uuid.uuid4().hex)
    return path.read_text()


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"log.tracker = '{name}' needs the package {PACKAGES[name]} ({error}): pip install {PACKAGES[name]}, "
            "or leave log.tracker out: metrics.jsonl and report.html are always written"
        ) from None

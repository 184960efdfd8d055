"""Everything that a run writes down while it runs, in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from sgpo_client.config import TrainConfig
from sgpo_client.errors import RunFolderError
from sgpo_client.log.metrics import MetricsWriter, StepDisplay, StepMetrics, read_json_lines
from sgpo_client.log.samples import append_rows, drop_rows_after, group_rows, sample_rows
from sgpo_client.log.trackers import open_tracker
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import World, all_gather_objects, broadcast_object
from sgpo_client.types import ScoredGroup

logger = logging.getLogger(__name__)

ROW_FILES: Final = ("samples.jsonl", "eval.jsonl", "rollouts.jsonl")
"""Files of rows with a ``step``, beside metrics.jsonl."""


class RunLog:
    """metrics.jsonl, eval.jsonl, samples.jsonl, rollouts.jsonl, the tracker and the lines that people watch.

    Rank 0 writes; the methods are called on every rank. No step stands in a file twice: what an interrupted run has
    written beyond ``start_step`` goes when the log is opened. Where the disk takes no more, opening raises as writing.

    Args:
        config: the run's.
        folder: the run's, which exists.
        world: this process among all.
        start_step: finished steps.
    """

    def __init__(self, config: TrainConfig, folder: Path, world: World, start_step: int) -> None:
        self._config = config
        self._folder = folder
        self._world = world
        self._start_step = start_step
        self._stack = ExitStack()

    def __enter__(self) -> RunLog:
        self._on_main(self._open_files)
        if self._world.is_main:
            self._display = StepDisplay(self._config.run.steps, initial_step=self._start_step)
            settings = self._config.model_dump(mode="json")
            self._tracker = open_tracker(self._config.log, self._folder, settings, self._start_step)
            for part in (self._display, self._tracker):
                if part is not None:
                    self._stack.callback(part.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write_step(
        self, metrics: StepMetrics, groups: Sequence[ScoredGroup], advantages: Sequence[Sequence[float]]
    ) -> None:
        """Write down a finished step.

        Args:
            metrics: of all ranks.
            groups: of this rank, with those that others were sampled for at the end.
            advantages: [groups][G]

        Raises:
            RunFolderError: on all ranks, where the disk takes no more.
        """
        step, run = int(str(metrics["step"])), self._config.run
        if run.save_rollouts:
            scored = zip(groups, advantages, strict=True)
            own = [row for group, values in scored for row in group_rows(step, group, values)]
            rows = list(chain.from_iterable(all_gather_objects(own)))
            self._on_main(lambda: append_rows(self._folder / "rollouts.jsonl", rows))

        def write() -> None:
            append_rows(self._folder / "samples.jsonl", sample_rows(step, groups, advantages, run.samples_per_step))
            self._writer.write(metrics)

        self._on_main(write)
        if self._world.is_main:
            self._display.show(metrics)
            if self._tracker is not None:
                self._tracker.log(metrics)

    def write_evaluation(self, row: dict[str, Any]) -> None:
        """Write down an evaluation (`sgpo_client.evaluate.eval_row`)."""
        self._on_main(lambda: append_rows(self._folder / "eval.jsonl", [row]))
        if self._world.is_main:
            logger.info(
                "step %d: %d of %d held-out answers right", row["step"], row["num_correct"], row["num_problems"]
            )
            if self._tracker is not None:
                self._tracker.log(row, prefix="eval_")

    def is_evaluated(self, step: int) -> bool:
        """Whether the interrupted run has done this step's evaluation: it is neither repeated nor left out."""
        rows = read_json_lines(self._folder / "eval.jsonl") if self._world.is_main else []
        return broadcast_object(any(row.get("step") == step for _, row in rows))

    def _open_files(self) -> None:
        for name in ROW_FILES:
            drop_rows_after(self._folder / name, self._start_step)
        self._writer = MetricsWriter(self._folder / "metrics.jsonl", resume_step=self._start_step)

    def _on_main(self, write: Callable[[], None]) -> None:
        """Write on rank 0; where that fails all ranks raise."""

        def guarded() -> None:
            try:
                if self._world.is_main:
                    write()
            except OSError as error:
                raise RunFolderError(
                    f"{self._folder} cannot be written ({error.strerror}); when there is room again, "
                    "go on from the newest checkpoint with --set run.resume=true"
                ) from error

        together(guarded)

"""Ask a judge about a batch, so that one solution that breaks it does not take the others along."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from judge.errors import ConfigError, ModelError
from judge.judges.base import Judge
from judge.types import Solution, Unscored, UnscoredReason, Verdict

logger = logging.getLogger(__name__)


async def ask(judge: Judge, solutions: Sequence[Solution]) -> list[Verdict | Unscored]:
    """The judge's answers. Where a batch fails, each solution is asked about alone, and fails alone.

    Raises:
        ConfigError: nothing can be judged, the user has to change something; ModelError likewise.
    """
    try:
        results = await judge.judge(solutions) if solutions else []
        if len(results) != len(solutions):
            raise RuntimeError(f"{len(results)} results for a batch of {len(solutions)}")
    except (ConfigError, ModelError):
        raise
    except Exception as error:  # the edge to a judge of any make
        if len(solutions) > 1:
            return [(await ask(judge, [solution]))[0] for solution in solutions]
        message = f"{type(error).__name__}: {error}"
        logger.warning("the judge failed on a response to '%.60s': %s", solutions[0].problem, message)
        return [Unscored(UnscoredReason.JUDGE_UNAVAILABLE, message, judge.judge_id)]
    return list(results)

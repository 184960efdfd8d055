"""Failures in the words of the trainer's user: what is wrong, and what to do about it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sgpo_client.adapters.samples import Sample
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.errors import ConfigError, DataError, RewardError, RewardRejected, RewardUnavailable

JOINED_ADVICE: Final = (
    '. Single responses follow the server\'s settings: [dialects.openrlhf] on_unscored = "outcome" there gives such '
    "groups outcome rewards instead"
)


def check_references(samples: Sequence[Sample], trainer: Trainer) -> None:
    """Refuse a batch with a response of which nobody can say whether it is right.

    Raises:
        ConfigError: says where this trainer takes the reference answer from.
    """
    for index, sample in enumerate(samples):
        if sample.reference_answer is None and sample.outcome is None:
            raise ConfigError(
                f"{trainer.name}: sample {index} of {len(samples)} has no reference answer, so nobody can say whether "
                f"it is right; {trainer.reference_hint}"
            )


@contextmanager
def explained(trainer: Trainer, settings: AdapterSettings, *, joined: bool = False) -> Iterator[None]:
    """Failures of the block leave it with the trainer's name and what its user can do; their types stay.

    Args:
        trainer: whose user reads them.
        settings: named in the advice.
        joined: the server joins the responses, so what they get without a verdict is its setting.
    """
    try:
        yield
    except RewardRejected as error:
        advice = _advice_refused(error.status)
        raise RewardRejected(_text(trainer, error, advice), status=error.status, code=error.code) from error
    except RewardUnavailable as error:
        advice = _advice_unavailable(error, settings, joined)
        raise RewardUnavailable(_text(trainer, error, advice)) from error
    except RewardError as error:
        raise RewardError(
            _text(trainer, error, f"is {settings.url} an SGPO reward server? Its log says more")
        ) from error
    except DataError as error:
        raise DataError(f"{trainer.name}: {error}") from error


def _text(trainer: Trainer, error: Exception, advice: str) -> str:
    return f"{trainer.name}: {error}; {advice}; {trainer.settings_hint}"


def _advice_refused(status: int) -> str:
    if status in (401, 403):
        return "give the server's key as api_key or SGPO_API_KEY, to every process that asks for rewards"
    if status in (404, 405):
        return (
            "url or SGPO_URL must be the base URL of an SGPO reward server, without a path: this one is something else"
        )
    return "the request does not suit the server: its message says which field"


def _advice_unavailable(error: RewardUnavailable, settings: AdapterSettings, joined: bool) -> str:
    text = str(error)
    if "outcome_error" in text:
        return (
            "the judge has no part in this: the server could not compare the answer with the reference. It may take "
            "[server] answer_timeout_s for that; the usual cause is an answer that nobody can work out, such as 9^9^9^9"
        )
    if "no verdict" in text or "judge_failed" in text or "judge_unavailable" in text:
        return "the server answers, but its judge does not: ask its /readyz" + (JOINED_ADVICE if joined else "")
    if "still at work" in text or "no reply within" in text or "504" in text:
        return (
            "the server is slow: give it more judges, or raise timeout_s (SGPO_TIMEOUT_S) and deadline_s "
            f"(SGPO_DEADLINE_S, now {settings.deadline_s:g})"
        )
    return (
        f"start it with `sgpo-serve --config FILE`, and set url or SGPO_URL (now {settings.url}) to where this machine "
        "reaches it"
    )

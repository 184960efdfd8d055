"""What is wrong, and what to do about it, from what the probe saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reward_server.probe.asking import Seen, Target
from reward_server.probe.samples import GROUP_SIZE
from reward_server.probe.trainers import TRAINERS, Trainer
from reward_server.probe.wires import NEMO_GYM, PATHS

NO_ANSWER: Final = ("holds no reference answer", "no_answer")
KEYLESS: Final = (
    "NeMo-Gym itself cannot send a key: put a proxy that adds one before a server with keys, or let a server without"
    " keys listen on this machine only."
)
SLOW_SHARE: Final = 0.5
"""A reply that takes more of the client's patience than this will run into it under load."""


def advise(trainer: Trainer, target: Target, groups: Sequence[Sequence[Seen]], ready: tuple[int, str]) -> list[str]:
    """One paragraph for each thing that is wrong, the likeliest cause first; empty when nothing is."""
    rows = [seen for group in groups for seen in group]
    failed = {(seen.outcome, seen.status, seen.said): seen for seen in rows if seen.outcome != "answered"}
    found = [of_failure(trainer, target, seen, ready) for seen in failed.values()]
    found += of_rewards(trainer, rows)
    if not failed:
        found += of_group(groups[0])
    patience = trainer.timeout_s
    slowest = max(seen.seconds for seen in rows)
    if patience is not None and not failed and slowest > SLOW_SHARE * patience:
        found.append(
            f"The slowest reply took {slowest:.0f} s, and {trainer.title} waits {patience:g} s: under load it will give"
            " up. Give the judge more room (docs/sizing.md) or a smaller model."
        )
    if trainer.wire is NEMO_GYM and target.key is not None:
        found.append(KEYLESS)
    return list(dict.fromkeys(found))


def of_failure(trainer: Trainer, target: Target, seen: Seen, ready: tuple[int, str]) -> str:
    """What a request without an answer means."""
    if seen.outcome == "unreachable":
        return (
            f"Nobody answers at {target.base} ({seen.said}). Start the server (sgpo-serve --config FILE), or correct"
            " host and port. Without keys it listens on its own machine only."
        )
    if seen.outcome == "slow":
        return (
            f"No reply in {seen.seconds:.0f} s; {patience_of(trainer)}. The server is {readiness_words(ready)}; see"
            " sgpo_queue_items and sgpo_queue_seconds under /metrics, and lower [dialects.*] reply_timeout_s so that an"
            " answer comes in time."
        )
    if other := owner_of(target, trainer):
        return (
            f"The URL ends in {target.path}, which is for {other}; {trainer.title} posts to {trainer.wire.path}."
            f" Correct the URL, or ask with another --dialect. The server said: {seen.said}"
        )
    if seen.outcome == "unreadable":
        return f"{trainer.title} could not read the reply: is that an SGPO reward server? It said: {seen.said}"
    return of_status(trainer, target, seen, ready)


def of_status(trainer: Trainer, target: Target, seen: Seen, ready: tuple[int, str]) -> str:
    """What a refusal means."""
    if seen.status in (401, 403):
        if target.path == NEMO_GYM.path and trainer.wire is NEMO_GYM:
            return KEYLESS
        where = "in the Authorization header" if not trainer.wire.key_in_url else "as ?key=KEY in its URL"
        if target.key is None:
            return f"The server wants a key. Ask with --key-env NAME; {trainer.title} sends it {where}."
        return "The key is not one of this server's ($SGPO_API_KEYS or [auth] api_keys_file on its side)."
    if seen.status in (404, 405):
        if target.path == NEMO_GYM.path and ready[0] in (200, 503):
            return (
                "NeMo-Gym posts to /verify at the root: set [dialects.nemo_gym] at_root = true, or ask with the URL"
                f" {target.base}/nemo_gym if a proxy adds that path."
            )
        return (
            f"There is no {target.path} at {target.base}; its /readyz said: {ready[1] or ready[0]}. The base URL of a"
            " reward server is needed, without /v1; a judge's vLLM is not one."
        )
    if any(words in seen.said for words in NO_ANSWER):
        return without_answer(trainer)
    if seen.status == 503:
        return f"The server cannot answer now: {seen.said}. It is {readiness_words(ready)}. {trainer.on_failure}"
    return f"The server refused with {seen.status}: {seen.said}"


def of_rewards(trainer: Trainer, rows: Sequence[Seen]) -> list[str]:
    """What answers without a reward, and rewards without a judgement, mean."""
    told = [seen.told for seen in rows if seen.told is not None]
    missing = sorted({each.failure or "no reason given" for each in told if each.reward is None})
    found = []
    if any(code in NO_ANSWER for code in missing):
        found.append(without_answer(trainer))
    elif missing:
        found.append(f"No reward ({', '.join(missing)}): {trainer.on_failure}")
    if any(each.fell_back for each in told):
        found.append(
            "A judgement failed, and its group follows [dialects.*] on_unscored or on_unjudgeable: these rewards are"
            " not the judge's."
        )
    if any(each.group == "incomplete" for each in told):
        found.append(
            f"The group stayed incomplete: {GROUP_SIZE} responses were sent under one name, and not all met. Is"
            " group_size right, and is this one process ([server] workers = 1)?"
        )
    if any(each.group == "alone" for each in told):
        found.append(
            "Each response was scored by itself: the server was told no group size. Say it in the label (group_size),"
            " in the URL (?group_size=8) or in [dialects.*] group_size; without it wrong responses are paid in mixed"
            " groups, too."
        )
    return found


def of_group(group: Sequence[Seen]) -> list[str]:
    """Whether the all-negative group would teach."""
    rewards = [seen.told.reward for seen in group if seen.told is not None and seen.told.reward is not None]
    if len(rewards) > 1 and len(set(rewards)) == 1:
        return [
            "All responses of the all-negative group got the same reward, so it would teach nothing: see"
            " [shaping] apply_to and the judge."
        ]
    return []


def without_answer(trainer: Trainer) -> str:
    """The reference answer is missing."""
    return (
        f"The reference answer is missing, so no response can be scored. {trainer.title} takes it from"
        f" {trainer.answer_from}: is it there, and not empty?"
    )


def owner_of(target: Target, trainer: Trainer) -> str | None:
    """Whose route the URL names, when it is not this trainer's."""
    if target.path.endswith(trainer.wire.path) or target.path not in PATHS:
        return None
    return next((each.title for each in TRAINERS.values() if target.path.endswith(each.wire.path)), None)


def patience_of(trainer: Trainer) -> str:
    """How long the trainer's client waits."""
    if trainer.timeout_s is None:
        return f"{trainer.title} would wait without end"
    return f"{trainer.title} waits {trainer.timeout_s:g} s"


def readiness_words(ready: tuple[int, str]) -> str:
    """What /readyz said, in half a sentence."""
    status, words = ready
    return words if status == 200 else f"not ready ({words})"

"""Which responses of a batch belong to one group."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby
from typing import Literal

from sgpo_client.adapters.samples import Sample
from sgpo_client.errors import ConfigError
from sgpo_client.wire import RewardGroup, RewardResponse

GroupBy = Literal["runs", "content"]
"""How to group samples without an id. ``runs``: neighbours with the same problem and references. ``content``: all with
the same problem and references, wherever they stand."""
MAX_ID_CHARS = 200


def group_indices(
    samples: Sequence[Sample], *, group_by: GroupBy = "runs", group_size: int | None = None
) -> list[list[int]]:
    """The positions of the members of each group, in order of first appearance; each position stands in one group.

    Members have uid, problem and references in common: an id that comes back in another epoch with another problem does
    not mix them. Sizes may differ between groups.

    Args:
        samples: a batch; either all have a uid or none has.
        group_by: for samples without a uid.
        group_size: cuts a longer group into pieces of this size, where it goes in evenly: the same problem twice in a
            batch.

    Raises:
        ConfigError: when only some samples have a uid, or the size is less than 1.
    """
    if group_size is not None and group_size < 1:
        raise ConfigError(f"group_size = {group_size}: must be at least 1")
    num_named = sum(sample.uid is not None for sample in samples)
    if num_named not in (0, len(samples)):
        raise ConfigError(f"{num_named} of {len(samples)} samples have a group id; give all of them one, or none")
    if num_named or group_by == "content":
        groups = _by_key(samples)
    else:
        runs = groupby(range(len(samples)), key=lambda index: _key(samples[index]))
        groups = [list(run) for _, run in runs]
    return [piece for group in groups for piece in _pieces(group, group_size)]


def to_wire(samples: Sequence[Sample], groups: Iterable[Sequence[int]]) -> list[RewardGroup]:
    """The groups as the server takes them. Ids are the positions in the batch, so no two are alike."""
    return [_wire_group(number, [(index, samples[index]) for index in group]) for number, group in enumerate(groups)]


def _wire_group(number: int, members: Sequence[tuple[int, Sample]]) -> RewardGroup:
    _, first = members[0]
    return RewardGroup(
        group_id=f"{number}:{first.uid or ''}"[:MAX_ID_CHARS],
        problem=first.problem,
        reference_answer=first.reference_answer,
        reference_solution=first.reference_solution,
        responses=tuple(RewardResponse(str(index), sample.text, sample.outcome) for index, sample in members),
    )


def _key(sample: Sample) -> Hashable:
    return (sample.uid, sample.problem, sample.reference_answer, sample.reference_solution)


def _by_key(samples: Sequence[Sample]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for index, sample in enumerate(samples):
        groups.setdefault(_key(sample), []).append(index)
    return list(groups.values())


def _pieces(group: list[int], size: int | None) -> list[list[int]]:
    if size is None or len(group) % size:
        return [group]
    return [group[start : start + size] for start in range(0, len(group), size)]

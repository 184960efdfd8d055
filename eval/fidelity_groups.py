"""Wrong responses in groups, as SGPO compares them, laid out as flat arrays.

A group is the wrong responses to one problem. Data with one wrong solution per problem has no such groups; there a
group is put together from solutions of *different* problems with about the same number of steps. Such a group shows how
well a judge orders solutions of one length; what differs between the problems themselves is mixed into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Grouping = Literal["auto", "problem", "matched"]


@dataclass(frozen=True, slots=True)
class FidelityCase:
    """One wrong response: the human label and what the judge said. Steps count from 0.

    >>> FidelityCase(problem="1+1+1?", num_steps=4, label=2, first_error=1).num_steps
    4
    """

    problem: str
    num_steps: int
    label: int
    """First wrong step by the human label, in [0, num_steps)."""
    first_error: int | None
    """First wrong step by the judge; None when it found no error (or was unscored)."""
    expected_rts: float | None = None
    """The judge's expected share before the first error, in [0, 1]; None where it gives none."""
    unscored: bool = False


@dataclass(frozen=True, slots=True)
class Groups:
    """A partition of the cases."""

    rule: Literal["problem", "matched"]
    groups: list[list[int]]
    """Indices of the cases of each group of two or more."""
    left_out: list[list[int]]
    """Cases in no group, those of one problem together: they count for the error of the RTS only."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The partition as arrays over N cases in order of their cluster: a group, or a problem in no group."""

    order: NDArray[np.intp]
    """[N] index of each case in the caller's list."""
    starts: NDArray[np.intp]
    """[C] where each cluster begins."""
    cluster: NDArray[np.intp]
    """[N] cluster of each case, from 0."""
    is_group: NDArray[np.bool_]
    """[C]"""
    first: NDArray[np.intp]
    """[P] the one case of each pair inside a group."""
    second: NDArray[np.intp]
    """[P] the other."""


def make_groups(cases: Sequence[FidelityCase], grouping: Grouping, size: int, seed: int) -> Groups:
    """Partition the cases.

    ``problem`` takes the wrong responses to one problem together. ``matched`` fills sets of ``size`` from solutions
    sorted by number of steps (equals in random order), each problem once in a set; sets that do not fill up are left
    out. ``auto`` is ``problem`` when at least half of the cases share their problem with another one, else ``matched``.
    """
    by_problem = _by_problem(cases, range(len(cases)))
    shared = [members for members in by_problem if len(members) > 1]
    if grouping == "problem" or (grouping == "auto" and 2 * sum(map(len, shared)) >= len(cases)):
        return Groups("problem", shared, [members for members in by_problem if len(members) == 1])
    sets = _matched_sets(cases, size, seed)
    short = [index for members in sets if len(members) < size for index in members]
    return Groups("matched", [members for members in sets if len(members) == size], _by_problem(cases, short))


def lay_out(partition: Groups) -> Layout:
    """The partition as arrays."""
    clusters = [*partition.groups, *partition.left_out]
    sizes = np.array([len(members) for members in clusters], dtype=np.intp)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    pairs = [np.triu_indices(len(members), k=1) for members in partition.groups]
    none = np.zeros(0, dtype=np.intp)
    return Layout(
        order=np.array([index for members in clusters for index in members], dtype=np.intp),
        starts=starts,
        cluster=np.repeat(np.arange(len(clusters)), sizes),
        is_group=np.arange(len(clusters)) < len(partition.groups),
        first=np.concatenate([none, *(starts[g] + pair[0] for g, pair in enumerate(pairs))]),
        second=np.concatenate([none, *(starts[g] + pair[1] for g, pair in enumerate(pairs))]),
    )


def _by_problem(cases: Sequence[FidelityCase], indices: Sequence[int]) -> list[list[int]]:
    members: dict[str, list[int]] = {}
    for index in indices:
        members.setdefault(cases[index].problem, []).append(index)
    return list(members.values())


def _matched_sets(cases: Sequence[FidelityCase], size: int, seed: int) -> list[list[int]]:
    """Neighbours in number of steps; a solution goes into the first set that has room and lacks its problem."""
    shuffled = np.random.default_rng(seed).permutation(len(cases)).tolist()
    full: list[list[int]] = []
    filling: list[list[int]] = []
    for index in sorted(shuffled, key=lambda index: cases[index].num_steps):
        problem = cases[index].problem
        place = next((s for s in filling if all(cases[other].problem != problem for other in s)), None)
        if place is None:
            place = []
            filling.append(place)
        place.append(index)
        if len(place) == size:
            filling.remove(place)
            full.append(place)
    return full + filling

"""Figures as functions of how often each problem counts, and their bootstrap intervals.

Rows of one problem are not independent, so problems are drawn, not rows: the cluster bootstrap (Davison and Hinkley,
*Bootstrap Methods and their Application*, chapter 3), with percentile intervals. A sample is a weight for each
cluster, and a figure is computed for many samples at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
KeyT = TypeVar("KeyT", bound=Hashable)
MEMORY: Final = 10_000_000
"""Numbers that one array of a chunk of samples may hold."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which rows belong together."""

    ids: Ints
    """[rows] number of each row's cluster."""
    num: int

    def of(self, rows: Sequence[int]) -> Clusters:
        """The same for some of the rows: the clusters keep their numbers."""
        return Clusters(self.ids[np.asarray(rows, dtype=np.int64)], self.num)


def make_clusters(names: Sequence[str]) -> Clusters:
    """Number the clusters of rows that carry these names."""
    found, ids = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    return Clusters(ids.astype(np.int64), len(found))


class Statistic(ABC):
    """Some figures of some rows."""

    num_clusters: int
    size: int = 1
    """Numbers that it holds at once for each sample."""

    @abstractmethod
    def sampled(self, weights: Floats) -> dict[str, Floats]:
        """The figures under each weighting.

        Args:
            weights: [clusters, samples] how often a cluster counts.

        Returns:
            [samples] for each figure, NaN where it is not defined.
        """

    def point(self) -> dict[str, float | None]:
        """The figures of the rows as they are, None where one is not defined."""
        return {name: plain(values[0]) for name, values in self.sampled(np.ones((self.num_clusters, 1))).items()}


class SumStatistic(Statistic):
    """Figures that follow from sums over the rows."""

    def __init__(self, values: Floats, clusters: Clusters, figures: Callable[[Floats], dict[str, Floats]]) -> None:
        """Add the rows up by cluster.

        Args:
            values: [rows, columns] what each row adds to the sums.
            figures: from sums [..., columns] to figures [...].
        """
        columns = np.broadcast_to(np.arange(values.shape[1]), values.shape)
        rows = np.broadcast_to(clusters.ids[:, None], values.shape)
        self._sums = summing_matrix(columns.ravel(), rows.ravel(), (values.shape[1], clusters.num), values.ravel())
        self._figures = figures
        self.num_clusters = clusters.num

    def sampled(self, weights: Floats) -> dict[str, Floats]:
        """See `Statistic.sampled`."""
        return self._figures((self._sums @ weights).T)


class Joint(Statistic):
    """The figures of several statistics; of two with one name, the later one's."""

    def __init__(self, parts: Sequence[Statistic]) -> None:
        self._parts = parts
        self.num_clusters = parts[0].num_clusters
        self.size = max(part.size for part in parts)

    def sampled(self, weights: Floats) -> dict[str, Floats]:
        """See `Statistic.sampled`."""
        return {name: values for part in self._parts for name, values in part.sampled(weights).items()}

    def point(self) -> dict[str, float | None]:
        """See `Statistic.point`."""
        return {name: value for part in self._parts for name, value in part.point().items()}


class Combined(Statistic):
    """Figures of several statistics put together: a mean over subsets, a difference between judges."""

    def __init__(self, parts: Sequence[Statistic], combine: Callable[[Sequence[Floats]], Floats]) -> None:
        """Combine the figures that all parts have.

        Args:
            combine: from the parts' values of one figure, [samples] each, to one [samples].
        """
        self._parts = parts
        self.num_clusters = parts[0].num_clusters
        self._combine = combine
        self.size = max(part.size for part in parts)

    def sampled(self, weights: Floats) -> dict[str, Floats]:
        """See `Statistic.sampled`."""
        found = [part.sampled(weights) for part in self._parts]
        names = [name for name in found[0] if all(name in other for other in found)]
        return {name: self._combine([figures[name] for figures in found]) for name in names}


def resample(
    statistics: Mapping[KeyT, Statistic], num_clusters: int, num_samples: int, seed: int
) -> dict[KeyT, dict[str, Floats]]:
    """Bootstrap samples of the figures: by statistic and figure, [num_samples] each.

    All statistics see the same samples, so that what is made of several of them (differences, means) is paired.
    """
    rng = np.random.default_rng(seed)
    widest = max([num_clusters, *(statistic.size for statistic in statistics.values())])
    chunk = max(1, MEMORY // widest)
    shares = np.full(num_clusters, 1 / num_clusters)
    found: dict[KeyT, dict[str, list[Floats]]] = {name: {} for name in statistics}
    for start in range(0, num_samples, chunk):
        size = min(chunk, num_samples - start)
        weights = np.ascontiguousarray(rng.multinomial(num_clusters, shares, size=size).T, dtype=np.float64)
        for name, statistic in statistics.items():
            for figure, values in statistic.sampled(weights).items():
                found[name].setdefault(figure, []).append(values)
    return {
        name: {figure: np.concatenate(parts) for figure, parts in figures.items()} for name, figures in found.items()
    }


def interval(samples: Floats, level: float = 0.95) -> list[float] | None:
    """The percentile interval, low and high. Samples in which the figure is not defined are left out; None: in all."""
    defined = samples[~np.isnan(samples)]
    if defined.size == 0:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def summing_matrix(row: Ints, column: Ints, shape: tuple[int, int], values: Floats | None = None) -> Any:
    """A sparse matrix; values (1 by default) at one place add up, and zeros take no room."""
    from scipy.sparse import csr_matrix

    numbers = np.ones(len(row)) if values is None else values
    kept = numbers != 0
    return csr_matrix((numbers[kept], (row[kept], column[kept])), shape=shape)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Elementwise quotient, NaN where the whole is 0."""
    quotient = np.full(np.broadcast_shapes(np.shape(part), np.shape(whole)), np.nan)
    np.divide(part, whole, out=quotient, where=whole != 0)
    return quotient


def plain(value: float) -> float | None:
    """As JSON has it: None for NaN."""
    return None if np.isnan(value) else float(value)


def take(values: Iterable[float]) -> Floats:
    """A column of numbers."""
    return np.fromiter(values, dtype=np.float64)

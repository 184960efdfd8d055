"""Hidden states of labelled steps, computed once and kept on disk, so that heads are trained without the base model.

A store is a folder of shards, one per chunk of records; an interrupted run goes on after its last whole shard. Records
of one problem stand in one chunk; a step that several of them have in common (same steps before it) is kept once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from judge.backbone import Backbone
from judge.branches import read
from judge.data.shared_steps import Prefix, num_labelled, prefix
from judge.encoding import Encoded, StepEncoder
from judge.errors import ConfigError
from judge.surprisal import token_surprisals
from judge.types import Record

CHUNK_TOKENS: Final = 16_384
IDENTITY: Final = "store.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """The steps of a chunk of records."""

    records: tuple[int, ...]
    """Index of each step's record, in the order of the store's records."""
    steps: tuple[int, ...]
    """Index of the step in its record."""
    lengths: tuple[int, ...]
    """Tokens of each step, separator included."""
    states: Tensor
    """[layers, tokens, hidden] bfloat16."""
    surprisals: Tensor
    """[tokens] float32, in nats; empty where they were not asked for."""


def _restricted(shard: Shard, chosen: frozenset[int]) -> Shard:
    places = [place for place, record in enumerate(shard.records) if record in chosen]
    keep = torch.tensor([record in chosen for record in shard.records], dtype=torch.bool)
    tokens = keep.repeat_interleave(torch.tensor(shard.lengths, dtype=torch.long))
    return Shard(
        records=tuple(shard.records[place] for place in places),
        steps=tuple(shard.steps[place] for place in places),
        lengths=tuple(shard.lengths[place] for place in places),
        states=shard.states[:, tokens],
        surprisals=shard.surprisals[tokens] if len(shard.surprisals) else shard.surprisals,
    )


@dataclass(frozen=True, slots=True)
class Store:
    """Shards on disk, one for each chunk of the records."""

    folder: Path
    records: tuple[Record, ...]
    layers: tuple[int, ...]
    num_shards: int
    chosen: frozenset[int] | None = None
    """Records that count; None for all."""
    whole: bool = False
    """Whether the steps after a first error are there too."""

    def num_steps(self, record: Record) -> int:
        """Steps of a record that the store holds."""
        return len(record.steps) if self.whole else num_labelled(record)

    def only(self, chosen: Iterable[int]) -> Store:
        """The same store, restricted to some records; those of one problem belong together."""
        return replace(self, chosen=frozenset(chosen))

    def shard(self, number: int, layer: int | None = None) -> Shard:
        """Read one shard; with a ``layer``, the states of that one alone: [1, tokens, hidden]."""
        from safetensors import safe_open

        rank = None if layer is None else self.layers.index(layer)

        with safe_open(_shard_path(self.folder, number), "pt") as file:
            rows = json.loads(file.metadata()["rows"])
            whole = Shard(
                records=tuple(rows["records"]),
                steps=tuple(rows["steps"]),
                lengths=tuple(rows["lengths"]),
                states=file.get_slice("states")[slice(None) if rank is None else slice(rank, rank + 1)],
                surprisals=file.get_tensor("surprisals"),
            )
        return whole if self.chosen is None else _restricted(whole, self.chosen)

    def shards(self, layer: int | None = None) -> Iterator[Shard]:
        """Read all shards, one after the other."""
        return (self.shard(number, layer) for number in range(self.num_shards))


def collect(
    backbone: Backbone,
    encoder: StepEncoder,
    records: Sequence[Record],
    layers: Sequence[int],
    folder: Path,
    *,
    token_budget: int,
    surprisal: bool = False,
    whole: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> Store:
    """Compute what the folder does not hold yet.

    Args:
        records: labelled.
        layers: 1-based; the model may be cut above the highest.
        surprisal: keep -log p of every token as well (needs the whole model).
        whole: keep the steps after a first error as well: nothing is learnt from them, but a judge meets them.
        progress: called with the number of records of each shard.

    Raises:
        ConfigError: the folder holds the states of other records or of another model.
    """
    ordered = _by_problem(records)
    num_steps = [len(record.steps) if whole else num_labelled(record) for record in ordered]
    encoded = [encoder.encode(r.problem, r.steps[:count]) for r, count in zip(ordered, num_steps, strict=True)]
    chunks = _chunks(ordered, encoded)
    _claim(folder, _identity(backbone, encoder, ordered, layers, surprisal, whole))
    for number, members in enumerate(chunks):
        path = _shard_path(folder, number)
        if not path.exists():
            _write(path, *_compute(backbone, ordered, encoded, members, layers, token_budget, surprisal))
        progress(len(members))
    return Store(folder, tuple(ordered), tuple(layers), len(chunks), whole=whole)


def _by_problem(records: Sequence[Record]) -> list[Record]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.problem, []).append(record)
    return [record for group in groups.values() for record in group]


def _chunks(records: Sequence[Record], encoded: Sequence[Encoded]) -> list[list[int]]:
    """Runs of records of about `CHUNK_TOKENS` tokens; a problem is never cut in two."""
    chunks: list[list[int]] = []
    size = CHUNK_TOKENS
    for index, record in enumerate(records):
        new_problem = index == 0 or record.problem != records[index - 1].problem
        if new_problem and size >= CHUNK_TOKENS:
            chunks.append([])
            size = 0
        chunks[-1].append(index)
        size += encoded[index].num_tokens if new_problem else len(encoded[index].step_ids[-1])
    return chunks


@torch.inference_mode()  # type: ignore[untyped-decorator]  # torch comes without types here
def _compute(
    backbone: Backbone,
    records: Sequence[Record],
    encoded: Sequence[Encoded],
    members: Sequence[int],
    layers: Sequence[int],
    token_budget: int,
    surprisal: bool,
) -> tuple[dict[str, list[int]], dict[str, Tensor]]:
    rows: dict[str, list[int]] = {"records": [], "steps": [], "lengths": []}
    states: list[Tensor] = []
    surprisals: list[Tensor] = []
    seen: set[Prefix] = set()
    wanted = [*layers, backbone.num_layers] if surprisal else list(layers)
    for reading in read(backbone.body, [encoded[index] for index in members], wanted, token_budget):
        index = members[reading.index]
        record, solution = records[index], encoded[index]
        start = len(solution.prompt_ids)
        fresh = [step for step in range(len(solution.step_ids)) if prefix(record, step) not in seen]
        seen.update(prefix(record, step) for step in fresh)
        first = solution.spans[fresh[0]][0] if fresh else 0
        nats = token_surprisals(backbone, reading.states[-1], solution, first) if surprisal and fresh else None
        for step in fresh:
            begin, end = solution.spans[step]
            rows["records"].append(index)
            rows["steps"].append(step)
            rows["lengths"].append(end - begin)
            states.append(reading.states[: len(layers), start + begin : start + end].to("cpu", torch.bfloat16))
            if nats is not None:
                surprisals.append(nats[begin - first : end - first].float().cpu())
    return rows, {
        "states": torch.cat(states, dim=1).contiguous(),
        "surprisals": torch.cat(surprisals) if surprisals else torch.empty(0),
    }


def _write(path: Path, rows: dict[str, list[int]], tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    scratch = path.with_suffix(".tmp")
    save_file(tensors, scratch, metadata={"rows": json.dumps(rows)})
    os.replace(scratch, path)


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.safetensors"


def _identity(
    backbone: Backbone,
    encoder: StepEncoder,
    records: Sequence[Record],
    layers: Sequence[int],
    surprisal: bool,
    whole: bool,
) -> dict[str, Any]:
    digest = sha256()
    for record in records:
        digest.update(json.dumps([record.problem, record.steps, record.label]).encode())
    return {
        "base": backbone.fingerprint,
        "tokenizer": backbone.tokenizer_digest,
        "template": encoder.template,
        "separator": encoder.separator,
        "layers": list(layers),
        "surprisal": surprisal,
        "whole": whole,
        "records": digest.hexdigest()[:12],
    }


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Make the folder ours, or make sure that it holds the states that are wanted."""
    path = folder / IDENTITY
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    different = sorted(key for key in identity if found.get(key) != identity[key])
    if different:
        raise ConfigError(
            f"{folder}: holds states made with other settings ({', '.join(different)}); "
            f"give another output folder, or delete {folder.parent.parent}"
        )

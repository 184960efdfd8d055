"""Hidden states of many solutions, where the solutions of one problem share what they have in common.

Solutions of one problem form a tree: the longest is the **trunk**, every other one a **branch** that leaves it after
the steps they share (often none: then it is the problem's prompt that they share). A batch takes two forwards: one over
the trunks, which fills a key-value cache, and one over the branches, each of which attends to the first part of its
trunk. Trees of similar length go together, and a budget of tokens bounds each forward.

Right padding under a causal mask is never seen by a real token, so what else is in a batch changes a state by
rounding only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from judge.encoding import Encoded

CACHED_PER_TOKEN = 8
"""Cached trunk tokens that a forward over branches may hold for each token of its budget."""
START_BUCKET = 128
"""Branches whose starts lie this close go together; the cache is cut behind the last of them."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A solution as a continuation of its trunk."""

    index: int
    """Which solution of the batch."""
    start: int
    """Tokens of the trunk that it shares."""
    ids: tuple[int, ...]
    """Its own tokens. Empty when the whole solution lies on the trunk."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The solutions of one problem."""

    trunk_index: int
    trunk_ids: tuple[int, ...]
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """States of one solution's tokens."""

    index: int
    states: Any
    """[layers, prompt and response tokens, hidden] on the model's device."""


def plan(solutions: Sequence[Encoded]) -> list[Tree]:
    """Trees of the solutions, one for each problem, the shortest trunk first."""
    by_prompt: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, solution in enumerate(solutions):
        by_prompt[solution.prompt_ids].append(index)
    trees = [_tree(solutions, members) for members in by_prompt.values()]
    return sorted(trees, key=lambda tree: len(tree.trunk_ids))


def read(
    model: Any, solutions: Sequence[Encoded], layers: Sequence[int] | None, token_budget: int
) -> Iterator[Reading]:
    """Yield the states of every solution, in the order of computation.

    Args:
        model: body of a causal language model (no vocabulary head).
        layers: which hidden states, as transformers counts them (0 is the embedding, 1 the first layer's output); None
            for the last one alone, which has passed the model's final norm.
        token_budget: padded tokens in one forward, at least one solution's.
    """
    trees = plan_alone(solutions) if slides(model.config) else plan(solutions)
    for batch in _batches(trees, token_budget):
        yield from _read_trees(model, batch, layers, token_budget)


def plan_alone(solutions: Sequence[Encoded]) -> list[Tree]:
    """Every solution a trunk of its own, the shortest first."""
    trees = [Tree(index, (*one.prompt_ids, *one.response_ids), ()) for index, one in enumerate(solutions)]
    return sorted(trees, key=lambda tree: len(tree.trunk_ids))


def slides(config: Any) -> bool:
    """Whether some layer sees a window of tokens only: its cache drops what a branch may still have to see."""
    from transformers import DynamicCache

    return any(layer.is_sliding for layer in DynamicCache(config=config).layers)


def num_tokens(trees: Sequence[Tree]) -> int:
    """Tokens that are computed for these trees, padding not counted."""
    return sum(len(tree.trunk_ids) + sum(len(branch.ids) for branch in tree.branches) for tree in trees)


def _tree(solutions: Sequence[Encoded], members: Sequence[int]) -> Tree:
    trunk_index = max(members, key=lambda index: solutions[index].num_tokens)
    trunk = solutions[trunk_index]
    branches = [_branch(trunk, solutions[index], index) for index in members if index != trunk_index]
    return Tree(trunk_index, (*trunk.prompt_ids, *trunk.response_ids), tuple(branches))


def _branch(trunk: Encoded, solution: Encoded, index: int) -> Branch:
    start, shared = len(trunk.prompt_ids), 0
    for ours, theirs in zip(solution.step_ids, trunk.step_ids, strict=False):
        if ours != theirs:
            break
        start, shared = start + len(ours), shared + 1
    return Branch(index, start, tuple(token for step in solution.step_ids[shared:] for token in step))


def _batches(trees: Sequence[Tree], token_budget: int) -> Iterator[list[Tree]]:
    """Neighbours in length, whose trunks together stay within the budget once padded."""
    batch: list[Tree] = []
    for tree in trees:
        if batch and (len(batch) + 1) * len(tree.trunk_ids) > token_budget:
            yield batch
            batch = []
        batch.append(tree)
    if batch:
        yield batch


def _read_trees(
    model: Any, trees: Sequence[Tree], layers: Sequence[int] | None, token_budget: int
) -> Iterator[Reading]:
    from transformers import DynamicCache

    branching = any(branch.ids for tree in trees for branch in tree.branches)
    cache = DynamicCache(config=model.config) if branching else None
    trunks = _forward(model, [tree.trunk_ids for tree in trees], [0] * len(trees), 0, layers, cache)
    for row, tree in enumerate(trees):
        yield Reading(tree.trunk_index, trunks[:, row, : len(tree.trunk_ids)])
        for branch in tree.branches:
            if not branch.ids:
                yield Reading(branch.index, trunks[:, row, : branch.start])
    if cache is not None:
        yield from _read_branches(model, trees, trunks, cache, layers, token_budget)


def _read_branches(
    model: Any, trees: Sequence[Tree], trunks: Any, cache: Any, layers: Sequence[int] | None, token_budget: int
) -> Iterator[Reading]:
    import torch

    own = [(row, branch) for row, tree in enumerate(trees) for branch in tree.branches if branch.ids]
    own.sort(key=lambda pair: (-(-pair[1].start // START_BUCKET), len(pair[1].ids)))
    for pairs in _branch_batches(own, token_budget):
        starts = [branch.start for _, branch in pairs]
        part = _selected(cache, [row for row, _ in pairs], max(starts), model.config)
        states = _forward(model, [branch.ids for _, branch in pairs], starts, max(starts), layers, part)
        for place, (row, branch) in enumerate(pairs):
            shared = trunks[:, row, : branch.start]
            yield Reading(branch.index, torch.cat([shared, states[:, place, : len(branch.ids)]], dim=1))


def _branch_batches(own: Sequence[tuple[int, Branch]], token_budget: int) -> Iterator[list[tuple[int, Branch]]]:
    batch: list[tuple[int, Branch]] = []
    for pair in own:
        size = len(batch) + 1
        longest = max(len(branch.ids) for _, branch in (*batch, pair))
        cached = max(branch.start for _, branch in (*batch, pair))
        if batch and (size * longest > token_budget or size * cached > CACHED_PER_TOKEN * token_budget):
            yield batch
            batch = []
        batch.append(pair)
    if batch:
        yield batch


def _selected(cache: Any, rows: Sequence[int], longest: int, config: Any) -> Any:
    """A new cache with the first tokens of the given rows, so that the trunks' own stays as it is."""
    import torch
    from transformers import DynamicCache

    index = torch.tensor(rows, device=cache.layers[0].keys.device)
    chosen = DynamicCache(config=config)
    for number, layer in enumerate(cache.layers):
        if layer.keys is None:
            break  # the model was cut below this layer
        keys, values = (whole[:, :, :longest] for whole in (layer.keys, layer.values))
        if len(set(rows)) == 1:  # one trunk for all: a view, not a copy
            keys, values = (part[rows[0]].expand(len(rows), *part.shape[1:]) for part in (keys, values))
        else:
            keys, values = keys.index_select(0, index), values.index_select(0, index)
        chosen.update(keys, values, number)
    return chosen


def _forward(
    model: Any,
    rows: Sequence[Sequence[int]],
    starts: Sequence[int],
    cached: int,
    layers: Sequence[int] | None,
    cache: Any | None,
) -> Any:
    """States of right-padded rows that go on from a cache: [layers, rows, longest, hidden].

    Args:
        starts: how many of the cached tokens each row sees.
        cached: tokens in the cache, padding included.
    """
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=model.device)
    place = torch.arange(longest, device=model.device)
    begin = torch.tensor(starts, device=model.device)[:, None]
    seen = torch.arange(cached, device=model.device) < begin
    real = place < torch.tensor([len(row) for row in rows], device=model.device)[:, None]
    output = model(
        input_ids=ids,
        # Without a cache the causal mask alone hides the padding, and attention takes its fastest path.
        attention_mask=torch.cat([seen, real], dim=1).long() if cached else None,
        position_ids=begin + place,
        past_key_values=cache,
        use_cache=cache is not None,
        output_hidden_states=layers is not None,
    )
    if layers is None:
        return output.last_hidden_state[None]
    return torch.stack([output.hidden_states[layer] for layer in layers])

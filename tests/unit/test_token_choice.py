"""Which token a uniform number stands for, against the cumulated probabilities."""

from __future__ import annotations

import torch

from sgpo_client.rollout.choice import choose

VOCABULARY = 700  # more than two blocks, the last one not full


def test_a_grid_of_uniform_numbers_gives_each_token_its_share() -> None:
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3
    size = 20_000
    uniform = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    tokens, logprobs = choose(logits.expand(size, -1), uniform, temperature=2.0, top_p=1.0)
    probs = torch.softmax(logits[0].double() / 2.0, dim=0)
    counts = torch.bincount(tokens, minlength=VOCABULARY).double()
    assert (counts - probs * size).abs().max() <= 1.001  # a grid misses an interval's length by less than one point
    assert torch.allclose(logprobs.double(), probs[tokens].log(), atol=1e-5)


def test_tokens_without_probability_are_never_drawn() -> None:
    logits = torch.full((3, VOCABULARY), float("-inf"))
    logits[:, [4, 300]] = 0.0
    tokens, _ = choose(logits, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), temperature=1.0, top_p=1.0)
    assert tokens.tolist() == [4, 300, 300]


def test_a_tiny_nucleus_is_the_most_probable_token() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    for uniform in (0.0, 0.999):
        token, logprob = choose(logits, torch.tensor([uniform], dtype=torch.float64), 1.0, top_p=1e-6)
        assert (token.item(), logprob.item()) == (1, 0.0)

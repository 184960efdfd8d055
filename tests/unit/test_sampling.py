"""Sampled responses come from softmax(logits / temperature) alone, and end where the model ends them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from sgpo_client.rollout.attention import NAME
from sgpo_client.rollout.hf import HFSampler
from sgpo_client.rollout.sampler import SamplingParams
from sgpo_client.types import Rollout
from tests.distributed.tiny import VOCABULARY, tiny_model

EOS = 7
PROMPTS = [[1, 2, 3], [4], [5, 6], [1, 2, 3]] * 4


def sampler(model: PreTrainedModel | None = None, eos: int = EOS, **generation: object) -> HFSampler:
    model = model or tiny_model()
    model.generation_config = GenerationConfig(**generation)
    words = Tokenizer(WordLevel({f"w{token}": token for token in range(VOCABULARY)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=f"w{eos}", pad_token="w0")
    return HFSampler(model, tokenizer)


def _sample(batch_size: int = 64, **generation: object) -> list[Rollout]:
    params = SamplingParams(max_new_tokens=12, temperature=1.5, batch_size=batch_size)
    return sampler(**generation).sample(PROMPTS, params, seed=3)


def test_generation_settings_that_a_model_brings_do_not_bend_the_distribution() -> None:
    bent = _sample(repetition_penalty=5.0, top_k=2, min_p=0.9, no_repeat_ngram_size=1)
    assert bent == _sample()
    assert len({tuple(rollout.response_ids) for rollout in bent}) > len(PROMPTS) // 2


def test_every_end_token_ends_a_response_and_is_part_of_it() -> None:
    other_ends = [9, 11, 13, 15]
    rollouts = _sample(batch_size=3, eos_token_id=other_ends)
    assert [rollout.prompt_ids for rollout in rollouts] == PROMPTS
    ends = {EOS, *other_ends}
    for rollout in rollouts:
        assert not ends & set(rollout.response_ids[:-1])
        assert rollout.truncated == (rollout.response_ids[-1] not in ends)
        assert not rollout.truncated or len(rollout.response_ids) == 12
    assert {rollout.truncated for rollout in rollouts} == {True, False}
    assert any(rollout.response_ids[-1] in other_ends for rollout in rollouts)


def test_a_response_does_not_depend_on_how_prompts_are_batched() -> None:
    assert _sample(batch_size=64) == _sample(batch_size=5) == _sample(batch_size=1)


def test_greedy_responses_are_those_of_generate() -> None:
    prompts = [*PROMPTS[:3], list(range(20, 60))]  # a long one beside short ones: much padding
    endless = [greedy(prompt, 70) for prompt in prompts]  # more tokens than the cache makes room for at once
    # A token that some responses come to and others do not: rows leave the batch, and rows stay.
    end = next(token for token in range(VOCABULARY) if 0 < sum(token in tokens for tokens in endless) < len(endless))
    model = tiny_model()
    found = sampler(model, eos=end).sample(prompts, SamplingParams(max_new_tokens=70, temperature=0), seed=0)
    assert model.config._attn_implementation == NAME
    for tokens, rollout in zip(endless, found, strict=True):
        assert rollout.response_ids == (tokens[: tokens.index(end) + 1] if end in tokens else tokens)
        assert rollout.truncated == (end not in tokens)


def greedy(prompt: list[int], num_tokens: int) -> list[int]:
    """By transformers' own loop and cache, without an end."""
    output = tiny_model().generate(
        torch.tensor([prompt]), max_new_tokens=num_tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return output[0, len(prompt) :].tolist()


def logprobs_of(model: PreTrainedModel, prompt: list[int], response: Sequence[int], temperature: float) -> torch.Tensor:
    """[R, V] by one forward pass over everything."""
    logits = model(torch.tensor([prompt + list(response)])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits.double() / temperature, dim=-1)


@torch.no_grad()
@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_logprobs_are_those_of_the_distribution_that_tokens_are_drawn_from(top_p: float) -> None:
    params = SamplingParams(max_new_tokens=12, temperature=1.5, top_p=top_p, logprobs=True)
    plain = tiny_model().eval()
    for rollout in sampler().sample(PROMPTS, params, seed=5):
        table = logprobs_of(plain, rollout.prompt_ids, rollout.response_ids, 1.5)
        for row, token, logprob in zip(table, rollout.response_ids, rollout.logprobs or [], strict=True):
            ordered = sorted(row.exp().tolist(), reverse=True)
            size = next(n for n in range(1, VOCABULARY + 1) if sum(ordered[:n]) >= top_p - 1e-12)
            assert row[token].exp() >= ordered[size - 1] - 1e-6
            assert logprob == pytest.approx(
                float(row[token]) - torch.tensor(sum(ordered[:size])).log().item(), abs=1e-4
            )


def test_responses_come_as_they_are_finished() -> None:
    order = [index for index, _ in sampler().stream(PROMPTS, SamplingParams(max_new_tokens=12, temperature=1.5), 3)]
    lengths = [len(rollout.response_ids) for rollout in _sample()]
    assert sorted(order) == list(range(len(PROMPTS)))
    assert [lengths[index] for index in order] == sorted(lengths)

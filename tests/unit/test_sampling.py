"""Sampled responses come from softmax(logits / temperature) alone, and end where the model ends them."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GenerationConfig, PreTrainedTokenizerFast

from sgpo_client.rollout.hf import HFSampler, SamplingParams
from sgpo_client.types import Rollout
from tests.distributed.tiny import VOCABULARY, tiny_model

EOS = 7
PROMPTS = [[1, 2, 3], [4], [5, 6], [1, 2, 3]] * 4


def _sample(batch_size: int = 64, **generation: object) -> list[Rollout]:
    model = tiny_model()
    model.generation_config = GenerationConfig(**generation)
    words = Tokenizer(WordLevel({f"w{token}": token for token in range(VOCABULARY)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=f"w{EOS}", pad_token="w0")
    params = SamplingParams(max_new_tokens=12, temperature=1.5, batch_size=batch_size)
    return HFSampler(model, tokenizer).sample(PROMPTS, params, seed=3)


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

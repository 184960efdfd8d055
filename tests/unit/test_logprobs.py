"""Log-probabilities of response tokens against a plain forward pass of each sequence alone."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from sgpo_client.errors import ModelError
from sgpo_client.logprobs import TokenLogprobs, response_logprobs
from sgpo_client.microbatch import MicroBatch, make_micro_batches, pad_to
from sgpo_client.types import Example
from tests.distributed.tiny import equal_weights, make_examples, tiny_model


def _alone(model: PreTrainedModel, example: Example, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """[R] log-probabilities and entropies from all logits of one unpadded sequence."""
    ids = torch.tensor([example.prompt_ids + example.response_ids])
    logprobs = torch.log_softmax(model(input_ids=ids).logits[0].float() / temperature, dim=-1)
    rows = logprobs[len(example.prompt_ids) - 1 : -1]
    chosen = rows.gather(1, torch.tensor(example.response_ids)[:, None]).squeeze(1)
    return chosen, -(rows.exp() * rows).sum(-1)


def _by_example(batches: list[MicroBatch], outputs: list[TokenLogprobs]) -> dict[tuple[int, ...], tuple]:
    """Tokens of a row (without padding) -> its log-probabilities and entropies."""
    found = {}
    for batch, output in zip(batches, outputs, strict=True):
        assert output.logprobs.dtype == torch.float32
        assert (output.logprobs[~batch.response_mask] == 0).all()
        assert (output.entropy[~batch.response_mask] == 0).all()
        for row, mask in enumerate(batch.response_mask):
            end = int(mask.nonzero().max()) + 2
            key = tuple(batch.input_ids[row, :end].tolist())
            found[key] = output.logprobs[row][mask], output.entropy[row][mask]
    return found


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("max_tokens", [1, 64, 10_000])
def test_same_values_as_each_sequence_alone_whatever_the_batch(temperature: float, max_tokens: int) -> None:
    model, examples = tiny_model(), make_examples(9)
    batches = make_micro_batches(examples, max_tokens, equal_weights, pad_token_id=7)
    found = _by_example(batches, [response_logprobs(model, batch, temperature) for batch in batches])
    assert len(found) == len(examples)
    for example in examples:
        logprobs, entropy = found[tuple(example.prompt_ids + example.response_ids)]
        expected_logprobs, expected_entropy = _alone(model, example, temperature)
        torch.testing.assert_close(logprobs, expected_logprobs, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(entropy, expected_entropy, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("max_logits", [1, 64 * 7, 1 << 26])
@pytest.mark.parametrize("chunk_elements", [1, 64 * 5, 1 << 22])
def test_gradients_are_those_of_autograd(chunk_elements: int, max_logits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgpo_client.logprobs._CHUNK_ELEMENTS", chunk_elements)
    monkeypatch.setattr("sgpo_client.logprobs._MAX_LOGITS", max_logits)
    examples = make_examples(5)
    model, reference = tiny_model(), tiny_model()
    for batch in make_micro_batches(examples, 100, equal_weights):
        (response_logprobs(model, batch, 0.7).logprobs * batch.advantages).sum().backward()
    sum(_alone(reference, example, 0.7)[0].sum() * example.advantages[0] for example in examples).backward()
    for parameter, expected in zip(model.parameters(), reference.parameters(), strict=True):
        assert expected.grad.abs().max() > 1e-3
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-4)


def test_bfloat16_logits_give_float32_logprobs_near_the_exact_ones() -> None:
    model, examples = tiny_model(), make_examples(6)
    exact = {tuple(e.prompt_ids + e.response_ids): _alone(model, e, 1.0)[0] for e in examples}
    batches = make_micro_batches(examples, 100, equal_weights)
    found = _by_example(batches, [response_logprobs(model.bfloat16(), batch, 1.0) for batch in batches])
    for key, expected in exact.items():
        torch.testing.assert_close(found[key][0], expected, rtol=0.1, atol=0.25)


def _rows_through_the_head(model: PreTrainedModel) -> list[int]:
    """Fills with the number of positions of each call of the output head."""
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda _module, _args, output: rows.append(output[..., 0].numel()))
    return rows


def test_logits_exist_only_at_response_positions() -> None:
    model = tiny_model()
    (batch,) = make_micro_batches(make_examples(4), 10_000, equal_weights)
    rows = _rows_through_the_head(model)
    response_logprobs(model, batch, 1.0).logprobs.sum().backward()
    assert rows == [int(batch.response_mask.sum())], "one chunk is computed once"
    assert model(input_ids=batch.input_ids).logits.shape == (*batch.input_ids.shape, 64), "nothing may stay replaced"


def test_no_more_logits_than_a_chunk_exist_and_only_the_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgpo_client.logprobs._MAX_LOGITS", 64 * 20)
    model = tiny_model()
    (batch,) = make_micro_batches(make_examples(4), 10_000, equal_weights)
    num_rows = int(batch.response_mask.sum())
    assert 40 < num_rows < 60
    rows = _rows_through_the_head(model)
    logprobs = response_logprobs(model, batch, 1.0).logprobs
    assert rows == [20, 20, num_rows - 40]
    logprobs.sum().backward()
    assert rows[3:] == [20, 20], "the backward pass makes all but the last chunk's logits again"
    with torch.no_grad():
        response_logprobs(model, batch, 1.0)
    assert rows[5:] == [20, 20, num_rows - 40]


def test_a_model_that_goes_round_its_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logits would be those of hidden states sent through all layers once more."""
    model = tiny_model()
    (batch,) = make_micro_batches(make_examples(1), 100, equal_weights)
    monkeypatch.setattr(
        model, "forward", lambda inputs_embeds, **_: CausalLMOutputWithPast(logits=model.lm_head(inputs_embeds))
    )
    with pytest.raises(ModelError, match="does not call its base_model"):
        response_logprobs(model, batch, 1.0)


def test_an_empty_micro_batch_has_a_backward_pass_and_zero_gradients() -> None:
    model = tiny_model()
    (batch,) = pad_to([], 1)
    output = response_logprobs(model, batch, 1.0)
    assert not output.logprobs.any()
    output.logprobs.sum().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


@pytest.mark.parametrize("max_logits", [64 * 7, 1 << 26])
def test_what_a_model_does_after_its_head_is_kept(max_logits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 2 soft-caps its logits and has sliding windows shorter than these sequences."""
    monkeypatch.setattr("sgpo_client.logprobs._MAX_LOGITS", max_logits)
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, sliding_window=4, final_logit_softcapping=2.0, initializer_range=0.5,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    examples = make_examples(5)
    batches = make_micro_batches(examples, 100, equal_weights)
    found = _by_example(batches, [response_logprobs(model, batch, 1.0) for batch in batches])
    for example in examples:
        expected, _ = _alone(model, example, 1.0)
        torch.testing.assert_close(
            found[tuple(example.prompt_ids + example.response_ids)][0], expected, rtol=1e-4, atol=1e-4
        )

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from judge.backbone import cut, fingerprint
from judge.branches import num_tokens, plan, read
from judge.encoding import Encoded
from judge.errors import ModelError

LAYERS = 3


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny()


def tiny(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).eval()


def straight(model: Any, solution: Encoded, layer: int | None) -> torch.Tensor:
    """One solution at a time, no cache, no padding."""
    ids = torch.tensor([[*solution.prompt_ids, *solution.response_ids]])
    output = model.get_decoder()(ids, output_hidden_states=True)
    return (output.last_hidden_state if layer is None else output.hidden_states[layer])[0]


def solutions(seed: int, problems: int, most: int) -> list[Encoded]:
    """Responses that share steps here and there, and now and then a whole response."""
    rng = random.Random(seed)
    pool = [tuple(rng.randrange(50) for _ in range(rng.randint(1, 4))) for _ in range(6)]
    found = []
    for problem in range(problems):
        prompt = (*(rng.randrange(50) for _ in range(3)), problem)
        for _ in range(rng.randint(1, most)):
            found.append(Encoded(prompt, tuple(rng.choice(pool[:3]) for _ in range(rng.randint(1, 5)))))
    rng.shuffle(found)
    return found


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    problems=st.integers(1, 4),
    most=st.integers(1, 6),
    budget=st.sampled_from([1, 30, 9999]),
)
@torch.inference_mode()
def test_states_are_those_of_one_solution_at_a_time(seed: int, problems: int, most: int, budget: int) -> None:
    model = tiny()
    batch = solutions(seed, problems, most)
    found = {reading.index: reading.states for reading in read(model.get_decoder(), batch, [1, LAYERS], budget)}
    assert sorted(found) == list(range(len(batch)))
    for index, solution in enumerate(batch):
        for place, layer in enumerate([1, LAYERS]):
            torch.testing.assert_close(found[index][place], straight(model, solution, layer), atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_a_cut_model_gives_the_layers_own_output(model: Any) -> None:
    batch = solutions(3, problems=2, most=4)
    short = tiny()
    cut(short, 2, "tiny")
    for reading in read(short.get_decoder(), batch, None, 100):
        expected = straight(model, batch[reading.index], 2)
        torch.testing.assert_close(reading.states[0], expected, atol=2e-5, rtol=1e-4)


def test_shared_steps_are_computed_once() -> None:
    prompt, a, b, c = (1, 2, 3), (4, 5), (6, 7, 8), (9,)
    group = [Encoded(prompt, (a, b, c)), Encoded(prompt, (a, b)), Encoded(prompt, (a, c)), Encoded(prompt, (c,))]
    [tree] = plan(group)
    assert tree.trunk_ids == (*prompt, *a, *b, *c)
    assert [(branch.index, branch.start, branch.ids) for branch in tree.branches] == [(1, 8, ()), (2, 5, c), (3, 3, c)]
    assert num_tokens([tree]) == 9 + 1 + 1


@pytest.mark.parametrize("layer", [0, 4])
def test_a_layer_that_is_not_there_is_refused(layer: int) -> None:
    with pytest.raises(ModelError, match=f"layers 1 to {LAYERS}, and layer {layer}"):
        cut(tiny(), layer, "tiny")


def test_fingerprint_is_of_the_weights() -> None:
    model = tiny()
    assert fingerprint(model) == fingerprint(tiny())
    assert fingerprint(model.to(torch.bfloat16)) == fingerprint(tiny().to(torch.bfloat16))
    assert fingerprint(tiny(seed=1)) != fingerprint(tiny())
    with torch.no_grad():
        model.get_decoder().layers[2].mlp.up_proj.weight[0, 0] += 1
    assert fingerprint(model) != fingerprint(tiny())


@torch.inference_mode()
def test_a_sliding_window_sees_what_it_sees_alone() -> None:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
    )
    model = MistralForCausalLM(config).eval()
    prompt = tuple(range(12))
    group = [Encoded(prompt, ((1, 2, 3), (4, 5), (6,))), Encoded(prompt, ((1, 2, 3), (9, 8, 7)))]
    for reading in read(model.get_decoder(), group, None, 100):
        expected = straight(model, group[reading.index], None)
        torch.testing.assert_close(reading.states[0], expected, atol=2e-5, rtol=1e-4)

import pytest
import torch

from judge.errors import ModelError
from judge.probe_head import STEPS_AT_ONCE, HeadShape, ProbeHead, from_arrays, to_arrays

HIDDEN = 6


def head(readout: str, **changes: int) -> ProbeHead:
    torch.manual_seed(0)
    made = ProbeHead(HeadShape.model_validate({"layer": 1, "readout": readout, **changes}), HIDDEN)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    made.standardise(torch.randn(HIDDEN), torch.rand(HIDDEN) + 0.5)
    return made.eval()


def brute_force(made: ProbeHead, states: torch.Tensor, lengths: list[int]) -> list[float]:
    """Step by step, with torch's own softmax."""
    scores = []
    for step in ((states - made.mean) * made.scale).split(lengths):
        if made.shape.readout == "last":
            pooled = step[-1]
        elif made.shape.readout == "mean":
            pooled = step.mean(0)
        else:
            weights = torch.softmax(made.query @ step.T / HIDDEN**0.5, dim=1)  # [queries, tokens]
            pooled = (weights @ step).flatten()
        scores.append(made.score(pooled).item())
    return scores


@pytest.mark.parametrize("readout", ["attention", "mean", "last"])
@pytest.mark.parametrize("width", [0, 5])
def test_readouts_are_their_formulas(readout: str, width: int) -> None:
    made = head(readout, width=width, num_queries=3)
    lengths = [1, 4, 2, 7]
    states = torch.randn(sum(lengths), HIDDEN) * 10
    assert made(states, lengths).tolist() == pytest.approx(brute_force(made, states, lengths), abs=1e-4)


def test_attention_over_many_steps_of_all_lengths() -> None:
    made = head("attention", num_queries=2)
    lengths = [1 + (7 * index) % 23 for index in range(2 * STEPS_AT_ONCE + 5)]
    states = torch.randn(sum(lengths), HIDDEN)
    assert made(states, lengths).tolist() == pytest.approx(brute_force(made, states, lengths), abs=1e-4)


def test_attention_bears_huge_states() -> None:
    made = head("attention", num_queries=2)
    states = torch.randn(5, HIDDEN) * 1e4
    assert torch.isfinite(made(states, [2, 3])).all()


def test_one_steps_tokens_do_not_touch_another_steps_score() -> None:
    made = head("attention")
    states = torch.randn(9, HIDDEN)
    changed = states.clone()
    changed[4:] += 100
    torch.testing.assert_close(made(states, [4, 5])[0], made(changed, [4, 5])[0])


@pytest.mark.parametrize("readout", ["attention", "mean"])
def test_arrays_give_the_same_head_back(readout: str) -> None:
    made = head(readout, width=4)
    states = torch.randn(6, HIDDEN)
    again = from_arrays(made.shape, to_arrays(made))
    torch.testing.assert_close(again(states, [2, 4]), made(states, [2, 4]), atol=2e-2, rtol=1e-2)  # float16
    assert to_arrays(again).keys() == to_arrays(made).keys()


def test_a_dimension_that_never_changes_is_switched_off() -> None:
    made = head("mean")
    made.standardise(torch.full((HIDDEN,), 300.0), torch.tensor([0.0, 1e-9, 2.0, 1.0, 1.0, 1.0]))
    assert made.scale.tolist()[:3] == [0.0, 0.0, 0.5]
    again = from_arrays(made.shape, to_arrays(made))
    assert torch.isfinite(again(torch.randn(3, HIDDEN), [3])).all()


@pytest.mark.parametrize("damage", ["missing", "shape"])
def test_damaged_weights_are_a_model_error(damage: str) -> None:
    arrays = to_arrays(head("attention"))
    if damage == "missing":
        del arrays["mean"]
    else:
        arrays["query"] = arrays["query"][:, :2]
    with pytest.raises(ModelError, match="do not fit its shape"):
        from_arrays(head("attention").shape, arrays)

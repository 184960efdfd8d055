"""The probe and the features judge from labelled records to verdicts, on a tiny random model."""

import asyncio
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from judge.data.shared_steps import num_labelled, prefix
from judge.encoding import StepEncoder
from judge.errors import ModelError
from judge.judge_folder import MANIFEST, WEIGHTS
from judge.registry import build_judge, judge_table
from judge.train.states import CHUNK_TOKENS, collect
from judge.types import NO_ERROR, Record, Solution, Unscored, UnscoredReason, Verdict
from tests.integration.probe_run import records, train, write_config

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_policy: Path) -> Path:
    return write_config(tmp_path_factory.mktemp("probe-training"), tiny_policy)


@pytest.fixture(scope="module")
def probe(config: Path) -> Path:
    output = config.parent / "probe"
    assert train("probe", config, output) == 0
    return output


@pytest.fixture(scope="module")
def features(config: Path) -> Path:
    output = config.parent / "features"
    options = ["surprisal=true", "layers=[2]", 'readouts=["mean"]', "estimator.min_steps_per_leaf=5"]
    assert train("features", config, output, *options) == 0
    return output


def verdicts(folder: Path, batch: list[Solution], **settings: object) -> list[Verdict | Unscored]:
    judge = build_judge({**judge_table(str(folder)), **settings})
    try:
        return asyncio.run(judge.judge(batch))
    finally:
        asyncio.run(judge.aclose())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["probe", "features"])
def test_the_judge_finds_what_it_was_taught(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    fresh = records(25, seed=7)
    wrong = [r for r in fresh if r.label != NO_ERROR]
    known = verdicts(folder, [Solution(r.problem, r.steps, known_wrong=True) for r in wrong])
    hits = [isinstance(v, Verdict) and v.first_error == r.label for v, r in zip(known, wrong, strict=True)]
    assert sum(hits) / len(hits) > 0.9
    cold = verdicts(folder, [Solution(r.problem, r.steps) for r in fresh])
    told = [v.first_error if isinstance(v, Verdict) else "none" for v in cold]
    expected = [None if r.label == NO_ERROR else r.label for r in fresh]
    assert sum(a == b for a, b in zip(told, expected, strict=True)) / len(fresh) > 0.8


@pytest.mark.parametrize("kind", ["probe", "features"])
def test_the_evaluation_is_what_the_judge_does_on_unseen_problems(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    unseen = records(20, 7, "Riddle")  # the file's other rows are of training problems
    said = json.loads((folder / MANIFEST).read_text())["metrics"]["evaluation"]["records-fresh"]
    cold = verdicts(folder, [Solution(r.problem, r.steps) for r in unseen])
    found = [v.first_error if isinstance(v, Verdict) else "none" for v in cold]
    right = [a is None for a, r in zip(found, unseen, strict=True) if r.label == NO_ERROR]
    wrong = [a == r.label for a, r in zip(found, unseen, strict=True) if r.label != NO_ERROR]
    assert (said["num_correct"], said["num_error"]) == (len(right), len(wrong))
    assert said["correct_acc"] == pytest.approx(sum(right) / len(right))
    assert said["error_acc"] == pytest.approx(sum(wrong) / len(wrong))


def test_the_folder_is_whole(probe: Path) -> None:
    assert {p.name for p in probe.iterdir()} == {
        MANIFEST, WEIGHTS, "README.md", "reliability.png", "f1_threshold.png", "training.png"
    }  # fmt: skip
    manifest = json.loads((probe / MANIFEST).read_text())
    assert manifest["training"]["layers"] == [1, 2]
    assert len(manifest["metrics"]["validation_loss"]) == 4
    assert manifest["data_digest"]
    card = (probe / "README.md").read_text()
    assert "sgpo-judge" in card
    assert manifest["base"]["fingerprint"] in card


def test_features_say_what_decided(features: Path) -> None:
    manifest = json.loads((features / MANIFEST).read_text())
    importance = manifest["metrics"]["importance"]
    assert sum(importance.values()) == pytest.approx(1)
    assert max(importance, key=importance.get) == "probe"
    [verdict] = verdicts(
        features, [Solution("Count.", ("1 + 2 = 3 horse pears.", "3 + 1 = 4 zebra hens."), known_wrong=True)]
    )
    assert isinstance(verdict, Verdict)
    assert verdict.critique is not None
    assert verdict.critique.startswith("step 1: probe +")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["probe", "features"])
def test_a_batch_does_not_change_a_verdict(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    group = [Solution(r.problem, r.steps, known_wrong=True) for r in records(4, seed=3)]
    together = verdicts(folder, group)
    for alone, other in ((verdicts(folder, [one])[0], two) for one, two in zip(group, together, strict=True)):
        assert isinstance(alone, Verdict)
        assert isinstance(other, Verdict)
        assert alone.first_error == other.first_error
        assert alone.step_error_probs == pytest.approx(other.step_error_probs, abs=1e-4)


def test_verdicts_on_solutions_that_cannot_be_scored(probe: Path) -> None:
    batch = [
        Solution("p", ()),
        Solution("p", ("a b",) * 9),
        Solution("p", ("1 + 1 = 2",)),
        Solution("p", ("long " * 99,)),
    ]
    empty, many, fine, long = verdicts(probe, batch, max_steps=8, max_tokens=60)
    assert isinstance(empty, Unscored)
    assert empty.reason is UnscoredReason.NO_STEPS
    assert isinstance(many, Unscored)
    assert many.reason is UnscoredReason.TOO_LONG
    assert isinstance(fine, Verdict)
    assert isinstance(long, Unscored)
    assert "max_tokens = 60" in long.message


def test_the_judge_id_names_the_folder_and_an_overruled_threshold(probe: Path) -> None:
    plain = build_judge(judge_table(str(probe))).judge_id
    other = build_judge(judge_table(str(probe), ["threshold=0.25"])).judge_id
    assert plain.startswith("probe@1+")
    assert other == f"{plain}+threshold0.25"


def test_another_base_model_is_refused(probe: Path, smollm2: Path) -> None:
    with pytest.raises(ModelError, match="was made for base model"):
        build_judge(judge_table(str(probe), [f"model={smollm2}"]))


def test_an_interrupted_run_goes_on(config: Path, probe: Path) -> None:
    """What is there is not computed again: a second run from the same work gives the same judge to the bit."""
    states = sorted((config.parent / "probe.work" / "states" / "train").glob("*.safetensors"))
    assert states
    before = {path: path.stat().st_mtime_ns for path in states}
    states[-1].unlink()
    weights = load_file(probe / WEIGHTS)
    assert train("probe", config, probe) == 0
    after = load_file(probe / WEIGHTS)
    assert {name: array.tobytes() for name, array in weights.items()} == {n: a.tobytes() for n, a in after.items()}
    assert all(path.stat().st_mtime_ns == before[path] for path in states[:-1])
    assert states[-1].exists()


@pytest.mark.slow
def test_heads_of_other_data_are_not_taken_up(config: Path, tmp_path: Path) -> None:
    output = tmp_path / "judge"
    assert train("probe", config, output, "layers=[1]", 'readouts=["mean"]', "head.epochs=2") == 0
    [head] = (tmp_path / "judge.work" / "heads").iterdir()
    before = head.read_bytes()
    shutil.rmtree(tmp_path / "judge.work" / "states")
    assert train("probe", config, output, "layers=[1]", 'readouts=["mean"]', "head.epochs=2", "data.seed=3") == 0
    assert head.read_bytes() != before


def test_validation_meets_whole_solutions(config: Path, probe: Path) -> None:
    """A judge that is measured on solutions cut at the error knows where the error is."""
    work = probe.parent / "probe.work" / "states"
    whole = {name: json.loads((work / name / "store.json").read_text())["whole"] for name in ("train", "validation")}
    assert whole == {"train": False, "validation": True}
    manifest = json.loads((probe / MANIFEST).read_text())
    measured = manifest["metrics"]["validation"]
    assert measured["num_error"] + measured["num_correct"] == manifest["metrics"]["validation_records"]


def test_work_of_other_settings_is_refused(config: Path, probe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("probe", config, probe, "data.seed=5") == 2
    error = capsys.readouterr().err
    assert "holds states made with other settings (records)" in error
    assert "Traceback" not in error


def test_stored_states_are_the_models_own(tiny_policy: Path, tmp_path: Path) -> None:
    import torch

    from judge.backbone import load_backbone

    backbone = load_backbone(str(tiny_policy), dtype="float32")
    encoder = StepEncoder(backbone.tokenizer)
    made = [*records(3), Record("Problem 0: again.", ("1 + 1 = 2 hens.",), 0, id="x")]
    store = collect(backbone, encoder, made, [1], tmp_path, token_budget=200, surprisal=True)
    assert store.num_shards == 1, f"fewer than {CHUNK_TOKENS} tokens are one chunk"
    [shard] = store.shards()
    keys = [prefix(store.records[r], s) for r, s in zip(shard.records, shard.steps, strict=True)]
    assert Counter(keys) == Counter({prefix(r, s) for r in made for s in range(num_labelled(r))})
    begin = 0
    for key, length in zip(keys, shard.lengths, strict=True):
        encoded = encoder.encode(*key)
        ids = torch.tensor([[*encoded.prompt_ids, *encoded.response_ids]])
        with torch.inference_mode():
            output = backbone.model(ids, output_hidden_states=True)
        expected = output.hidden_states[1][0, -length:]
        torch.testing.assert_close(shard.states[0, begin : begin + length].float(), expected, atol=0.02, rtol=0.02)
        nats = -output.logits[0, -length - 1 : -1].log_softmax(-1).gather(1, ids[0, -length:, None])[:, 0]
        np.testing.assert_allclose(shard.surprisals[begin : begin + length], nats, atol=1e-4)
        begin += length

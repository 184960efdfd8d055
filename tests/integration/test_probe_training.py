"""The probe and the features judge from labelled records to verdicts, on a tiny random model."""

import asyncio
import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from judge.cli import main
from judge.data.shared_steps import num_labelled, prefix
from judge.encoding import StepEncoder
from judge.errors import ConfigError, DataError, ModelError
from judge.judge_folder import MANIFEST, WEIGHTS
from judge.records import write_records
from judge.registry import build_judge, judge_table
from judge.train.states import CHUNK_TOKENS, collect
from judge.types import NO_ERROR, Record, Solution, Unscored, UnscoredReason, Verdict

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = ("apples", "pears", "boxes", "hens")


def records(num_problems: int, seed: int = 0, name: str = "Problem") -> list[Record]:
    """Chains of sums. A wrong step says "zebra" where the others say "horse": a probe finds that in any states."""
    rng = random.Random(seed)
    found = []
    for problem in range(num_problems):
        for solution in range(3):
            total, steps = rng.randint(1, 9), []
            label = rng.choice([NO_ERROR, rng.randrange(4)])
            for step in range(4):
                more = rng.randint(1, 9)
                animal = "zebra" if step == label else "horse"
                steps.append(f"{total} + {more} = {total + more} {animal} {rng.choice(WORDS)}.")
                total += more
            text = f"{name} {problem}: count the {rng.choice(WORDS)}."
            found.append(Record(text, tuple(steps), label, source="made", id=f"{problem}-{solution}"))
    return found


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_policy: Path) -> Path:
    folder = tmp_path_factory.mktemp("probe-training")
    write_records(records(60), folder / "records.jsonl")
    write_records([*records(20, 7, "Riddle"), *records(5)], folder / "fresh.jsonl")
    path = folder / "probe.toml"
    path.write_text(
        f"""
model = "{tiny_policy}"
layers = [1, 2]
readouts = ["attention", "mean"]
num_queries = 2
width = 0
[head]
epochs = 30
learning_rate = 0.03
batch_steps = 64
[data]
validation_share = 0.25
calibration_share = 0.25
[[data.sources]]
source = "records"
path = "{folder / "records.jsonl"}"
[[evaluation]]
source = "records"
path = "{folder / "fresh.jsonl"}"
"""
    )
    return path


def train(kind: str, config: Path, output: Path, *options: str) -> int:
    sets = [part for option in options for part in ("--set", option)]
    return main(["train", kind, "--config", str(config), "--output", str(output), *sets])


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


def test_output_that_holds_something_else_is_refused_at_once(config: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert train("probe", config, tmp_path) == 2
    assert "exists and holds no judge" in capsys.readouterr().err
    assert not tmp_path.with_name(f"{tmp_path.name}.work").exists()


def test_work_of_other_settings_is_refused(config: Path, probe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("probe", config, probe, "data.seed=5") == 2
    error = capsys.readouterr().err
    assert "holds states made with other settings (records)" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("layers=[9]", "has layers 1 to 2, and layer 9"),
        ("model=no-such-model", "no such folder"),
        ("colour=red", "unknown key 'colour'"),
        ("max_tokens=5", "no record of at most max_tokens = 5"),
    ],
)
def test_bad_settings_are_one_line(config: Path, tmp_path: Path, capsys: Any, option: str, said: str) -> None:
    assert train("probe", config, tmp_path / "out", option) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


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


def test_too_few_wrong_steps_are_refused(config: Path, tmp_path: Path) -> None:
    only_right = [r for r in records(30) if r.label == NO_ERROR]
    write_records(only_right, tmp_path / "right.jsonl")
    from judge.settings import parse_table, read_toml
    from judge.train.probe import ProbeTraining, train_probe

    table = read_toml(config)
    table["data"]["sources"][0]["path"] = str(tmp_path / "right.jsonl")
    with pytest.raises((DataError, ConfigError), match="0 solutions with an error"):
        train_probe(parse_table(ProbeTraining, table, "test"), tmp_path / "out", "test")

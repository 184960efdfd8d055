import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge.backbone import Backbone
from judge.errors import ConfigError, ModelError
from judge.judge_folder import (
    MANIFEST,
    WEIGHTS,
    BaseModelRef,
    Manifest,
    check_base,
    folder_digest,
    read_arrays,
    read_manifest,
    write_folder,
)
from judge.registry import folder_kind, judge_table

BASE = BaseModelRef(name="some/model", fingerprint="aaaaaaaaaaaa", tokenizer_digest="bbbbbbbbbbbb")
ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}


def write(folder: Path, **changes: Any) -> Path:
    write_folder(folder, Manifest(kind="probe", base=BASE, **changes), ARRAYS, "# card\n")
    return folder


def backbone(fingerprint: str = "aaaaaaaaaaaa", digest: str = "bbbbbbbbbbbb") -> Backbone:
    return Backbone("here/model", None, None, fingerprint, digest)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "deep" / "judge", metrics={"f1": 0.5})
    manifest = read_manifest(folder, "probe")
    assert manifest.metrics == {"f1": 0.5}
    assert manifest.base == BASE
    np.testing.assert_array_equal(read_arrays(folder)["w"], ARRAYS["w"])
    assert (folder / "README.md").read_text() == "# card\n"
    assert [path.name for path in folder.parent.iterdir()] == ["judge"]
    assert oct((folder / WEIGHTS).stat().st_mode)[-3:] == "644"


def test_a_folder_is_a_judge_of_the_command_line(tmp_path: Path) -> None:
    folder = write(tmp_path / "judge")
    assert folder_kind(folder) == "probe"
    assert judge_table(str(folder), ["threshold=0.3"]) == {"kind": "probe", "folder": str(folder), "threshold": 0.3}


def test_digest_follows_weights_and_decoding(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    assert folder_digest(folder) == folder_digest(write(tmp_path / "b"))
    assert folder_digest(folder) != folder_digest(write(tmp_path / "c", decoding={"threshold": 0.1}))


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (backbone(fingerprint="cccccccccccc"), ("base model", "aaaaaaaaaaaa", "cccccccccccc")),
        (backbone(digest="dddddddddddd"), ("tokenizer", "bbbbbbbbbbbb", "dddddddddddd")),
    ],
)
def test_another_base_model_or_tokenizer_is_refused(tmp_path: Path, found: Backbone, what: tuple[str, ...]) -> None:
    folder = write(tmp_path / "judge")
    check_base(read_manifest(folder, "probe"), backbone(), folder)
    with pytest.raises(ModelError) as raised:
        check_base(read_manifest(folder, "probe"), found, folder)
    for word in (*what, "some/model", "here/model", "set 'model'"):
        assert word in str(raised.value)


def test_another_segmenter_is_refused_with_both_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "judge", segmenter="seg0")
    with pytest.raises(ModelError, match=r"segmenter 'seg0'.*'seg1'"):
        read_manifest(folder, "probe")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds a judge of kind 'probe'"):
        read_manifest(write(tmp_path / "judge"), "classifier")


@pytest.mark.parametrize("damage", ["no manifest", "no json", "unknown key", "newer", "no weights", "cut weights"])
def test_damaged_folders_are_refused(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path / "judge")
    path = folder / MANIFEST
    if damage == "no manifest":
        path.unlink()
    elif damage == "no json":
        path.write_text("{")
    elif damage == "unknown key":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
    elif damage == "newer":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    elif damage == "no weights":
        (folder / WEIGHTS).unlink()
    else:
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4])
    with pytest.raises(ModelError, match=str(folder)):
        (read_arrays if "weights" in damage else lambda f: read_manifest(f, "probe"))(folder)


def test_a_failed_write_leaves_the_former_judge(tmp_path: Path) -> None:
    folder = write(tmp_path / "judge", metrics={"round": 1})

    def full_disk(scratch: Path) -> None:
        (scratch / "picture.png").write_bytes(b"x")
        raise OSError(28, os.strerror(28))

    with pytest.raises(OSError, match="No space left"):
        write_folder(folder, Manifest(kind="probe", metrics={"round": 2}), ARRAYS, "", full_disk)
    assert read_manifest(folder, "probe").metrics == {"round": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["judge"]
    write(folder, metrics={"round": 3})
    assert read_manifest(folder, "probe").metrics == {"round": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["judge"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="exists and holds no judge"):
        write(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'w' of the trained judge is not finite"):
        write_folder(tmp_path / "judge", Manifest(kind="probe"), {"w": np.array([1.0, np.inf])}, "")
    assert not (tmp_path / "judge").exists()

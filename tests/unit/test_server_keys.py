"""The accepted keys: where they come from, what is refused, how they are exchanged while the server runs."""

from __future__ import annotations

import ast
import hashlib
import inspect
import logging
import os
import textwrap
from pathlib import Path

import pytest

from judge.errors import ConfigError
from reward_server.config import AuthSettings
from reward_server.edge.auth import load_keys
from reward_server.edge.keys import Key, KeyFile, KeyRing, tenant_label

OLD, NEW, OTHER = "old-" + "x" * 40, "new-" + "y" * 40, "other-" + "z" * 40


def digest_line(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def change(path: Path, text: str) -> None:
    """Rewrite a file so that its time differs even on a coarse clock."""
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))


def test_keys_come_from_the_variable_and_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the trainers\n\n{digest_line(OLD)}  trainer-a  # until Friday\n{NEW} trainer-a\n")
    ring = load_keys(AuthSettings(api_keys_file=path), {"SGPO_API_KEYS": OTHER})
    assert ring.required
    assert [ring.tenant_of(key) for key in (OLD, NEW)] == ["trainer-a", "trainer-a"]
    assert ring.tenant_of(OTHER) == tenant_label(hashlib.sha256(OTHER.encode()).digest())
    assert ring.tenant_of(OTHER + "x") is None
    assert not ring.accepts("")
    assert len(ring.digests) == 3


def test_without_any_source_no_key_is_asked_for() -> None:
    assert not load_keys(AuthSettings(), {}).required
    assert not KeyRing(()).required


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x" * 31, "32 printable"),
        ("sha256:abc", "64 hexadecimal"),
        (f"{OLD} not a label", "label"),
        (f"{OLD} " + "a" * 33, "label"),
        ("ключ-" * 10, "printable ASCII"),
        ("a,b" * 20, "commas"),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{OLD}\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2") as error:
        KeyFile(path)
    assert said in str(error.value)
    assert line.split()[0] not in str(error.value)


@pytest.mark.parametrize("value", ["x" * 31, f"{OLD},short", ",", f"{OLD},"])
def test_a_bad_key_in_the_variable_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(ConfigError, match="SGPO_API_KEYS") as error:
        load_keys(AuthSettings(), {"SGPO_API_KEYS": value})
    assert OLD not in str(error.value)


def test_a_missing_or_empty_file_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        KeyFile(tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match="holds no key"):
        KeyFile(tmp_path / "empty")


def test_a_key_is_exchanged_without_a_restart(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "keys"
    path.write_text(f"{OLD} a\n")
    ring = KeyRing((), KeyFile(path, clock))
    change(path, f"{OLD} a\n{NEW} a\n")
    assert ring.tenant_of(NEW) is None, "looked at no more than once a second"
    clock.now += 1.0
    assert (ring.tenant_of(OLD), ring.tenant_of(NEW)) == ("a", "a")
    change(path, f"{NEW} a\n")
    clock.now += 1.0
    assert (ring.tenant_of(OLD), ring.tenant_of(NEW)) == (None, "a")


def test_a_spoilt_file_keeps_the_keys_and_an_emptied_one_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = Clock(), tmp_path / "keys"
    path.write_text(f"{OLD}\n")
    ring = KeyRing((), KeyFile(path, clock))
    for spoil in (lambda: change(path, f"{NEW}\nshort-secret\n"), path.unlink):
        spoil()
        clock.now += 1.0
        with caplog.at_level(logging.ERROR):
            assert ring.accepts(OLD)
        assert "stay in force" in caplog.text
        assert "short-secret" not in caplog.text
        caplog.clear()
    change_to_nothing = "# all revoked\n"
    path.write_text(change_to_nothing)
    clock.now += 1.0
    assert not ring.accepts(OLD)
    assert ring.required


def test_every_key_is_compared_in_constant_time_and_none_ends_the_search() -> None:
    source = ast.parse(textwrap.dedent(inspect.getsource(KeyRing.tenant_of)))
    [loop] = [node for node in ast.walk(source) if isinstance(node, ast.For)]
    leaves_early = (ast.Break, ast.Return, ast.Raise, ast.Continue)
    assert not [node for node in ast.walk(loop) if isinstance(node, leaves_early)]
    called = [ast.unparse(node.func) for node in ast.walk(loop) if isinstance(node, ast.Call)]
    assert called == ["hmac.compare_digest"]
    assert not [node for node in ast.walk(loop) if isinstance(node, ast.Compare)], "no == on digests"


def test_the_last_of_many_keys_is_found() -> None:
    keys = [Key(hashlib.sha256(f"{index}".encode()).digest(), f"t{index}") for index in range(50)]
    ring = KeyRing(keys)
    assert [ring.tenant_of(str(index)) for index in (0, 25, 49)] == ["t0", "t25", "t49"]

"""The verifiers adapter, called as verifiers 0.4.0 calls plugged rewards and metrics: by name, one trace at a time."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal
from unittest import mock

import pytest

from sgpo_client.adapters.settings import VARIABLES
from sgpo_client.adapters.verifiers import sample_of, sgpo, sgpo_accuracy
from sgpo_client.errors import ConfigError, DataError
from tests.integration.adapter_suite import (
    BASE,
    IMPATIENT,
    TOWER,
    A,
    AdapterSuite,
    B,
    Outcome,
    Row,
    expected,
    group,
    url_of,
)
from tests.integration.http_server import running


def task_of(row: Row) -> Any:
    return SimpleNamespace(id=row.uid, idx=0, prompt=row.problem, answer=row.answer)


def trace_of(row: Row) -> Any:
    message = SimpleNamespace(role="assistant", content=row.text, tool_calls=None)
    return SimpleNamespace(id=uuid.uuid4().hex, assistant_messages=[message], last_reply=row.text)


class VerifiersDriver:
    failure: Literal["none", "raise", "outcome"] = "raise"
    joins = True
    mixed_sizes = False
    messages = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        [size] = set(Counter(row.uid for row in rows).values())
        values = {"url": url, "group_size": size} | settings

        async def run() -> list[list[float]]:
            pairs = [(task_of(row), trace_of(row)) for row in rows]
            rewards = await asyncio.gather(*(sgpo(task=task, trace=trace) for task, trace in pairs))
            accs = await asyncio.gather(*(sgpo_accuracy(task=task, trace=trace) for task, trace in pairs))
            return [list(rewards), list(accs)]

        with mock.patch.dict(os.environ, {VARIABLES[name]: str(value) for name, value in values.items()}):
            rewards, accs = asyncio.run(run())
        return Outcome([*rewards], [int(acc) for acc in accs])


class TestVerifiers(AdapterSuite):
    driver = VerifiersDriver()


def test_group_size_must_be_known() -> None:
    [row] = group("x")
    with mock.patch.dict(os.environ, {"SGPO_GROUP_SIZE": ""}), pytest.raises(ConfigError, match="SGPO_GROUP_SIZE"):
        asyncio.run(sgpo(task_of(row), trace_of(row)))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ({"id": "row-1", "idx": 7, "name": "n"}, "row-1"),
        ({"id": None, "idx": 0}, "0"),
        ({"idx": 3}, "3"),
        ({"name": "the third"}, "the third"),
        ({"key": "4f2a"}, "4f2a"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_group_is_named_by_what_there_is(shape: dict[str, Any], name: str, wrapped: bool) -> None:
    """The hooks get the task's data (0.4.0); a whole task, which holds them, has the key."""
    [row] = group("x")
    texts = {"prompt": row.problem, "answer": row.answer}
    key = {"key": shape["key"]} if "key" in shape else {}
    data = SimpleNamespace(**texts, **shape)
    sample = sample_of(SimpleNamespace(data=data, **key) if wrapped else data, trace_of(row))
    assert (sample.uid, sample.problem, sample.reference_answer) == (name, row.problem, row.answer)


def test_task_that_nothing_names_is_refused() -> None:
    [row] = group("x")
    with pytest.raises(DataError, match="none of id, idx, name and no key"):
        sample_of(SimpleNamespace(id=None, prompt=row.problem, answer=row.answer), trace_of(row))


def test_answer_that_cannot_be_compared_is_a_0_of_the_metric() -> None:
    [row] = group(TOWER)
    with running(BASE | IMPATIENT) as server, mock.patch.dict(os.environ, {"SGPO_URL": url_of(server)}):
        assert asyncio.run(sgpo_accuracy(task_of(row), trace_of(row))) == 0


def test_trace_with_tools_is_refused() -> None:
    [row] = group("x")
    trace = trace_of(row)
    trace.assistant_messages[0].tool_calls = [object()]
    with mock.patch.dict(os.environ, {"SGPO_GROUP_SIZE": "2"}), pytest.raises(DataError, match="tool calls"):
        asyncio.run(sgpo(task_of(row), trace))


def own_hooks() -> Any:
    """verifiers' module of hooks, by itself: it needs nothing, and the package some twenty others."""
    package = find_spec("verifiers")
    if package is None or package.origin is None:
        pytest.skip("verifiers is not installed")
    path = Path(package.origin).parent / "v1" / "utils" / "decorators.py"
    spec = spec_from_file_location("verifiers_decorators", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_called_by_verifiers_own_hooks() -> None:
    """What a task's scoring does with the plugged functions: arguments by name."""
    hooks = own_hooks()
    rows = group(A, B)
    with running(BASE) as server:
        environment = {"SGPO_URL": url_of(server), "SGPO_GROUP_SIZE": "2"}

        async def score() -> list[Any]:
            calls = (
                hooks.invoke_all([sgpo, sgpo_accuracy], {"task": task_of(row), "trace": trace_of(row), "runtime": None})
                for row in rows
            )
            return list(await asyncio.gather(*calls))

        with mock.patch.dict(os.environ, environment):
            found = asyncio.run(score())
        assert found == [[reward, 0.0] for reward in expected(server, [A, B])]

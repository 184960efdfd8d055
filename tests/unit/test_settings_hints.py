"""What is said of a key that a table does not have."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from judge.errors import ConfigError
from judge.settings import Settings, parse_table


class Inner(Settings):
    rank: int = 1
    dropout: float = 0.0


class Head(Settings):
    epochs: int = 1
    lora: Inner | None = None


class Other(Settings):
    width: int = 1


class Run(Settings):
    seed: int = 0
    head: Head = Head()
    others: tuple[Other, ...] = ()


class Tree(BaseModel):
    branches: list[Tree] = []
    leaf: int = 0
    model_config = {"extra": "forbid"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"epochs": 3}, "unknown key 'epochs'; move it into [head]"),
        ({"rank": 3}, "unknown key 'rank'; move it into [head.lora]"),
        ({"width": 3}, "unknown key 'width'; move it into [others]"),
        ({"head": {"seed": 1}}, "unknown key 'head.seed'; move it out of [head]"),
        ({"head": {"rank": 1}}, "unknown key 'head.rank'; move it into [head.lora]"),
        ({"sede": 1}, "unknown key 'sede'; did you mean 'seed'?"),
        ({"head": {"epohcs": 1}}, "unknown key 'head.epohcs'; did you mean 'epochs'?"),
        ({"epohcs": 1}, "unknown key 'epohcs'; did you mean 'head.epochs'?"),
        ({"nothing_like_it": 1}, "unknown key 'nothing_like_it'"),
    ],
)
def test_the_table_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_table(Run, table, "x.toml")
    assert str(caught.value) == f"x.toml: {said}"


def test_a_table_that_holds_its_own_kind() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'branches\.0\.laef'; did you mean 'leaf'"):
        parse_table(Tree, {"branches": [{"laef": 1}]}, "x")

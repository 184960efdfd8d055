"""Which judges get a process, and how their calls are put together."""

from __future__ import annotations

from typing import Any

import pytest

from judge.judges.scripted import ScriptedJudge
from reward_server.batching import Places, TokenBudgetBatcher
from reward_server.config import ServerConfig
from reward_server.engine.judge_placing import build_batcher, computes_here, place_judge
from reward_server.engine.judge_process import ProcessJudge
from reward_server.metrics import Metrics

REMOTE = {"kind": "critic", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
LOCAL = {"kind": "scan", "model": "m", "backend": "local"}
RULES, PROBE, SCRIPTED = {"kind": "rules"}, {"kind": "probe", "folder": "x"}, {"kind": "scripted"}


@pytest.mark.parametrize(
    ("table", "process", "batcher"),
    [
        (RULES, True, Places),
        (SCRIPTED, False, Places),
        (REMOTE, False, Places),
        (LOCAL, True, TokenBudgetBatcher),
        (PROBE, True, TokenBudgetBatcher),
        ({"kind": "default"}, True, TokenBudgetBatcher),
        ({"kind": "features", "folder": "x"}, True, TokenBudgetBatcher),
        ({"kind": "classifier", "folder": "x"}, True, TokenBudgetBatcher),
        ({"kind": "cascade", "stages": [RULES, REMOTE]}, True, Places),
        ({"kind": "cascade", "stages": [PROBE, REMOTE]}, True, Places),
        ({"kind": "cascade", "stages": [PROBE, {"kind": "vote", "members": [LOCAL, PROBE]}]}, True, TokenBudgetBatcher),
        ({"kind": "vote", "members": [REMOTE, SCRIPTED]}, False, Places),
    ],
)
def test_what_computes_here_gets_a_process_and_models_get_batches(
    table: dict[str, Any], process: bool, batcher: type
) -> None:
    assert computes_here(table) is process
    assert type(build_batcher(ScriptedJudge(), ServerConfig(judge=table), Metrics())) is batcher


@pytest.mark.parametrize(
    ("run_in", "kind"), [("auto", ScriptedJudge), ("here", ScriptedJudge), ("process", ProcessJudge)]
)
async def test_the_setting_overrules(run_in: str, kind: type) -> None:
    config = ServerConfig.model_validate({"judge": SCRIPTED, "judge_process": {"run_in": run_in}})
    judge = place_judge(config, "[judge]")
    assert type(judge) is kind
    assert judge.judge_id == ScriptedJudge().judge_id
    await judge.aclose()

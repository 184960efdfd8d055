"""Verdicts as served, without HTTP."""

from __future__ import annotations

from reward_server.config import ServerConfig
from reward_server.engine.judging import JudgeDesk
from reward_server.metrics import Metrics
from reward_server.schemas import JudgeRequest
from reward_server.solutions import Segmenter
from reward_server.verdicts import VerdictService
from tests.unit.service_calls import scripted, text


async def test_verdicts_keep_the_order_of_the_items() -> None:
    config = ServerConfig.model_validate({"limits": {"max_steps": 4}})
    service = VerdictService(config, JudgeDesk(scripted(), Metrics(), 1), Segmenter())
    items = [
        {"id": "a", "problem": "p", "text": text(3, 2)},
        {"id": "b", "problem": "p", "steps": ["fine", "WRONG"]},
        {"id": "c", "problem": "p", "text": ""},
        {"id": "d", "problem": "p", "text": text(3, None)},
        {"id": "e", "problem": "p", "text": text(3, None), "known_wrong": True},
        {"id": "f", "problem": "p", "text": text(5, 1)},
    ]
    reply = await service.judge(JudgeRequest.model_validate({"items": items, "include_steps": True}))
    assert [(out.id, out.first_error, out.num_steps, out.error and out.error.code) for out in reply.items] == [
        ("a", 2, 3, None),
        ("b", 1, 2, None),
        ("c", None, 0, "no_steps"),
        ("d", None, 3, None),
        ("e", None, 3, "no_error_found"),
        ("f", None, 5, "too_long"),
    ]
    assert [out.step_offsets is None for out in reply.items] == [False, True, False, False, False, False]

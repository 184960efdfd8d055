"""The reward client and the real reward server together, the server started as the trainer starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from reward_server.schemas import RewardReply, RewardRequest
from sgpo_client.client_settings import ClientSettings
from sgpo_client.codec import decode_reply, encode_request
from sgpo_client.errors import RewardRejected, RewardUnavailable
from sgpo_client.reward_client import RewardClient
from sgpo_client.server_process import ServerProcess, start_server
from sgpo_client.wire import ResponseScore, RewardGroup, RewardResponse, ShapingParams

SHAPING = ShapingParams()


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with start_server(run_dir=tmp_path_factory.mktemp("run"), timeout_s=60, judge="scripted") as server:
        yield server


@pytest.fixture
def client(real_server: ServerProcess) -> Iterator[RewardClient]:
    with RewardClient(ClientSettings(url=real_server.url, deadline_s=60)) as client:
        yield client


def wire_group(*texts: str, answer: str | None = "7") -> RewardGroup:
    responses = tuple(RewardResponse(str(i), text) for i, text in enumerate(texts))
    return RewardGroup("g", "What is 3 + 4?", responses, answer, "3 + 4 = 7")


WRONG = "We add 3 + 4 as 5 + 2.\n\nThat is 9 - 2 = 8, WRONG.\n\nThe answer is \\boxed{8}."
BELIEVED = "We add 3 + 4 = 8.\n\nThe answer is \\boxed{8}."
RIGHT = "We add the numbers.\n\nThe answer is \\boxed{7}."


def test_a_judged_group_fills_every_field_of_the_wire(client: RewardClient) -> None:
    mixed, negative, unknown = client.score(
        [wire_group(RIGHT, WRONG), wire_group(WRONG, BELIEVED, ""), wire_group(WRONG, answer=None)],
        SHAPING,
        include_steps=True,
    )
    assert [r.status for r in mixed.responses] == ["correct", "wrong"]
    assert [(r.reward, r.acc) for r in mixed.responses] == [(1.0, 1), (0.0, 0)]
    assert negative.all_negative
    assert not mixed.all_negative
    judged, believed, empty = negative.responses
    assert (judged.status, judged.first_error, judged.num_steps, judged.acc) == ("judged", 1, 3, 0)
    assert (judged.rts, judged.rts_raw, judged.flags) == (pytest.approx(1 / 3), pytest.approx(1 / 3), ())
    # cap * sigmoid(beta * (rts - gamma)) = 0.5 / (1 + exp(-10 * (1/3 - 1/2)))
    assert judged.reward == pytest.approx(0.0794346)
    assert judged.step_offsets is not None
    steps = [WRONG[start:end].strip() for start, end in judged.step_offsets]
    assert steps == WRONG.split("\n\n")
    assert (believed.status, believed.reward) == ("unscored", None)
    assert believed.error is not None
    assert believed.error.code
    assert believed.error.message
    assert (empty.status, empty.rts, empty.rts_raw) == ("wrong", 0, None)
    assert empty.flags == ("no_answer", "too_short", "content_free")
    assert unknown.responses[0].status == "unscored"
    for field in fields(ResponseScore):
        values = [getattr(score, field.name) for score in (judged, believed, empty)]
        assert field.name == "cached" or any(value is not None for value in values), f"{field.name} was never filled"


def test_every_shaping_parameter_reaches_the_server(client: RewardClient) -> None:
    group = wire_group(WRONG, WRONG)
    [base] = client.score([group], SHAPING)
    for changed in (
        ShapingParams(beta=2.0),
        ShapingParams(gamma=0.1),
        ShapingParams(cap=0.9),
        ShapingParams(length="characters"),
    ):
        [scores] = client.score([group], changed)
        assert scores.responses[0].reward != base.responses[0].reward, changed
    [outcome_only] = client.score([group], ShapingParams(apply_to="none"))
    assert [(r.status, r.reward) for r in outcome_only.responses] == [("wrong", 0.0)] * 2
    [mixed] = client.score([wire_group(RIGHT, WRONG)], ShapingParams(apply_to="every_wrong"))
    assert [r.status for r in mixed.responses] == ["correct", "judged"]


def test_a_known_outcome_is_believed(client: RewardClient) -> None:
    responses = (RewardResponse("0", WRONG, outcome=True), RewardResponse("1", RIGHT, outcome=False))
    [scores] = client.score([RewardGroup("g", "What is 3 + 4?", responses)], SHAPING)
    assert [response.acc for response in scores.responses] == [1, 0]


def test_requests_of_the_client_are_accepted_whole_by_the_servers_schema() -> None:
    groups = [wire_group(RIGHT, WRONG), RewardGroup("h", "?", (RewardResponse("x", "", outcome=False),))]
    sent = encode_request(groups, ShapingParams(1.0, 0.1, 0.2, "characters", "every_wrong"), include_steps=True)
    parsed = RewardRequest.model_validate_json(sent)
    kept = json.loads(parsed.model_dump_json())
    for group in kept["groups"]:
        assert group.pop("complete") is True  # the client always sends whole groups
    assert kept == json.loads(sent)

    item = {"id": "x", "reward": None, "acc": 0, "rts": 0.5, "first_error": 1, "num_steps": 2, "cached": True}
    item |= {"rts_raw": 0.75, "flags": ["talk"]}
    item |= {"step_offsets": [[0, 1], [1, 2]], "status": "unscored", "error": {"code": "c", "message": "m"}}
    reply = RewardReply.model_validate_json(
        json.dumps(
            {
                "groups": [{"group_id": "h", "all_negative": True, "responses": [item]}],
                "judge": {"id": "j"},
                "timing_s": {"queue": 0.0, "judge": 0.0, "total": 0.0},
            }
        )
    ).model_dump_json()
    [scores] = decode_reply(reply.encode(), groups[1:])
    assert json.loads(json.dumps(asdict(scores))) == json.loads(reply)["groups"][0]


def test_long_responses_and_many_groups(client: RewardClient) -> None:
    long = "Adding 1 to 3 is 4. " * 5000  # 100,000 characters
    [scores] = client.score([wire_group(long, WRONG)], SHAPING)
    assert scores.responses[0].status in ("judged", "unscored")
    groups = [RewardGroup(f"g{i}", f"{i}?", wire_group(WRONG, RIGHT).responses, "7") for i in range(200)]
    assert [scores.group_id for scores in client.score(groups, SHAPING)] == [f"g{i}" for i in range(200)]


def test_rejection_names_the_field(client: RewardClient) -> None:
    with pytest.raises(RewardRejected, match=r"422.*problem") as caught:
        client.score([RewardGroup("g", "", (RewardResponse("0", "x"),))], SHAPING)
    assert caught.value.code


def test_info_names_the_judge(client: RewardClient) -> None:
    judge = client.info()["judge"]
    assert isinstance(judge, dict)
    assert "scripted" in judge["id"]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_server_stops_with_its_block(tmp_path: Path) -> None:
    with start_server(run_dir=tmp_path / "new", timeout_s=60, judge="rules") as server:
        assert alive(server.pid)
        assert server.log_path == tmp_path / "new" / "reward_server.log"
        with RewardClient(ClientSettings(url=server.url)) as client:
            assert client.not_ready_reason() is None
    assert not alive(server.pid)


def test_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "reward_server.log").write_text("a line of an earlier run\n")
    config = tmp_path / "server.toml"
    config.write_text("[judge]\nkind = 'oracle'\n")
    begin = time.monotonic()
    with (
        pytest.raises(RewardUnavailable) as caught,
        start_server(run_dir=tmp_path, timeout_s=60, config_path=config),
    ):
        pass
    assert time.monotonic() - begin < 30
    for word in ("exit status 2", "oracle", "reward_server.log"):
        assert word in str(caught.value)
    assert "earlier run" not in str(caught.value)


def test_server_that_is_not_ready_in_time_is_stopped(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("[judge]\nkind = 'scripted'\nfail = 'raise'\n")
    with (
        pytest.raises(RewardUnavailable, match=r"not ready in time .*not_ready"),
        start_server(run_dir=tmp_path, timeout_s=8, config_path=config),
    ):
        pass


def test_server_dies_with_a_trainer_that_is_killed(tmp_path: Path) -> None:
    code = f"""
        import time
        from pathlib import Path
        from sgpo_client.server_process import start_server
        with start_server(run_dir=Path({str(tmp_path)!r}), timeout_s=60, judge="rules") as server:
            print(server.pid, flush=True)
            time.sleep(120)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        pid = int(trainer.stdout.readline())
        assert alive(pid)
        os.kill(trainer.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(pid)

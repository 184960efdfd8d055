"""A vLLM server that serves something else, is away for a while, or has lost the weights; over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sgpo_client.errors import ConfigError, SamplerError
from sgpo_client.ranks import distributed
from sgpo_client.ranks.distributed import World
from sgpo_client.rollout.sampler import SamplingParams
from sgpo_client.rollout.vllm_check import PROBE, check_server
from sgpo_client.rollout.vllm_server import VllmServerSampler
from sgpo_client.settings.rollout import VllmTable
from tests.distributed.tiny import tiny_model
from tests.integration.vllm_stub import TOKENS, VllmStub, serving

PARAMS = SamplingParams(max_new_tokens=3, batch_size=2, logprobs=True)
PROMPTS = [[1], [2, 3], [4]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield distributed.init()
    distributed.shutdown()


@pytest.fixture(scope="module")
def tokenizer(smollm2: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(smollm2)


def connect(port: int, tokenizer: PreTrainedTokenizerBase, world: World, deadline_s: float = 60) -> VllmServerSampler:
    table = VllmTable(url=f"http://127.0.0.1:{port}", deadline_s=deadline_s)
    return VllmServerSampler(table, tokenizer, [7], torch.float32, world)


def good_stub(tokenizer: PreTrainedTokenizerBase) -> VllmStub:
    said = {"model": "there", "logprobs_mode": "processed_logprobs", "max_model_len": 64}
    return VllmStub(said, tiny_model().config.to_dict(), tokenizer(PROBE, add_special_tokens=False)["input_ids"])


def refusal(stub: VllmStub, tokenizer: PreTrainedTokenizerBase, world: World) -> str:
    with serving(stub) as port, connect(port, tokenizer, world) as sampler, pytest.raises(ConfigError) as error:
        sampler.run(check_server(sampler.http, "http://there", tiny_model().config, tokenizer, max_tokens=64))
    return str(error.value)


def test_a_server_that_fits_is_accepted(tokenizer: PreTrainedTokenizerBase, world: World) -> None:
    with serving(good_stub(tokenizer)) as port, connect(port, tokenizer, world) as sampler:
        sampler.run(check_server(sampler.http, "http://there", tiny_model().config, tokenizer, max_tokens=64))


def test_refusals_name_what_differs(tokenizer: PreTrainedTokenizerBase, world: World) -> None:
    other_model, other_tokenizer, short, raw, deaf = (good_stub(tokenizer) for _ in range(5))
    other_model.hf_config["hidden_size"] = 48
    other_tokenizer.tokens = other_tokenizer.tokens[:-1]
    short.model_config["max_model_len"] = 63
    raw.model_config["logprobs_mode"] = "raw_logprobs"
    deaf.backend = "nccl"
    assert "the server of 'there' has another model than model.name: hidden_size 48 there, 32 here" in refusal(
        other_model, tokenizer, world
    )
    assert "has another tokenizer than model.name" in refusal(other_tokenizer, tokenizer, world)
    assert "takes 63 tokens (--max-model-len), but" in refusal(short, tokenizer, world)
    assert "--logprobs-mode processed_logprobs" in refusal(raw, tokenizer, world)
    assert "--weight-transfer-config" in refusal(deaf, tokenizer, world)


def test_weights_arrive_and_responses_are_from_them(tokenizer: PreTrainedTokenizerBase, world: World) -> None:
    stub, policy = VllmStub(), tiny_model()
    with serving(stub) as port, connect(port, tokenizer, world) as sampler:
        sampler.load_weights(policy)
        rollouts = sampler.sample(PROMPTS, PARAMS, seed=1)
    parameters = dict(policy.named_parameters())
    assert stub.weights.keys() == parameters.keys()
    assert all(torch.equal(stub.weights[name], value) for name, value in parameters.items())
    # Nothing may be sampled until keys and values of the old weights are gone.
    ordered = ["/pause", "/update_weights", "/finish_weight_update", "/reset_prefix_cache", "/resume"]
    assert [path for path in stub.told if path in ordered] == ordered
    assert [rollout.prompt_ids for rollout in rollouts] == PROMPTS
    assert all(rollout.response_ids == TOKENS and rollout.logprobs == [-0.5] * 3 for rollout in rollouts)
    assert len({body["sampling_params"]["seed"] for body in stub.sampled}) == len(PROMPTS)


def test_a_server_that_was_started_anew_gets_the_weights_again(
    tokenizer: PreTrainedTokenizerBase, world: World
) -> None:
    first, second = VllmStub(), VllmStub()
    with serving(first) as port:
        sampler = connect(port, tokenizer, world)
        sampler.load_weights(tiny_model())
    timer = threading.Timer(1.0, lambda: start.set())
    start, done = threading.Event(), threading.Event()

    def serve_later() -> None:
        assert start.wait(60)
        with serving(second, port):
            assert done.wait(60)

    server = threading.Thread(target=serve_later)
    server.start()
    timer.start()
    try:
        with sampler:
            rollouts = sampler.sample(PROMPTS, PARAMS, seed=1)
    finally:
        done.set()
        server.join()
    assert len(rollouts) == len(PROMPTS)
    assert second.version == first.version != "default"
    assert second.told.count("/update_weights") == 1
    assert second.weights.keys() == first.weights.keys()


def test_a_server_that_is_gone_for_good(tokenizer: PreTrainedTokenizerBase, world: World) -> None:
    with serving(VllmStub()) as port:
        sampler = connect(port, tokenizer, world, deadline_s=0.5)
        sampler.load_weights(tiny_model())
    with sampler, pytest.raises(SamplerError, match=r"no answer within 0.5 s \(rollout.vllm.deadline_s\)"):
        sampler.sample(PROMPTS, PARAMS, seed=1)


def test_something_that_is_no_vllm(tokenizer: PreTrainedTokenizerBase, world: World) -> None:
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        with connect(server.server_address[1], tokenizer, world) as sampler, pytest.raises(SamplerError, match="404"):
            sampler.run(check_server(sampler.http, "http://there", tiny_model().config, tokenizer, max_tokens=64))
        server.shutdown()

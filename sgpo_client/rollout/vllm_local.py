"""Sampling with vLLM in the training's own process: weights are handed over as tensors, never through a file."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sgpo_client.errors import ConfigError, SamplerError
from sgpo_client.ranks.distributed import World
from sgpo_client.ranks.fsdp import full_parameters
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.rollout.vllm_heads import refresh_tied_heads
from sgpo_client.rollout.vllm_params import LOGPROBS_MODE, make_rollout, request_params
from sgpo_client.settings.rollout import RolloutTable
from sgpo_client.types import Rollout

if TYPE_CHECKING:
    from vllm import LLM


class VllmSampler(Sampler):
    """Samples with a vLLM engine that lives in this process.

    Args:
        engine: made by `start_engine`.
        tokenizer: the policy's.
        ends: tokens that end a response.
        dtype: of the engine's weights.
    """

    def __init__(
        self, engine: LLM, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], dtype: torch.dtype
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._ends = list(ends)
        self._dtype = dtype

    def stream(
        self, prompts: Sequence[list[int]], params: SamplingParams, seed: int
    ) -> Generator[tuple[int, Rollout], None, None]:
        """See `Sampler.stream`. What is under way is given up when the caller stops reading."""
        from vllm import SamplingParams as VllmParams

        core = self._engine.llm_engine
        for index, prompt in enumerate(prompts):
            asked = VllmParams(**request_params(params, self._ends, seed, index))
            core.add_request(str(index), {"prompt_token_ids": prompt}, asked)
        try:
            while core.has_unfinished_requests():
                for output in core.step():
                    if output.finished:
                        index = int(output.request_id)
                        yield index, self._rollout(prompts[index], output.outputs[0])
        finally:
            core.abort_request([str(index) for index in range(len(prompts))])

    def load_weights(self, policy: PreTrainedModel) -> None:
        """See `Sampler.load_weights`."""
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": full_parameters(policy, self._dtype)})
        self._engine.apply_model(refresh_tied_heads)
        if not self._engine.reset_prefix_cache():  # it holds keys and values of the old weights
            raise SamplerError("vLLM could not drop its prefix cache after new weights: requests are still under way")

    def close(self) -> None:
        """Stop the engine."""
        self._engine.llm_engine.engine_core.shutdown()

    def _rollout(self, prompt: list[int], output: Any) -> Rollout:
        tokens = list(output.token_ids)
        logprobs = output.logprobs and [
            entry[token].logprob for token, entry in zip(tokens, output.logprobs, strict=True)
        ]
        return make_rollout(self._tokenizer, prompt, tokens, logprobs, output.finish_reason)


def start_engine(model: str, table: RolloutTable, max_tokens: int, dtype: torch.dtype, world: World) -> LLM:
    """A vLLM engine in this process, with the weights of ``model`` for now.

    Args:
        model: folder or hub id of the policy.
        table: the settings.
        max_tokens: longest prompt and response together.
        dtype: of its weights and computations.
        world: every rank starts an engine of its own.

    Raises:
        ConfigError: when vLLM is not installed, or cannot run this model with these settings.
    """
    # In this process: weights are passed by reference, and no second process has to be put away.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    try:
        from vllm import LLM
    except ImportError as error:
        raise ConfigError(
            f"rollout.engine = 'vllm' needs vLLM, which cannot be imported here ({error}); install the extra: pip "
            "install 'sgpo[vllm]', or set rollout.engine = 'transformers'"
        ) from error
    try:
        return LLM(
            model=str(Path(model)) if Path(model).is_dir() else model,
            dtype=str(dtype).removeprefix("torch."),
            max_model_len=max_tokens,
            max_num_seqs=table.batch_size,
            kv_cache_memory_bytes=int(table.vllm.kv_cache_gb * 2**30),
            enforce_eager=table.vllm.enforce_eager,
            logprobs_mode=LOGPROBS_MODE,
            generation_config="vllm",
            disable_log_stats=True,
            # With several ranks vLLM has to live with the process group that the training has begun.
            distributed_executor_backend="external_launcher" if world.size > 1 else None,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise ConfigError(f"rollout.engine = 'vllm': vLLM cannot run {model!r} here: {error}") from error

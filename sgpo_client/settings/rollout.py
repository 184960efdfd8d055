"""``[rollout]``: how responses are sampled."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from sgpo_client.client_settings import base_url
from sgpo_client.settings.table import Table

Engine = Literal["transformers", "vllm", "vllm_server"]


class VllmTable(Table):
    """``[rollout.vllm]``: for the engines ``vllm`` and ``vllm_server``."""

    url: Annotated[str, AfterValidator(lambda url: base_url(url) if url else url)] = ""
    """Base URL of the server, for ``vllm_server``."""
    deadline_s: float = Field(default=600.0, gt=0, le=86400)
    """Longest wait for a server that does not answer; then the run saves a checkpoint and stops."""
    trainer_host: str = ""
    """Address of this machine that the server reaches it at, to fetch weights. Empty: that of the connection to it."""
    kv_cache_gb: float = Field(default=2.0, gt=0)
    """Room for keys and values, for ``vllm``, which shares its memory with the training."""
    enforce_eager: bool = True
    """Neither compile nor capture graphs, for ``vllm``: it starts in a fraction of the time."""


class RolloutTable(Table):
    """``[rollout]``: how responses are sampled."""

    prompts_per_step: int = Field(default=8, ge=1)
    """Problems per step, over all ranks."""
    group_size: int = Field(default=8, ge=2)
    """Responses per problem (G)."""
    max_new_tokens: int = Field(default=160, ge=1)
    temperature: float = Field(default=1.0, gt=0, le=10)
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Sample from the likeliest tokens of this mass only. The loss takes probabilities from all tokens, so below 1 the
    responses are slightly off-policy."""
    batch_size: int = Field(default=64, ge=1)
    """Sequences sampled at once on each rank."""
    max_prompt_tokens: int = Field(default=1024, ge=1)
    """Problems with a longer prompt are counted and left out."""
    prompt: str = (
        "{problem}\n\nSolve it step by step. Write one step per line, each with its calculation, such as 3 * 4 = 12. "
        'End with a line "The answer is N." where N is the number.'
    )
    """The user message; {problem} is replaced."""
    engine: Engine = "transformers"
    """What samples: ``transformers``; ``vllm`` in the training's own processes, one on each rank; ``vllm_server``, a
    server of its own."""
    staleness: int = Field(default=0, ge=0, le=8)
    """Updates that the policy goes through between sampling a batch and learning from it. 0: sampling, judging and
    training take turns; 1: a batch is sampled while the one before is judged and trained on; 2: three overlap."""
    vllm: VllmTable = VllmTable()

    @model_validator(mode="after")
    def _has_placeholder(self) -> Self:
        if self.prompt.count("{problem}") != 1:
            raise ValueError("prompt must contain {problem} exactly once")
        return self

    @model_validator(mode="after")
    def _probabilities_compare(self) -> Self:
        if self.top_p < 1 and (self.engine != "transformers" or self.staleness):
            raise ValueError(
                f"top_p = {self.top_p:g} with engine = '{self.engine}' and staleness = {self.staleness}: the sampler's "
                "probabilities, of its likeliest tokens only, are compared with the policy's, of all; set top_p = 1"
            )
        return self

    @model_validator(mode="after")
    def _engine_fits(self) -> Self:
        if self.engine == "vllm_server" and not self.vllm.url:
            raise ValueError(
                "engine = 'vllm_server' without vllm.url; set it to the server's base URL, or set engine = 'vllm' to "
                "run vLLM inside the training"
            )
        if self.engine != "vllm_server" and self.vllm.url:
            raise ValueError(
                f"vllm.url is set but engine = '{self.engine}' asks no server; set engine = 'vllm_server' or leave the "
                "url out"
            )
        return self

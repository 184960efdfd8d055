"""The configuration of a training run: one typed, frozen object per table of the TOML file.

Unknown keys, wrong types and values out of range are refused when the file is read, with a message that names the key.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgpo_client.client_settings import ClientSettings
from sgpo_client.data_settings import DataSettings
from sgpo_client.errors import ConfigError
from sgpo_client.wire import LengthUnit, ShapingParams


class Table(BaseModel):
    """Base of every table: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class RunTable(Table):
    """``[run]``: how long, where to, and what is kept."""

    output_dir: Path = Path("runs/sgpo")
    """The run folder: metrics.jsonl, samples.jsonl, checkpoints/, model/, report.html."""
    steps: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    resume: bool = False
    """Go on from the newest checkpoint in `output_dir`."""
    overwrite: bool = False
    """Remove a former run in `output_dir` first."""
    save_every: int = Field(default=10, ge=0)
    """Steps between checkpoints; 0: only at the end and when the run has to stop."""
    keep_checkpoints: int = Field(default=1, ge=1)
    samples_per_step: int = Field(default=4, ge=0)
    """Responses per step that are written to samples.jsonl, of the first rank's problems."""
    export: bool = True
    """Write the trained model as a Hugging Face folder at the end."""


class ModelTable(Table):
    """``[model]``: the policy."""

    name: str
    """A local folder in Hugging Face's format, or a hub id. `make weights` makes weights/SmolLM2-135M-Instruct."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of sampling, forward and backward; auto: bfloat16 where the hardware multiplies in it. Master weights,
    reductions and the optimiser are always float32."""


class RolloutTable(Table):
    """``[rollout]``: how responses are sampled."""

    prompts_per_step: int = Field(default=8, ge=1)
    """Problems per step, over all ranks."""
    group_size: int = Field(default=8, ge=2)
    """Responses per problem (G)."""
    max_new_tokens: int = Field(default=160, ge=1)
    temperature: float = Field(default=1.0, gt=0, le=10)
    top_p: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=64, ge=1)
    """Sequences sampled at once on each rank."""
    max_prompt_tokens: int = Field(default=1024, ge=1)
    """Problems with a longer prompt are counted and left out."""
    prompt: str = (
        "{problem}\n\nSolve it step by step. Write one step per line, each with its calculation, such as 3 * 4 = 12. "
        'End with a line "The answer is N." where N is the number.'
    )
    """The user message; {problem} is replaced."""

    @model_validator(mode="after")
    def _has_placeholder(self) -> Self:
        if self.prompt.count("{problem}") != 1:
            raise ValueError("prompt must contain {problem} exactly once")
        return self


class AlgoTable(Table):
    """``[algo]``: rewards to advantages to loss."""

    name: Literal["grpo", "sgpo"] = "sgpo"
    """``grpo``: outcome rewards only. ``sgpo``: a judge's verdict shapes the reward of wrong responses."""
    normalize: Literal["none", "std"] = "none"
    """Divide advantages by the group's standard deviation (GRPO) or not (Dr. GRPO, arXiv 2503.20783)."""
    normalize_all_negative: Literal["none", "std"] = "none"
    """The same for all-negative groups. ``std`` blows any small spread up to full size and cancels beta."""
    clip_eps_low: float = Field(default=0.2, ge=0, lt=1)
    clip_eps_high: float = Field(default=0.2, ge=0)
    epochs: int = Field(default=1, ge=1)
    """Optimiser steps on each batch of responses."""


class ShapingTable(Table):
    """``[reward.shaping]``: reward of a wrong response = cap * sigmoid(beta * (rts - gamma))."""

    beta: float = Field(default=10.0, gt=0, le=30)
    gamma: float = Field(default=0.5, ge=0, le=1)
    cap: float = Field(default=0.5, gt=0, lt=1)
    length: LengthUnit = "steps"
    apply_to: Literal["all_negative", "every_wrong"] = "all_negative"


class RewardTable(Table):
    """``[reward]``: which server gives the rewards."""

    url: str = ""
    """Base URL of a running reward server. Empty: the trainer starts its own on a free loopback port."""
    judge: str = "rules"
    """Judge of the server that the trainer starts."""
    server_config: Path | None = None
    """Configuration file of the server that the trainer starts, for judges with settings of their own."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    """Longest wait for the server that the trainer starts to be ready, loading a judge's model included."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the server's key."""
    timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """Longest wait for one reply."""
    deadline_s: float = Field(default=300.0, gt=0, le=86400)
    """Longest wait for the rewards of a step, retries included; then the run saves a checkpoint and stops."""
    max_concurrency: int = Field(default=8, ge=1, le=1024)
    shaping: ShapingTable = ShapingTable()

    @model_validator(mode="after")
    def _url_is_one(self) -> Self:
        if self.url:
            try:
                self.client_settings(self.url)
            except ValidationError as error:
                raise ValueError(f"url is {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        return self

    def client_settings(self, url: str) -> ClientSettings:
        """Settings of the HTTP client for the server at ``url``."""
        return ClientSettings(
            url=url,
            api_key_env=self.api_key_env,
            timeout_s=self.timeout_s,
            deadline_s=self.deadline_s,
            max_concurrency=self.max_concurrency,
        )


class OptimTable(Table):
    """``[optim]``: AdamW."""

    lr: float = Field(default=2e-6, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    grad_clip: float = Field(default=1.0, gt=0)
    micro_batch_tokens: int = Field(default=2048, ge=1)
    """Padded tokens in one forward and backward pass of one rank."""


class EvalTable(Table):
    """``[eval]``: final-answer accuracy (greedy) on held-out problems, before and after."""

    enabled: bool = True
    max_new_tokens: int = Field(default=160, ge=1)


class TrainConfig(Table):
    """A whole run."""

    run: RunTable = RunTable()
    model: ModelTable
    data: DataSettings
    rollout: RolloutTable = RolloutTable()
    algo: AlgoTable = AlgoTable()
    reward: RewardTable = RewardTable()
    optim: OptimTable = OptimTable()
    eval: EvalTable = EvalTable()

    @property
    def shaping(self) -> ShapingParams:
        """What the server is asked to do with wrong responses; GRPO asks for outcomes only."""
        table = self.reward.shaping
        return ShapingParams(
            beta=table.beta,
            gamma=table.gamma,
            cap=table.cap,
            length=table.length,
            apply_to="none" if self.algo.name == "grpo" else table.apply_to,
        )

    def fingerprint(self) -> str:
        """Hash of everything that a resumed run must share with the interrupted one (not its length or folder)."""
        run = {
            "output_dir",
            "steps",
            "resume",
            "overwrite",
            "save_every",
            "keep_checkpoints",
            "samples_per_step",
            "export",
        }
        reward = {
            "url",
            "server_config",
            "start_timeout_s",
            "api_key_env",
            "timeout_s",
            "deadline_s",
            "max_concurrency",
        }
        facts = self.model_dump(mode="json", exclude={"run": run, "reward": reward})
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a TOML file and apply ``a.b=value`` overrides on top.

    Raises:
        ConfigError: naming the file, and every wrong key with its value.
    """
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a TOML configuration (see configs/)") from None
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None
    for override in overrides:
        _apply_override(tables, override)
    return parse_config(tables, str(path))


def parse_config(tables: Mapping[str, Any], where: str) -> TrainConfig:
    """Validate the tables of a configuration; ``where`` starts the error message."""
    try:
        return TrainConfig.model_validate(dict(tables))
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_describe(fault) for fault in error.errors())) from None


def _apply_override(tables: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *parents, name = (part.strip() for part in key.split("."))
    if not separator or not parents or not name:
        raise ConfigError(f"--set {override!r}: expected TABLE.KEY=VALUE, for example --set algo.name=grpo")
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: '{parent}' is a value, not a table")
    try:
        table[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[name] = text  # a bare word: --set algo.name=grpo


def _describe(fault: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "(file)"
    if fault["type"] == "extra_forbidden":
        matches = difflib.get_close_matches(key, sorted(_known_keys(TrainConfig)), n=1, cutoff=0.75)
        return f"unknown key '{key}'" + (f"; did you mean '{matches[0]}'?" if matches else "")
    if fault["type"] == "missing":
        return f"'{key}' is missing"
    return f"'{key}' = {fault['input']!r}: {fault['msg']}"


def _known_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= _known_keys(field.annotation, f"{prefix}{name}.")
    return keys

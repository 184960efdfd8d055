"""The configuration of a training run: one typed, frozen object per table of the TOML file.

Unknown keys, wrong types and values out of range are refused when the file is read, with a message that names the key.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError, model_validator

from sgpo_client.advantage import quantized
from sgpo_client.data.settings import DataSettings
from sgpo_client.errors import ConfigError
from sgpo_client.settings.algo import AlgoTable
from sgpo_client.settings.eval import EvalTable
from sgpo_client.settings.log import LogTable
from sgpo_client.settings.model import ModelTable
from sgpo_client.settings.offline import OfflineTable
from sgpo_client.settings.optim import OptimTable
from sgpo_client.settings.reward import RewardTable
from sgpo_client.settings.rollout import RolloutTable
from sgpo_client.settings.run import RunTable
from sgpo_client.settings.sgpo import Credit, Groups, SgpoTable
from sgpo_client.settings.table import Table
from sgpo_client.wire import ShapingParams


class TrainConfig(Table):
    """A whole run."""

    run: RunTable = RunTable()
    model: ModelTable
    data: DataSettings = DataSettings()
    rollout: RolloutTable = RolloutTable()
    algo: AlgoTable = AlgoTable()
    sgpo: SgpoTable = SgpoTable()
    reward: RewardTable = RewardTable()
    optim: OptimTable = OptimTable()
    eval: EvalTable = EvalTable()
    log: LogTable = LogTable()
    offline: OfflineTable = OfflineTable()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.algo.name == "sgpo" and self.sgpo.groups == "none":
            raise ValueError(
                "algo.name = 'sgpo' with sgpo.groups = 'none' is no SGPO; for outcome rewards set algo.name = 'grpo', "
                "'dr_grpo', 'rloo' or 'dapo'"
            )
        if self.groups == "none" and self.sgpo.model_fields_set - {"groups"}:
            names = ", ".join(f"sgpo.{name}" for name in sorted(self.sgpo.model_fields_set - {"groups"}))
            raise ValueError(
                f"algo.name = '{self.algo.name}' judges nothing, so {names} would do nothing; set sgpo.groups = "
                "'all_negative', or leave [sgpo] out"
            )
        if self.sgpo.credit == "prefix" and self.algo.resolved.ratio != "token":
            raise ValueError(
                f"sgpo.credit = 'prefix' with algo.ratio = '{self.algo.resolved.ratio}': tokens of one response differ "
                "in their advantages and need ratios of their own; set algo.ratio = 'token' or sgpo.credit = 'response'"
            )
        if self.sgpo.suffix_penalty and self.credit == "response" and self.offline.verdicts is None:
            raise ValueError(
                f"sgpo.suffix_penalty with algo.ratio = '{self.algo.resolved.ratio}': it needs credit = 'prefix', and "
                "that tokens with ratios of their own; set algo.ratio = 'token', or leave suffix_penalty out"
            )
        quantum, cap = self.sgpo.quantum, self.reward.shaping.cap
        if quantum and quantized(cap, quantum) >= 1:
            raise ValueError(
                f"sgpo.quantum = {quantum:g} rounds a wrong response's reward of up to {cap:g} (reward.shaping.cap) to "
                "that of a right one, 1; lower one of them"
            )
        return self

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        evaluation = {"eval.every": self.eval.every, "data.eval_path": self.data.eval_path}
        for name, value in (evaluation | {"data.eval_split": self.data.eval_split}).items():
            if value and not self.data.num_eval_problems:
                raise ValueError(f"{name} = {value} with data.num_eval_problems = 0: nothing is evaluated; set both")
        return self

    @model_validator(mode="after")
    def _fits_recorded_responses(self) -> Self:
        sampling = {"algo.dynamic_sampling": self.algo.dynamic_sampling, "rollout.staleness": self.rollout.staleness}
        for name, value in sampling.items():
            if self.offline.path is not None and value:
                raise ValueError(f"{name} = {value} with offline.path: nothing is sampled; leave one of them out")
        if self.offline.verdicts is not None and self.reward.shaping.length != "steps":
            raise ValueError(
                f"reward.shaping.length = '{self.reward.shaping.length}' with offline.verdicts: sgpo-judge counts "
                "steps; leave length out, or leave offline.verdicts out, then the reward server judges"
            )
        if self.offline.verdicts is not None and (self.sgpo.credit == "prefix" or self.sgpo.suffix_penalty):
            raise ValueError(
                "sgpo.credit = 'prefix' (or sgpo.suffix_penalty) with offline.verdicts: sgpo-judge does not write "
                "where in the text a step begins; leave offline.verdicts out, then the reward server judges, or set "
                "sgpo.credit = 'response'"
            )
        return self

    @property
    def groups(self) -> Groups:
        """Whose wrong responses are judged."""
        return self.sgpo.groups or ("all_negative" if self.algo.name == "sgpo" else "none")

    @property
    def credit(self) -> Credit:
        """How the advantage of a judged response is spread over its tokens."""
        judged = self.groups != "none" and self.offline.verdicts is None
        splittable = judged and self.algo.resolved.ratio == "token"
        return self.sgpo.credit or ("prefix" if splittable else "response")

    @property
    def shaping(self) -> ShapingParams:
        """What the server is asked to do with wrong responses; without SGPO outcomes only."""
        table = self.reward.shaping
        return ShapingParams(
            beta=table.beta,
            gamma=table.gamma,
            cap=table.cap,
            length=table.length,
            apply_to=self.groups,
        )

    def fingerprint(self) -> str:
        """Hash of everything that a resumed run must share with the interrupted one (not its length or folder)."""
        run = {
            "output_dir",
            "resume",
            "overwrite",
            "save_every",
            "keep_checkpoints",
            "async_save",
            "samples_per_step",
            "save_rollouts",
            "export",
        }
        if self.sgpo.schedule == "constant":  # otherwise the weight of a step depends on how many there are
            run.add("steps")
        reward = {
            "url",
            "server_config",
            "start_timeout_s",
            "api_key_env",
            "timeout_s",
            "deadline_s",
            "max_concurrency",
        }
        exclude: Any = {"run": run, "reward": reward, "rollout": {"vllm"}, "eval": {"every"}, "log": True}
        facts = self.model_dump(mode="json", exclude=exclude)
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
    key = ".".join(str(part) for part in fault["loc"])
    if not key:  # two tables contradict each other; the message names the settings
        return str(fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "extra_forbidden":
        matches = difflib.get_close_matches(key, sorted(_known_keys(TrainConfig)), n=1, cutoff=0.75)
        return f"unknown key '{key}'" + (f"; did you mean '{matches[0]}'?" if matches else "")
    if fault["type"] == "missing":
        return f"'{key}' is missing"
    message = f"'{key}' = {fault['input']!r}: {fault['msg'].removeprefix('Value error, ')}"
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        choices = re.findall(r"'([^']+)'", fault["ctx"]["expected"])
        matches = difflib.get_close_matches(fault["input"], choices, n=1, cutoff=0.5)
        message += f"; did you mean '{matches[0]}'?" if matches else ""
    return message


def _known_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= _known_keys(field.annotation, f"{prefix}{name}.")
    return keys

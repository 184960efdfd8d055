"""From a configuration to a running training: model, server, problems, run folder; and all put away at the end."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import torch
import transformers

from sgpo_client import checkpoint, distributed, run_folder
from sgpo_client.agreement import together
from sgpo_client.config import TrainConfig
from sgpo_client.data import ProblemSampler, load_problems
from sgpo_client.distributed import World, barrier, broadcast_object
from sgpo_client.errors import ConfigError, DataError, RewardUnavailable, SgpoError
from sgpo_client.fsdp import Sharding, shard
from sgpo_client.model import export, load_policy, load_tokenizer
from sgpo_client.precision import compute_dtype
from sgpo_client.report import write_report
from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.hf import HFSampler
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.samples import drop_rows_after
from sgpo_client.server_process import start_server
from sgpo_client.trainer import Parts, Trainer
from sgpo_client.types import Problem
from sgpo_client.update import PolicyUpdater

logger = logging.getLogger(__name__)


def run_training(config: TrainConfig, command: str) -> None:
    """Train as configured; every rank calls it.

    Raises:
        SgpoError: with what to do about it. Checkpoints, metrics and the report are in the run folder then.
    """
    transformers.utils.logging.disable_progress_bar()  # its bars would be drawn into the training's
    world = distributed.init()
    with ExitStack() as stack:
        stack.callback(distributed.shutdown)
        stack.push(_leave_together)
        tokenizer = together(lambda: load_tokenizer(config.model.name))
        prompts = PromptBuilder(tokenizer, config.rollout.prompt, config.rollout.max_prompt_tokens)
        problems, eval_problems = together(lambda: _problems(config, prompts))
        folder = together(lambda: _prepare_folder(config, command, world))
        stack.callback(_report, folder, world)
        client = stack.enter_context(_reward_client(config, folder, world, stack))
        updater = together(lambda: make_updater(config, world))
        dtype = compute_dtype(config.model.dtype, world.device)
        sampler = HFSampler(load_policy(config.model.name, dtype).to(world.device), tokenizer)
        start_step = _resume(config, folder, updater, world)
        parts = Parts(
            world=world,
            updater=updater,
            sampler=sampler,
            prompts=prompts,
            client=client,
            problems=ProblemSampler(problems, config.run.seed),
            eval_problems=eval_problems,
            folder=folder,
        )
        Trainer(config, parts, start_step).run()
        if config.run.export:
            export(updater.policy, tokenizer, folder / "model", dtype)


def _problems(config: TrainConfig, prompts: PromptBuilder) -> tuple[list[Problem], list[Problem]]:
    """Problems to train on and to evaluate with; those with an over-long prompt are counted and left out."""
    train = prompts.drop_too_long(load_problems(config.data, "train"))
    if not train:
        raise DataError(f"every prompt is longer than rollout.max_prompt_tokens = {config.rollout.max_prompt_tokens}")
    held_out = prompts.drop_too_long(load_problems(config.data, "eval")) if config.eval.enabled else []
    return train, held_out


def _prepare_folder(config: TrainConfig, command: str, world: World) -> Path:
    folder = config.run.output_dir
    if config.run.resume and checkpoint.latest(_checkpoints(folder)) is None:
        raise ConfigError(
            f"run.resume is set, but there is no checkpoint in {_checkpoints(folder)}; leave it out to start anew"
        )
    if world.is_main:
        run_folder.prepare(config, command)
    return folder


def _reward_client(config: TrainConfig, folder: Path, world: World, stack: ExitStack) -> RewardClient:
    """A client of the configured server, or of one that rank 0 starts and that ends with the run."""
    url = config.reward.url

    def start() -> str:
        table = config.reward
        judge = None if table.server_config else table.judge
        server = start_server(
            config_path=table.server_config, judge=judge, run_dir=folder, timeout_s=table.start_timeout_s
        )
        try:
            return stack.enter_context(server).url
        except RewardUnavailable as error:
            setting = f"reward.judge = {judge!r}" if judge else f"reward.server_config = '{table.server_config}'"
            raise RewardUnavailable(f"{setting}: {error}") from error

    if not url:
        url = broadcast_object(together(lambda: start() if world.is_main else ""))
    return RewardClient(config.reward.client_settings(url))


def make_updater(config: TrainConfig, world: World) -> PolicyUpdater:
    """The sharded policy and its optimiser."""
    sharding = Sharding(param_dtype=compute_dtype(config.model.dtype, world.device))
    policy = shard(load_policy(config.model.name, torch.float32).to(world.device), world, sharding)
    optim = config.optim
    optimizer = torch.optim.AdamW(
        policy.parameters(),
        lr=optim.lr,
        betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay,
        fused=True,
    )
    return PolicyUpdater(policy, optimizer, sharding, config, world)


def _resume(config: TrainConfig, folder: Path, updater: PolicyUpdater, world: World) -> int:
    """Load the newest checkpoint when asked to; returns the steps that are done."""
    step = checkpoint.latest(_checkpoints(folder)) if config.run.resume else None
    if step is None:
        return 0
    checkpoint.load(_checkpoints(folder), step, updater.policy, updater.optimizer, fingerprint=config.fingerprint())
    logger.info("resumed after step %d of %d", step, config.run.steps)
    if world.is_main:
        for name in ("samples.jsonl", "eval.jsonl"):
            drop_rows_after(folder / name, step)
    return step


def _checkpoints(folder: Path) -> Path:
    return folder / "checkpoints"


def _leave_together(
    _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
) -> None:
    """Hold ranks that stop with an error until rank 0 has put everything away.

    All ranks raise the same `SgpoError`; the first to exit would make the launcher end rank 0 in the middle of it.
    """
    if isinstance(error, SgpoError):
        barrier()


def _report(folder: Path, world: World) -> None:
    if world.is_main:
        write_report(folder)

"""From a configuration to a running training: model, server, problems, run folder; and all put away at the end."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import psutil
import torch
import transformers
from transformers import PreTrainedModel

from sgpo_client import offline
from sgpo_client.checkpoint import checkpoint
from sgpo_client.config import TrainConfig
from sgpo_client.data.order import ProblemSampler
from sgpo_client.data.problem_sets import ProblemSets, load_problem_sets
from sgpo_client.errors import ConfigError, RewardUnavailable, SgpoError
from sgpo_client.log import run_folder
from sgpo_client.log.trackers import check_tracker
from sgpo_client.model import export, load_policy, load_tokenizer
from sgpo_client.policy import make_policy
from sgpo_client.ranks import distributed
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import World, all_gather_objects, all_reduce_max, barrier, broadcast_object
from sgpo_client.ranks.interrupt import StopSignal
from sgpo_client.ranks.precision import compute_dtype
from sgpo_client.report.run_files import read_run
from sgpo_client.report.run_report import write_report
from sgpo_client.report.summary import summary
from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.build import make_sampler
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.server_process import start_server
from sgpo_client.trainer import Parts, Trainer
from sgpo_client.update import PolicyUpdater

logger = logging.getLogger(__name__)


def run_training(config: TrainConfig, command: str) -> None:
    """Train as configured; every rank calls it.

    Raises:
        SgpoError: with what to do about it. Checkpoints, metrics and the report are in the run folder then.
    """
    transformers.utils.logging.disable_progress_bar()  # its bars would be drawn into the training's
    world = distributed.init(timeout_s=_collective_timeout_s(config))
    with ExitStack() as stack:
        stack.callback(distributed.shutdown)
        stack.push(_leave_together)
        stop = stack.enter_context(StopSignal())
        config = _after_restart(config)
        together(lambda: check_tracker(config.log))
        tokenizer = together(lambda: load_tokenizer(config.model.name))
        prompts = PromptBuilder(tokenizer, config.rollout.prompt, config.rollout.max_prompt_tokens)
        problems = together(lambda: load_problem_sets(config, prompts))
        _warn_of_idle_ranks(config, world)
        folder = together(lambda: _prepare_folder(config, command, problems, world))
        stack.callback(_report, folder, world)
        unopened = _reward_client(config, folder, world, stack, stop)
        client = together(lambda: stack.enter_context(unopened))
        updater = together(lambda: make_updater(config, world))
        dtype = compute_dtype(config.model.dtype, world.device)
        sampler = stack.enter_context(make_sampler(config, updater.policy, tokenizer, world, dtype))
        recorded = None
        if problems.recorded:  # before a checkpoint is loaded: the policy is still the one that the run begins with
            rollouts = offline.as_rollouts(problems.recorded, prompts, tokenizer, config.rollout.max_new_tokens)
            scored = offline.scored_offline(problems.recorded, rollouts, client, config, folder, world)
            recorded = offline.OfflineGroups(offline.with_start_logprobs(scored, updater, world), config.run.seed)
        start_step = _resume(config, folder, updater)
        parts = Parts(
            world=world,
            updater=updater,
            sampler=sampler,
            prompts=prompts,
            client=client,
            problems=ProblemSampler(problems.train, config.run.seed),
            eval_problems=problems.held_out,
            folder=folder,
            stop=stop,
            offline=recorded,
        )
        if Trainer(config, parts, start_step).run() and config.run.export:
            export(updater.policy, tokenizer, folder / "model", dtype)


def _collective_timeout_s(config: TrainConfig) -> float:
    """Beyond every wait that the settings allow: a rank that has its rewards waits for one that has not."""
    longest = max(config.reward.deadline_s, config.reward.start_timeout_s, config.rollout.vllm.deadline_s)
    return max(1800.0, 3 * longest)


def _after_restart(config: TrainConfig) -> TrainConfig:
    """The same, to be gone on with when the launcher has started the ranks again because one died.

    Only in a folder that this very launch has made or taken over: what was refused before the restart stays refused.
    """
    # On any rank: the launchers of several nodes count apart.
    if not all_reduce_max(float(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))):
        return config
    marker = config.run.output_dir / run_folder.MARKER
    launched = psutil.Process(os.getppid()).create_time()
    if not broadcast_object(marker.is_file() and marker.stat().st_mtime >= launched):
        return config
    resume = _has_begun(config.run.output_dir)
    run = config.run.model_copy(update={"resume": resume, "overwrite": not resume})
    return config.model_copy(update={"run": run})


def _warn_of_idle_ranks(config: TrainConfig, world: World) -> None:
    wanted = config.rollout.prompts_per_step
    if world.is_main and wanted < world.size:
        logger.warning(
            "rollout.prompts_per_step = %d on %d ranks: %d of them sample nothing; set it to %d or a multiple of that",
            *(wanted, world.size, world.size - wanted, world.size),
        )


def _prepare_folder(config: TrainConfig, command: str, problems: ProblemSets, world: World) -> Path:
    folder = config.run.output_dir
    if config.run.resume and not _has_begun(folder):
        raise ConfigError(
            f"run.resume is set, but there is no checkpoint in {_checkpoints(folder)}; leave it out to start anew"
        )
    if world.is_main:
        run_folder.prepare(config, command, problems.counts)
    return folder


def _has_begun(folder: Path) -> bool:
    """Whether there is something to go on from: a checkpoint, or rewards of recorded responses."""
    return checkpoint.latest(_checkpoints(folder)) is not None or (folder / offline.STORE).is_file()


def _reward_client(config: TrainConfig, folder: Path, world: World, stack: ExitStack, stop: StopSignal) -> RewardClient:
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

    if url and world.is_main and not {"judge", "server_config"}.isdisjoint(config.reward.model_fields_set):
        logger.info("reward.url is set: the server there judges; reward.judge and reward.server_config are not used")
    if not url:
        check_one_machine(all_gather_objects(socket.gethostname()))
        url = broadcast_object(together(lambda: start() if world.is_main else ""))
    return RewardClient(config.reward.client_settings(url), gives_up=stop.is_overdue)


def check_one_machine(hosts: Sequence[str]) -> None:
    """Refuse to start a reward server that ranks on other machines could not reach.

    Raises:
        ConfigError: when the ranks' hosts differ.
    """
    names = sorted(set(hosts))
    if len(names) > 1:
        raise ConfigError(
            f"reward.url is not set, and the ranks run on {len(names)} machines ({', '.join(names)}), which could not "
            "all reach a server that the run starts itself; start one with sgpo-serve --host 0.0.0.0 and set reward.url"
        )


def make_updater(config: TrainConfig, world: World) -> PolicyUpdater:
    """The sharded policy and its optimiser."""
    policy, sharding = make_policy(config, world)
    optim = config.optim
    optimizer = torch.optim.AdamW(
        [parameter for parameter in policy.parameters() if parameter.requires_grad],
        lr=optim.lr,
        betas=(optim.beta1, optim.beta2),
        weight_decay=optim.weight_decay,
        fused=True,
    )
    return PolicyUpdater(policy, optimizer, sharding, config, world, reference_model(config, world))


def reference_model(config: TrainConfig, world: World) -> PreTrainedModel | None:
    """The model that the run begins with, frozen and whole on every rank; None where `algo.kl_coef` is 0."""
    if not config.algo.kl_coef:
        return None
    model = load_policy(config.model.name, compute_dtype(config.model.dtype, world.device)).eval()
    return model.requires_grad_(False).to(world.device)


def _resume(config: TrainConfig, folder: Path, updater: PolicyUpdater) -> int:
    """Load the newest checkpoint when asked to; returns the steps that are done."""
    step = checkpoint.latest(_checkpoints(folder)) if config.run.resume else None
    if step is None:
        return 0
    checkpoint.load(_checkpoints(folder), step, updater.policy, updater.optimizer, fingerprint=config.fingerprint())
    logger.info("resumed after step %d of %d", step, config.run.steps)
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
        try:
            report = str(write_report(folder))
        except OSError as error:
            report = f"not written ({error.strerror})"
        sys.stderr.write(summary(read_run(folder), report) + "\n")

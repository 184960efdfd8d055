"""``sgpo-judge label``: first-error labels without people, by injection, by rollouts, or by agreement."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from judge.command_line import FAILED, OK, complain

if TYPE_CHECKING:
    from judge.backends.base import TextBackend
    from judge.data.labels.inject import InjectReport
    from judge.data.labels.monte_carlo import RolloutSettings
    from judge.data.labels.rollout_file import RolloutSummary
    from judge.settings import Settings
    from judge.types import Record

    SettingsT = TypeVar("SettingsT", bound=Settings)


LOCAL_BATCH = 32
"""Endings that a model in this process writes at once."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of the verb."""
    parser = commands.add_parser("label", help="make first-error labels without people")
    ways = parser.add_subparsers(dest="way", required=True)
    _add_inject(ways)
    _add_rollout(ways)
    _add_consensus(ways)


def main(args: argparse.Namespace) -> int:
    """Make labels."""
    ways = {"inject": inject_errors, "rollout": roll_out, "consensus": keep_agreed}
    return ways[args.way](args)


def _add_inject(ways: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    description = "From right worked solutions to wrong ones whose first error is known."
    parser = ways.add_parser("inject", help="put errors into right solutions", description=description)
    _add_input(parser)
    parser.add_argument("--config", type=Path, help="TOML with an [inject] table; default: the settings' defaults")
    parser.add_argument("--output", type=Path, required=True, help="labelled records (.jsonl)")
    parser.add_argument("--overwrite", action="store_true", help="replace --output")


def _add_rollout(ways: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    description = "Monte-Carlo labels: a policy goes on from every prefix of a response; where it never succeeds, the "
    description += "last step is wrong."
    parser = ways.add_parser("rollout", help="label by a policy's rollouts", description=description)
    _add_input(parser)
    parser.add_argument("--model", required=True, help="the policy: a folder, hub id, packaged or served name")
    parser.add_argument(
        "--base-url",
        help="of a vLLM or SGLang server (others may begin a new turn and give wrong labels); default: in this process",
    )
    parser.add_argument("--api-key-env", default="", metavar="NAME", help="environment variable with the server's key")
    parser.add_argument("--config", type=Path, help="TOML with a [rollout] table; default: the settings' defaults")
    parser.add_argument("--window", type=int, default=16, metavar="N", help="responses rolled out together")
    parser.add_argument("--output", type=Path, required=True, help="labelled records; rows in it are skipped")
    parser.add_argument("--overwrite", action="store_true", help="start --output anew")


def _add_consensus(ways: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    description = "Keep the rows on whose first wrong step two sources agree."
    parser = ways.add_parser("consensus", help="keep rows that two sources agree on", description=description)
    parser.add_argument("--a", type=Path, required=True, metavar="FILE", help="labelled records, or an output of run")
    parser.add_argument("--b", type=Path, required=True, metavar="FILE", help="likewise; rows are joined by id")
    parser.add_argument("--output", type=Path, required=True, help="the records that are kept (.jsonl)")
    parser.add_argument("--overwrite", action="store_true", help="replace --output")


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", default="records", help="a loader's name, or records (the default): our own JSONL")
    parser.add_argument("--path", required=True, help="the source's file, folder or hub id")
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N rows")


def inject_errors(args: argparse.Namespace) -> int:
    """``label inject``."""
    from tqdm import tqdm

    from judge.data.labels.inject import InjectSettings, inject
    from judge.data.overlap import find_overlap
    from judge.records import write_records

    _refuse_overwriting(args)
    settings = _settings(InjectSettings, "inject", args.config)
    injected = inject(tqdm(_records(args), unit="row", desc="inject"), settings)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_records(injected.records, args.output)
    print(f"{args.output}: {_describe_injected(injected.report)}\n  {find_overlap(injected.records)}")
    return OK


def _describe_injected(report: InjectReport) -> str:
    parts = [
        f"{report.injected.total()} wrong ({_counts(report.injected)}) and {report.num_correct} right solutions "
        f"from {report.num_read} rows"
    ]
    if report.unusable:
        parts.append(f"unusable rows: {report.unusable.total()} ({_counts(report.unusable)})")
    if report.not_injectable:
        parts.append(f"rows without room for an error: {report.not_injectable}")
    if report.refused_changes:
        parts.append(f"changes given up: {report.refused_changes.total()} ({_counts(report.refused_changes)})")
    return "\n  ".join(parts)


def roll_out(args: argparse.Namespace) -> int:
    """``label rollout``."""
    import asyncio

    from judge.data.labels.monte_carlo import RolloutSettings
    from judge.errors import ConfigError

    if args.window < 1:
        raise ConfigError(f"--window {args.window}: at least 1 is needed")
    settings = _settings(RolloutSettings, "rollout", args.config)
    records = _records(args)
    policy = _policy(args)
    if args.overwrite:
        args.output.unlink(missing_ok=True)
    summary = asyncio.run(_label(records, settings, policy, args))
    print(f"{args.output}: {_describe_rollouts(summary)}")
    if summary.num_left:
        why = f"{summary.num_left} rows have no labels yet ({summary.first_failure})"
        return complain(f"{why}; the same command tries them again", FAILED)
    return OK


async def _label(
    records: list[Record], settings: RolloutSettings, policy: TextBackend, args: argparse.Namespace
) -> RolloutSummary:
    from tqdm import tqdm

    from judge.answers import AnswerChecker
    from judge.data.labels.rollout_file import label_file

    checker = AnswerChecker()
    try:
        with tqdm(total=len(records), unit="row", desc="rollout") as bar:
            return await label_file(
                records, args.output, settings, policy, checker, window=args.window, progress=bar.update
            )
    finally:
        await checker.aclose()
        await policy.aclose()


def _describe_rollouts(summary: RolloutSummary) -> str:
    tokens = f"{summary.prompt_tokens} prompt and {summary.completion_tokens} completion tokens"
    failed = f" (first: {summary.first_failure})" if summary.first_failure else ""
    return (
        f"{summary.labels['error']} with an error, {summary.labels['no_error']} without, "
        f"{summary.labels['failed']} failed{failed}; {summary.num_taken_up} were there already\n"
        f"  cost: {summary.num_rollouts} rollouts ({summary.num_cut} of this run cut off), {tokens}, "
        f"{summary.seconds:.1f} s in this run"
    )


def keep_agreed(args: argparse.Namespace) -> int:
    """``label consensus``."""
    from judge.data.labels.consensus import consensus
    from judge.errors import DataError
    from judge.records import write_records

    _refuse_overwriting(args)
    kept, report = consensus(args.a, args.b)
    if not report.num_kept and report.only_in_a and report.only_in_b:
        raise DataError(f"{args.a} and {args.b} have no row in common that agrees: are the ids of the same kind?")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_records(kept, args.output)
    print(
        f"{args.output}: {report.num_kept} rows kept "
        f"({report.agreed_on_index} agreed on the step, {report.agreed_on_no_error} on no error)\n"
        f"  dropped: {report.disagreed_on_index} other step, {report.disagreed_on_error} error or not, "
        f"{report.unlabelled} unlabelled or unscored, {report.only_in_a} only in --a, {report.only_in_b} only in --b"
    )
    return OK


def _policy(args: argparse.Namespace) -> TextBackend:
    """The policy that the arguments name."""
    if args.base_url:
        from judge.backends.openai import OpenAIBackend

        return OpenAIBackend(base_url=args.base_url, model=args.model, api_key_env=args.api_key_env)
    from judge.backends.local import LocalBackend

    return LocalBackend(args.model, batch_size=LOCAL_BATCH)


def _records(args: argparse.Namespace) -> list[Record]:
    """The records of ``--source`` at ``--path``; says which rows were dropped."""
    from judge.data.sources import load_source
    from judge.errors import ConfigError

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit {args.limit}: at least 1 is needed")
    loaded = load_source(args.source, args.path)
    if loaded.report.dropped:
        print(f"{args.path}: {loaded.report.dropped.total()} rows dropped ({_counts(loaded.report.dropped)})")
    return loaded.records[: args.limit]


def _settings(model: type[SettingsT], name: str, path: Path | None) -> SettingsT:
    """Settings from a table of a TOML file; the defaults without a file."""
    from judge.errors import ConfigError
    from judge.settings import parse_table, read_toml

    if path is None:
        return model()
    table = read_toml(path).get(name)
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: no [{name}] table")
    return parse_table(model, table, f"{path}: [{name}]")


def _refuse_overwriting(args: argparse.Namespace) -> None:
    """An output that exists is somebody's work."""
    from judge.errors import ConfigError

    if args.output.exists() and not args.overwrite:
        raise ConfigError(f"--output {args.output} exists; give another name, or --overwrite")


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
